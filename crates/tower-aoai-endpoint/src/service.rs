use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_aoai_core::{BoxError, Error, RequestBody};
use tower_service::Service;

use crate::{ResponseFuture, layer::Settings, rewrite::rewrite};

/// The service of an [`EndpointLayer`](crate::EndpointLayer).
#[derive(Debug, Clone)]
pub struct Endpoint<S> {
    inner: S,
    settings: Option<Arc<Settings>>,
}

impl<S> Endpoint<S> {
    pub(crate) const fn new(inner: S, settings: Option<Arc<Settings>>) -> Self {
        Self { inner, settings }
    }
}

impl<S, ResB> Service<Request<RequestBody>> for Endpoint<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResB>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S>;

    /// Always ready: the inner service's readiness is taken inside the future, once there is a token.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    /// Addresses the call, puts the credential in, and hands it down.
    ///
    /// # Errors
    ///
    /// A refusal, with nothing sent: [`Reason::Unsupported`](tower_aoai_core::Reason::Unsupported) if the call cannot
    /// be said in this endpoint's way; [`Reason::NoCredential`](tower_aoai_core::Reason::NoCredential), with the instant
    /// of the next try, if there is no token; [`Reason::StartBy`](tower_aoai_core::Reason::StartBy) or
    /// [`Reason::Deadline`](tower_aoai_core::Reason::Deadline) if it did not come in time. And the inner service's
    /// errors, [flattened](Error::flatten).
    ///
    /// # Cancellation
    ///
    /// Dropping the future drops what was sent. A token that is being obtained is not lost by that: the next call that
    /// needs it goes on with it.
    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let rejected = self.settings.as_ref().and_then(|settings| rewrite(settings, &mut request).err());
        ResponseFuture::new(self.inner.clone(), self.settings.clone(), request, rejected)
    }
}
