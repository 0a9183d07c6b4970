use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_aoai_core::{BoxError, CallContext, Error, Replay};
use tower_service::Service;

use crate::{Leg, ResponseFuture};

/// The service of a [`FallbackLayer`](crate::FallbackLayer).
#[derive(Debug, Clone)]
pub struct Fallback<S> {
    legs: Arc<[Leg<S>]>,
}

impl<S> Fallback<S> {
    pub(crate) const fn new(legs: Arc<[Leg<S>]>) -> Self {
        Self { legs }
    }
}

impl<S, B, ResB> Service<Request<B>> for Fallback<S>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
    S::Error: Into<BoxError>,
    B: Replay,
{
    type Response = Response<ResB>;
    type Error = Error;
    type Future = ResponseFuture<S, B>;

    /// Always ready: only the chosen leg's readiness is needed, and taken inside the future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let context = CallContext::of(&mut request).clone();
        ResponseFuture::new(Arc::clone(&self.legs), request, context)
    }
}
