use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_aoai_core::{BoxError, CallContext, Error, Replay};
use tower_service::Service;

use crate::{ResponseFuture, call::Call, layer::Shared};

/// The service of a [`RetryAfterLayer`](crate::RetryAfterLayer).
#[derive(Debug, Clone)]
pub struct RetryAfter<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> RetryAfter<S> {
    pub(crate) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// The call whose retries the layer owns from now on, unless a layer above does.
    fn own<B>(&self, request: &mut Request<B>) -> Option<Call> {
        let own_policy = request.extensions().get().cloned().map(Box::new);
        CallContext::with(request, |context| {
            (!context.retries_owned()).then(|| Call::new(context.clone(), Arc::clone(&self.shared), own_policy))
        })
    }
}

impl<S, B, ResB> Service<Request<B>> for RetryAfter<S>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
    S::Error: Into<BoxError>,
    B: Replay,
    ResB: Body,
{
    type Response = Response<ResB>;
    type Error = Error;
    type Future = ResponseFuture<S, B, ResB>;

    /// Always ready: each attempt waits for the inner service itself, and holds nothing of it before.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    /// The last answer of the server, whatever its status, or the last error.
    ///
    /// # Errors
    ///
    /// The last attempt's, [flattened](Error::flatten); the inner service's readiness error; a refusal with
    /// [`Reason::Deadline`](tower_aoai_core::Reason::Deadline) or [`Reason::StartBy`](tower_aoai_core::Reason::StartBy)
    /// if an attempt could not start in time because the hook or the inner service's readiness took too long, or,
    /// for the first one, because there was too little time from the beginning.
    ///
    /// # Cancellation
    ///
    /// Dropping the future drops the attempt under way, or the wait; nothing is tried after that. A grant of the budget
    /// goes back if its attempt had not begun.
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let call = if self.shared.is_off { None } else { self.own(&mut request) };
        ResponseFuture::new(self.inner.clone(), request, call)
    }
}
