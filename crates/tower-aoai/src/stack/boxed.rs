//! A position below which futures and bodies are on the heap.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::core::RequestBody;

/// Boxes the future and the body of what is below.
///
/// A future holds all futures below it, and each layer above moves the whole of it, and of the body, once or twice on
/// their way up and down. In the middle of the stack two allocations for each attempt are cheaper than that.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BoxedLayer;

#[derive(Debug, Clone)]
pub(super) struct Boxed<S> {
    inner: S,
}

impl<S> Layer<S> for BoxedLayer {
    type Service = Boxed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Boxed { inner }
    }
}

impl<S, B> Service<Request<RequestBody>> for Boxed<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
{
    type Response = Response<Pin<Box<B>>>;
    type Error = S::Error;
    type Future = BoxedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        BoxedFuture(Box::pin(self.inner.call(request)))
    }
}

pub(super) struct BoxedFuture<F>(Pin<Box<F>>);

impl<F, B, E> Future for BoxedFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Pin<Box<B>>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.0.as_mut().poll(cx)).map(|response| response.map(Box::pin)))
    }
}
