use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Request;
use pin_project::pin_project;
use tower_aoai_core::{BoxError, Error, Rejected, RequestBody};
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
        ResponseFuture(match refused {
            None => Kind::Calling(self.inner.call(request)),
            Some(refused) => Kind::Refused(Some(refused)),
        })
    }
}

/// The future of a [`Model`].
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F>(#[pin] Kind<F>);

#[pin_project(project = KindProject)]
#[derive(Debug)]
enum Kind<F> {
    Calling(#[pin] F),
    Refused(Option<Rejected>),
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<R, E>>,
    E: Into<BoxError>,
{
    type Output = Result<R, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            KindProject::Calling(future) => future.poll(cx).map_err(Error::flatten),
            KindProject::Refused(refused) => match refused.take() {
                Some(refused) => Poll::Ready(Err(refused.into())),
                // Polled after it has answered.
                None => Poll::Pending,
            },
        }
    }
}
