use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_aoai_core::{BoxError, CallContext, Error, Replay};
use tower_service::Service;

use crate::{Member, ResponseFuture};

/// The service of a [`BalanceLayer`](crate::BalanceLayer).
#[derive(Debug, Clone)]
pub struct Balance<S> {
    members: Arc<[Member<S>]>,
}

impl<S> Balance<S> {
    pub(crate) const fn new(members: Arc<[Member<S>]>) -> Self {
        Self { members }
    }
}

impl<S, B, ResB> Service<Request<B>> for Balance<S>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
    S::Error: Into<BoxError>,
    B: Replay,
{
    type Response = Response<ResB>;
    type Error = Error;
    type Future = ResponseFuture<S, B>;

    /// Always ready: only the chosen member's readiness is needed, and taken inside the future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    /// Fails with [`Reason::NoEndpoint`](tower_aoai_core::Reason::NoEndpoint) where every member is shut.
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let context = CallContext::of(&mut request).clone();
        ResponseFuture::new(Arc::clone(&self.members), request, context)
    }
}
