//! Keeps prompts within a model's context window.
//!
//! **As yet this crate only passes calls through**: its types, bounds and place in a stack are what they will be; the
//! counting, validating and truncating are not there.
//!
//! [`ContextWindowLayer`] stands at the top of a stack, behind [`PrepareLayer`](tower_aoai_core::PrepareLayer), where
//! a prompt that cannot fit is refused before anything is reserved or sent for it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use pin_project::pin_project;
use tower_aoai_core::{BoxError, Error, RequestBody};
use tower_layer::Layer;
use tower_service::Service;

/// Passes calls through as yet; see the [crate's page](crate).
#[derive(Debug, Clone, Copy, Default)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct ContextWindowLayer {}

/// The service of a [`ContextWindowLayer`].
#[derive(Debug, Clone)]
pub struct ContextWindow<S> {
    inner: S,
}

/// The future of a [`ContextWindow`].
#[pin_project]
#[derive(Debug)]
pub struct ResponseFuture<F> {
    #[pin]
    inner: F,
}

impl ContextWindowLayer {
    /// A layer without any limit.
    pub const fn new() -> Self {
        Self {}
    }

    /// Passes every call through: for a stack whose type must not change.
    pub const fn off() -> Self {
        Self {}
    }
}

impl<S> Layer<S> for ContextWindowLayer {
    type Service = ContextWindow<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ContextWindow { inner }
    }
}

impl<S, ResB> Service<Request<RequestBody>> for ContextWindow<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResB>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    /// Forwards the inner service's readiness.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Error::flatten)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        ResponseFuture { inner: self.inner.call(request) }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx).map_err(Error::flatten)
    }
}
