//! Addresses a call to one Azure OpenAI endpoint.
//!
//! **As yet this crate only passes calls through**: its types, bounds and place in a stack are what they will be; the
//! addressing, the rewriting of deployment and model, and the credentials are not there.
//!
//! [`EndpointLayer`] stands innermost of the layers that admit a call, so that its credential is ready before quota is
//! stamped, and above [`ObserveLayer`](tower_aoai_core::ObserveLayer).

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
pub struct EndpointLayer {}

/// The service of a [`EndpointLayer`].
#[derive(Debug, Clone)]
pub struct Endpoint<S> {
    inner: S,
}

/// The future of a [`Endpoint`].
#[pin_project]
#[derive(Debug)]
pub struct ResponseFuture<F> {
    #[pin]
    inner: F,
}

impl EndpointLayer {
    /// Leaves requests as they are addressed.
    pub const fn new() -> Self {
        Self {}
    }

    /// Passes every call through: for a stack whose type must not change.
    pub const fn off() -> Self {
        Self {}
    }
}

impl<S> Layer<S> for EndpointLayer {
    type Service = Endpoint<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Endpoint { inner }
    }
}

impl<S, ResB> Service<Request<RequestBody>> for Endpoint<S>
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
