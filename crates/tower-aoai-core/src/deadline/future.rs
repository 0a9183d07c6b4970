use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::ResponseBody;
use crate::{BoxError, Error, Rejected, Timeout};

/// The future of a [`Deadline`](super::Deadline).
#[pin_project]
#[derive(Debug)]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
}

#[pin_project(project = StateProject)]
#[derive(Debug)]
enum State<F> {
    Refused(Option<Rejected>),
    Unbounded(#[pin] F),
    Bounded {
        #[pin]
        inner: F,
        deadline: Instant,
        #[pin]
        timer: Sleep,
    },
}

impl<F> ResponseFuture<F> {
    pub(super) fn refused(rejected: Rejected) -> Self {
        Self { state: State::Refused(Some(rejected)) }
    }

    pub(super) fn new(inner: F, deadline: Option<Instant>) -> Self {
        let state = match deadline {
            Some(deadline) => State::Bounded { inner, deadline, timer: sleep_until(deadline) },
            None => State::Unbounded(inner),
        };
        Self { state }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProject::Refused(rejected) => match rejected.take() {
                Some(rejected) => Poll::Ready(Err(rejected.into())),
                None => Poll::Pending,
            },
            StateProject::Unbounded(inner) => {
                let response = ready!(inner.poll(cx)).map_err(Error::flatten)?;
                Poll::Ready(Ok(response.map(ResponseBody::unbounded)))
            }
            StateProject::Bounded { inner, deadline, timer } => {
                // The inner future first: an answer that is there counts, and most calls never touch the timer wheel.
                if let Poll::Ready(result) = inner.poll(cx) {
                    let response = result.map_err(Error::flatten)?;
                    return Poll::Ready(Ok(response.map(|body| ResponseBody::bounded(body, *deadline))));
                }
                ready!(timer.poll(cx));
                Poll::Ready(Err(Timeout::Deadline.into()))
            }
        }
    }
}
