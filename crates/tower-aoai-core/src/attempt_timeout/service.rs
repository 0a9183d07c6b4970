use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{ResponseBody, ResponseFuture, limits::Limits};
use crate::{BoxError, CallContext, Error};

/// The service of an [`AttemptTimeoutLayer`](super::AttemptTimeoutLayer).
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

impl<S, B, ResB> Service<Request<B>> for AttemptTimeout<S>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    S::Error: Into<BoxError>,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<ResB>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Error::flatten)
    }

    /// Fails with [`Error::Timeout`] when a limit runs out: before the head by the future, after it by the body. The
    /// inner future or body is dropped then, and when this one is.
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let attempt = (!self.limits.is_off()).then(|| CallContext::of(&mut request).attempt());
        ResponseFuture::new(self.inner.call(request), self.limits, attempt)
    }
}
