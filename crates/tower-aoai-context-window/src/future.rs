use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project::pin_project;
use tokio::time::Instant;
use tower_aoai_core::{BoxError, CallContext, Error, Rejected};
use tower_service::Service;

use crate::{ContextUse, count::Counting, verdict::Verdict};

/// The future of a [`ContextWindow`](crate::ContextWindow).
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    #[pin]
    state: State<S, B, S::Future>,
}

#[pin_project(project = StateProj)]
#[expect(clippy::large_enum_variant, reason = "which is the larger depends on the stack, and a box is an allocation")]
enum State<S, B, F> {
    Counting {
        counting: Counting,
        inner: S,
        /// `None` once it was handed down.
        request: Option<Request<B>>,
        verdict: Verdict,
    },
    Calling {
        #[pin]
        answer: F,
        used: Option<ContextUse>,
    },
    /// `None` once it was told.
    Refused(Option<Rejected>),
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(crate) fn calling(answer: S::Future, used: Option<ContextUse>) -> Self {
        Self { state: State::Calling { answer, used } }
    }

    pub(crate) fn counting(counting: Counting, inner: S, request: Request<B>, verdict: Verdict) -> Self {
        Self { state: State::Counting { counting, inner, request: Some(request), verdict } }
    }

    pub(crate) fn refused(rejected: Rejected) -> Self {
        Self { state: State::Refused(Some(rejected)) }
    }
}

impl<S, B, ResB> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    S::Error: Into<BoxError>,
    B: 'static,
{
    type Output = Result<Response<ResB>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Counting { counting, inner, request, verdict } => {
                    let judgement = ready!(Pin::new(counting).poll(cx));
                    let Some(mut request) = request.take() else {
                        return Poll::Pending;
                    };
                    CallContext::of(&mut request).set_now(Instant::now());
                    match verdict.carry_out(judgement, &mut request) {
                        Ok(used) => State::Calling { answer: inner.call(request), used },
                        Err(rejected) => State::Refused(Some(rejected)),
                    }
                }
                StateProj::Calling { answer, used } => {
                    let mut response = ready!(answer.poll(cx)).map_err(Error::flatten)?;
                    if let Some(used) = used.take() {
                        response.extensions_mut().insert(used);
                    }
                    return Poll::Ready(Ok(response));
                }
                StateProj::Refused(rejected) => {
                    return rejected.take().map_or(Poll::Pending, |rejected| Poll::Ready(Err(rejected.into())));
                }
            };
            state.set(next);
        }
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Counting { .. } => "counting",
            State::Calling { .. } => "calling",
            State::Refused(_) => "refused",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
