use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;

use super::{AnswerBody, assembly::CallFuture, flight::Ticket};
use crate::core::{Error, Reason, Rejected};

/// The future of a [`Stack`](super::Stack). Dropping it gives the call up.
#[must_use = "futures do nothing unless polled"]
pub struct StackFuture {
    /// `None` for a call that comes after the end.
    call: Option<(CallFuture, Option<Ticket>)>,
}

impl StackFuture {
    pub(super) const fn calling(call: CallFuture, ticket: Ticket) -> Self {
        Self { call: Some((call, Some(ticket))) }
    }

    pub(super) const fn refused() -> Self {
        Self { call: None }
    }
}

impl Future for StackFuture {
    type Output = Result<Response<AnswerBody>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((call, ticket)) = &mut self.call else {
            return Poll::Ready(Err(Rejected::new(Reason::ShuttingDown, "stack").into()));
        };
        let answer = ready!(call.as_mut().poll(cx));
        let ticket = ticket.take();
        Poll::Ready(answer.map(|response| match ticket {
            Some(ticket) => response.map(|body| body.holding(ticket)),
            None => response,
        }))
    }
}

impl fmt::Debug for StackFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackFuture").field("is_refused", &self.call.is_none()).finish_non_exhaustive()
    }
}
