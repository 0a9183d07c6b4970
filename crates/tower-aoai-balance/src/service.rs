use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_aoai_core::{BoxError, CallContext, Error, Replay};
use tower_service::Service;

use crate::{ResponseBody, ResponseFuture, stacks::Stacks};

/// The service of a [`BalanceLayer`](crate::BalanceLayer), over members' stacks `S`.
pub struct Balance<S> {
    stacks: Arc<Stacks<S>>,
}

impl<S> Balance<S> {
    pub(crate) fn new(stacks: Stacks<S>) -> Self {
        Self { stacks: Arc::new(stacks) }
    }
}

impl<S, B, ResB> Service<Request<B>> for Balance<S>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
    S::Error: Into<BoxError>,
    B: Replay,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<ResB>>;
    type Error = Error;
    type Future = ResponseFuture<S, B>;

    /// Always ready: only the chosen member's readiness is needed, and taken inside the future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    /// The chosen member's answer, whatever its status.
    ///
    /// # Errors
    ///
    /// A refusal with [`Reason::NoEndpoint`](tower_aoai_core::Reason::NoEndpoint) where every member is shut (or one
    /// soon opens, and a retry layer above comes back then), with
    /// [`Reason::StartBy`](tower_aoai_core::Reason::StartBy) or [`Reason::Deadline`](tower_aoai_core::Reason::Deadline)
    /// where none can start the call in time; each names the instant at which the first member could, if one is known.
    /// Where every member's own gates refused for the same reason, that reason. And the member's errors,
    /// [flattened](Error::flatten).
    ///
    /// # Cancellation
    ///
    /// Dropping the future, or the body, drops what was begun and counts the call out. Of a call whose answer had not
    /// come it is remembered how long was waited for nothing.
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let context = CallContext::of(&mut request).clone();
        ResponseFuture::new(Arc::clone(&self.stacks), request, context)
    }
}

impl<S> Clone for Balance<S> {
    fn clone(&self) -> Self {
        Self { stacks: Arc::clone(&self.stacks) }
    }
}

impl<S> fmt::Debug for Balance<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stacks.fmt(f)
    }
}
