use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_aoai_core::{BoxError, CallContext, Error};
use tower_service::Service;

use crate::{Reservation, ResponseBody, ResponseFuture, TokenBucketHandle};

/// The service of a [`TokenBucketLayer`](crate::TokenBucketLayer).
#[derive(Debug, Clone)]
pub struct TokenBucket<S> {
    inner: S,
    handle: TokenBucketHandle,
    is_off: bool,
}

impl<S> TokenBucket<S> {
    pub(crate) const fn new(inner: S, handle: TokenBucketHandle, is_off: bool) -> Self {
        Self { inner, handle, is_off }
    }
}

impl<S, B, ResB> Service<Request<B>> for TokenBucket<S>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
    S::Error: Into<BoxError>,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<ResB>>;
    type Error = Error;
    type Future = ResponseFuture<S, B>;

    /// Always ready: the inner service's readiness is taken inside the future, once the call is admitted.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let reservation =
            (!self.is_off).then(|| Reservation::take(&self.handle, CallContext::of(&mut request).attempt()));
        ResponseFuture::new(self.inner.clone(), request, reservation)
    }
}
