//! The call, until the deadline.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project::pin_project;
use tokio::time::{Instant, Sleep};

use super::{NAME, ResponseBody};
use crate::{BoxError, Error, POLLED_AGAIN, Reason, Rejected, Timeout, timer};

/// The future of a [`Deadline`](super::Deadline).
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
    deadline: Option<Instant>,
    #[pin]
    timer: Option<Sleep>,
}

#[pin_project(project = StateProj)]
#[derive(Debug)]
enum State<F> {
    Late,
    Calling(#[pin] F),
    Done,
}

impl<F> ResponseFuture<F> {
    pub(super) const fn late() -> Self {
        Self { state: State::Late, deadline: None, timer: None }
    }

    pub(super) const fn new(inner: F, deadline: Option<Instant>) -> Self {
        Self { state: State::Calling(inner), deadline, timer: None }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let deadline = *this.deadline;
        let result = match this.state.as_mut().project() {
            StateProj::Late => Err(Rejected::new(Reason::Deadline, NAME).into()),
            // The inner future first: an answer that is there counts, and most calls never touch the timer wheel.
            StateProj::Calling(inner) => match (inner.poll(cx), deadline) {
                (Poll::Ready(result), _) => {
                    let bounded = |body| ResponseBody::new(body, deadline);
                    result.map(|response| response.map(bounded)).map_err(Error::flatten)
                }
                (Poll::Pending, None) => return Poll::Pending,
                (Poll::Pending, Some(deadline)) => {
                    ready!(timer::poll_until(this.timer, deadline, cx));
                    Err(Timeout::Deadline.into())
                }
            },
            StateProj::Done => panic!("{POLLED_AGAIN}"),
        };
        this.state.set(State::Done);
        Poll::Ready(result)
    }
}
