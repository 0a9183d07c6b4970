//! The service.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{ResponseBody, ResponseFuture, limits::Limits};
use crate::{BoxError, CallContext, Error};

/// A service whose attempts have time limits: what [`AttemptTimeoutLayer`](super::AttemptTimeoutLayer) makes.
///
/// Readiness is the inner service's own, and is not limited. Dropping its future or body drops the inner one.
///
/// # Errors
///
/// [`Error::Timeout`] when a limit runs out, before the head by the future, behind it by the body; the inner future or
/// body is dropped first. And the inner service's, flattened ([`Error::flatten`]).
#[derive(Debug, Clone)]
pub struct AttemptTimeout<S> {
    inner: S,
    limits: Limits,
}

impl<S> AttemptTimeout<S> {
    pub(super) const fn new(inner: S, limits: Limits) -> Self {
        Self { inner, limits }
    }
}

impl<S, B, R> Service<Request<B>> for AttemptTimeout<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Error::flatten)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // Only the time to the first token asks what the call is, and who sees its content.
        let context = self.limits.first_token.and_then(|_| request.extensions().get::<CallContext>());
        let streams = context.is_some_and(|context| context.call().stream);
        let attempt = context.and_then(CallContext::current_attempt).filter(|attempt| attempt.is_observed()).cloned();
        ResponseFuture::new(self.inner.call(request), self.limits, streams, attempt)
    }
}
