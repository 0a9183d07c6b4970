//! Reading ahead, within bounds, before a response is handed on.

use std::{
    borrow::Cow,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use tokio::time::{Instant, Sleep};

use super::{ObservedBody, body::Step};
use crate::{BoxError, Error, timer};

/// What a held frame counts at least, in bytes, so that empty ones are bounded, too.
const LEAST: usize = 64;

/// A response whose body is read ahead.
#[derive(Debug)]
pub(super) struct Ahead<R> {
    response: Option<Response<ObservedBody<R>>>,
    goal: Goal,
    until: Instant,
    bytes: usize,
    left: usize,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// The body of an error, to judge it.
    ErrorBody,
    /// The first event of a stream that is no preamble.
    Content,
}

impl<R> Ahead<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    pub(super) fn new(response: Response<ObservedBody<R>>, goal: Goal, until: Instant, bytes: usize) -> Self {
        Self { response: Some(response), goal, until, bytes, left: bytes }
    }

    /// Reads until the goal or a bound is reached. The timer is made when it first has to wait.
    pub(super) fn poll(
        &mut self,
        timer: Pin<&mut Option<Sleep>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<ObservedBody<R>>, Error>> {
        let Some(response) = &mut self.response else {
            return Poll::Pending;
        };
        let body = response.body_mut();
        while self.left > 0 {
            match body.poll_ahead(cx) {
                Poll::Ready(Step::Came(bytes)) => {
                    self.left = self.left.saturating_sub(bytes.max(LEAST));
                    if self.goal == Goal::Content && !body.is_preamble() {
                        break;
                    }
                }
                Poll::Ready(Step::Over) => break,
                Poll::Pending => {
                    ready!(timer::poll_until(timer, self.until, cx));
                    break;
                }
            }
        }
        let Some(mut response) = self.response.take() else {
            return Poll::Pending;
        };
        match self.goal {
            Goal::ErrorBody => judge(&mut response, self.bytes),
            Goal::Content => {
                if let Some(error) = response.body_mut().take_error() {
                    return Poll::Ready(Err(error));
                }
                if let Some(witness) = response.body_mut().witness() {
                    witness.settle();
                }
            }
        }
        Poll::Ready(Ok(response))
    }
}

fn judge<R>(response: &mut Response<ObservedBody<R>>, limit: usize) {
    let mut body = Cow::Borrowed(&b""[..]);
    for data in response.body().read() {
        let data = &data[..data.len().min(limit - body.len())];
        if body.is_empty() {
            body = Cow::Borrowed(data);
        } else {
            body.to_mut().extend_from_slice(data);
        }
    }
    let Some(verdict) = response.body().judge_error(response.headers(), &body) else {
        return;
    };
    drop(body);
    if let Some(witness) = response.body_mut().witness() {
        witness.end(verdict);
    }
}
