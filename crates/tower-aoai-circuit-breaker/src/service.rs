use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_aoai_core::{BoxError, CallContext, Classify, Error};
use tower_service::Service;

use crate::{CircuitBreakerHandle, Permit, ResponseBody, ResponseFuture};

/// The service of a [`CircuitBreakerLayer`](crate::CircuitBreakerLayer).
#[derive(Debug, Clone)]
pub struct CircuitBreaker<S> {
    inner: S,
    handle: CircuitBreakerHandle,
    classify: Arc<dyn Classify>,
    is_off: bool,
}

impl<S> CircuitBreaker<S> {
    pub(crate) fn new(inner: S, handle: CircuitBreakerHandle, classify: Arc<dyn Classify>, is_off: bool) -> Self {
        Self { inner, handle, classify, is_off }
    }
}

impl<S, B, ResB> Service<Request<B>> for CircuitBreaker<S>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    S::Error: Into<BoxError>,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<ResB>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    /// Forwards the inner service's readiness.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Error::flatten)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let permit = (!self.is_off).then(|| Permit::enter(&self.handle, &self.classify, CallContext::of(&mut request)));
        ResponseFuture::new(self.inner.call(request), permit)
    }
}
