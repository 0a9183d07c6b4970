use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_aoai_core::{BoxError, CallContext, Error};
use tower_service::Service;

use crate::{Acquire, Local, ResponseBody, ResponseFuture, Store, TokenBucketHandle};

/// The service of a [`TokenBucketLayer`](crate::TokenBucketLayer).
#[derive(Debug)]
pub struct TokenBucket<S, St = Local> {
    inner: S,
    handle: TokenBucketHandle<St>,
    is_off: bool,
}

impl<S, St> TokenBucket<S, St> {
    pub(crate) const fn new(inner: S, handle: TokenBucketHandle<St>, is_off: bool) -> Self {
        Self { inner, handle, is_off }
    }
}

impl<S: Clone, St> Clone for TokenBucket<S, St> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), handle: self.handle.clone(), is_off: self.is_off }
    }
}

impl<S, St, B, ResB> Service<Request<B>> for TokenBucket<S, St>
where
    St: Store,
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
    S::Error: Into<BoxError>,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<ResB, St>>;
    type Error = Error;
    type Future = ResponseFuture<S, B, St>;

    /// Always ready: the inner service's readiness is taken inside the future, once the call is admitted.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    /// Takes its place in the queue when its future is first polled.
    ///
    /// # Errors
    ///
    /// A refusal, with nothing sent: [`Reason::TooLarge`](tower_aoai_core::Reason::TooLarge) if the call can never fit;
    /// [`Reason::StartBy`](tower_aoai_core::Reason::StartBy) or [`Reason::Deadline`](tower_aoai_core::Reason::Deadline)
    /// if it cannot start in time, at once where that can be told;
    /// [`Reason::QueueFull`](tower_aoai_core::Reason::QueueFull);
    /// [`Reason::QuotaSpent`](tower_aoai_core::Reason::QuotaSpent) where the quota never waits. And the inner service's
    /// errors, [flattened](Error::flatten).
    ///
    /// # Cancellation
    ///
    /// Dropping the future, or the body, leaves the queue, returns what was not sent, and settles what was.
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let acquire = (!self.is_off).then(|| {
            let ask = CallContext::with(&mut request, |context| self.handle.shared().ask(context));
            Acquire::new(Arc::clone(self.handle.shared()), ask)
        });
        ResponseFuture::new(self.inner.clone(), request, acquire)
    }
}
