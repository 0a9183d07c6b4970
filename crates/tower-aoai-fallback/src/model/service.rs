use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::Request;
use tower_aoai_core::{BoxError, Error, RequestBody, Sending};
use tower_service::Service;

use super::rewrite::ask_for;

/// The service of a [`ModelLayer`](super::ModelLayer).
#[derive(Debug, Clone)]
pub struct Model<S> {
    inner: S,
    model: Option<Arc<str>>,
}

impl<S> Model<S> {
    pub(super) const fn new(inner: S, model: Option<Arc<str>>) -> Self {
        Self { inner, model }
    }
}

impl<S> Service<Request<RequestBody>> for Model<S>
where
    S: Service<Request<RequestBody>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    /// Forwards the inner service's readiness.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Error::flatten)
    }

    /// Fails with [`Reason::Unsupported`](tower_aoai_core::Reason::Unsupported) where the request has no place for the
    /// name of a model, as a form has none.
    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let refused = self.model.as_ref().and_then(|model| ask_for(&mut request, model).err());
        match refused {
            None => Sending::calling(self.inner.call(request)),
            Some(refused) => Sending::refused(refused),
        }
    }
}

/// The future of a [`Model`].
pub type ResponseFuture<F> = Sending<F>;
