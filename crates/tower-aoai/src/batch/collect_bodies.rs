//! Responses with their whole body.

use std::{
    error::Error as StdError,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, response::Parts};
use http_body::Body;
use pin_project::pin_project;
use tower_aoai_core::{BoxError, Error};
use tower_service::Service;

use crate::gather::{Gather, Gathered};

/// A service whose responses come with their body in memory: what
/// [`collect_bodies`](super::BatchBuilder::collect_bodies) puts around the batch's.
///
/// # Errors
///
/// Those of the inner service and of its bodies, [flattened](Error::flatten); an [`Error::Transport`] with a
/// [`BodyLimitExceeded`] for a body that is too long, of which no more is read.
#[derive(Debug, Clone)]
pub struct CollectBodies<S> {
    inner: S,
    limit: usize,
}

/// The body of a response was longer than the batch keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimitExceeded {
    /// The most that is kept, in bytes.
    pub limit: usize,
}

impl<S> CollectBodies<S> {
    pub(super) const fn new(inner: S, limit: usize) -> Self {
        Self { inner, limit }
    }
}

impl<S, B, RB> Service<Request<B>> for CollectBodies<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Response = Response<Bytes>;
    type Error = Error;
    type Future = CollectBodiesFuture<S::Future, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Error::flatten)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        CollectBodiesFuture { state: State::Answering(self.inner.call(request)), limit: self.limit }
    }
}

/// The future of [`CollectBodies`]. Dropping it drops the call, or what was read of its body.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct CollectBodiesFuture<F, RB> {
    #[pin]
    state: State<F, RB>,
    limit: usize,
}

#[pin_project(project = StateProj)]
enum State<F, RB> {
    Answering(#[pin] F),
    Collecting {
        head: Option<Parts>,
        #[pin]
        body: RB,
        gather: Gather,
    },
}

impl<F, RB, E> Future for CollectBodiesFuture<F, RB>
where
    F: Future<Output = Result<Response<RB>, E>>,
    E: Into<BoxError>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Output = Result<Response<Bytes>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Answering(future) => {
                    let (head, body) = ready!(future.poll(cx)).map_err(Error::flatten)?.into_parts();
                    let gather = Gather::new(*this.limit);
                    this.state.set(State::Collecting { head: Some(head), body, gather });
                }
                StateProj::Collecting { head, body, gather } => {
                    return Poll::Ready(match ready!(gather.poll(body, cx)).map_err(Error::flatten)? {
                        Gathered::Whole => {
                            let head = head.take().expect("a future was polled after it had answered");
                            Ok(Response::from_parts(head, gather.take()))
                        }
                        Gathered::TooLong => Err(Error::Transport(Box::new(BodyLimitExceeded { limit: *this.limit }))),
                    });
                }
            }
        }
    }
}

impl fmt::Display for BodyLimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the body of the response is longer than the {} bytes that collect_bodies keeps: raise it",
            self.limit
        )
    }
}

impl StdError for BodyLimitExceeded {}

impl<F, RB> fmt::Debug for CollectBodiesFuture<F, RB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Answering(_) => "answering",
            State::Collecting { .. } => "collecting",
        };
        f.debug_struct("CollectBodiesFuture").field("state", &state).finish_non_exhaustive()
    }
}
