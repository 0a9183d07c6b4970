use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;

use super::{AnswerBody, assembly::CallFuture, flight::Ticket};
use crate::core::Error;

/// The future of a [`Stack`](super::Stack). Dropping it gives the call up.
#[must_use = "futures do nothing unless polled"]
pub struct StackFuture {
    call: CallFuture,
    /// `None` for a call that comes after the end.
    ticket: Option<Ticket>,
}

impl StackFuture {
    pub(super) const fn calling(call: CallFuture, ticket: Ticket) -> Self {
        Self { call, ticket: Some(ticket) }
    }

    pub(super) const fn refused(refusal: CallFuture) -> Self {
        Self { call: refusal, ticket: None }
    }
}

impl Future for StackFuture {
    type Output = Result<Response<AnswerBody>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.call.as_mut().poll(cx));
        let ticket = self.ticket.take();
        Poll::Ready(answer.map(|response| match ticket {
            Some(ticket) => response.map(|body| body.holding(ticket)),
            None => response,
        }))
    }
}

impl fmt::Debug for StackFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackFuture").field("is_under_way", &self.ticket.is_some()).finish_non_exhaustive()
    }
}
