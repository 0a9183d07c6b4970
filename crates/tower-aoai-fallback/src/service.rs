use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_aoai_core::{BoxError, CallContext, Error, Replay};
use tower_service::Service;

use crate::{Patience, ResponseBody, ResponseFuture, course::Course, shared::Shared, tally::Tally};

/// The service of a [`FallbackLayer`](crate::FallbackLayer).
#[derive(Debug, Clone)]
pub struct Fallback<S> {
    legs: Arc<[S]>,
    shared: Arc<Shared>,
}

impl<S> Fallback<S> {
    pub(crate) const fn new(legs: Arc<[S]>, shared: Arc<Shared>) -> Self {
        Self { legs, shared }
    }
}

impl<S, B, ResB> Service<Request<B>> for Fallback<S>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
    S::Error: Into<BoxError>,
    B: Replay,
    ResB: Body<Data = Bytes> + Unpin,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<ResB>>;
    type Error = Error;
    type Future = ResponseFuture<S, B, ResB>;

    /// Always ready: only the chosen leg's readiness is needed, and taken inside the future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    /// Fails only where no leg had an answer of a server: with the last leg's error, and of a refusal with the earliest
    /// instant that any leg named.
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let own_patience = request.extensions().get::<Patience>().copied();
        let context = CallContext::with(&mut request, |context| context.clone());
        let tally = Tally::new(Arc::clone(&self.shared), context.call());
        let course = Course::new(tally, context, own_patience);
        ResponseFuture::new(Arc::clone(&self.legs), request, course)
    }
}
