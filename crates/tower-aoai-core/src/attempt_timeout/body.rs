use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits::{Limits, Seen};
use crate::{Attempt, BoxError, Error};

/// A response body that fails with [`Error::Timeout`] when a limit of its attempt runs out, and lets go of the inner
/// body then.
#[pin_project]
#[derive(Debug)]
pub struct ResponseBody<B> {
    #[pin]
    inner: Option<B>,
    limits: Limits,
    seen: Option<Seen>,
    /// The attempt that an observer above reports content to; without an observer the first frame is content.
    attempt: Option<Arc<Attempt>>,
    /// Boxed, and only once it is needed: the observer above reads the head of a stream before it hands the body on,
    /// and a body that has been polled can be moved only if it is `Unpin`.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> ResponseBody<B> {
    pub(super) fn unlimited(inner: B) -> Self {
        Self { inner: Some(inner), limits: Limits::default(), seen: None, attempt: None, timer: None }
    }

    pub(super) fn limited(inner: B, limits: Limits, seen: Seen, attempt: Option<Arc<Attempt>>) -> Self {
        let attempt = attempt.filter(|attempt| attempt.is_sent());
        Self { inner: Some(inner), limits, seen: Some(seen), attempt, timer: None }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let polled = inner.poll_frame(cx).map_err(Error::flatten);
        let Some(seen) = this.seen else { return polled };
        if polled.is_ready() {
            seen.latest = Some(Instant::now());
            if this.attempt.is_none() {
                seen.awaits_content = false;
            }
            return polled;
        }
        // The observer marks content after this body has handed the frame on, so it is known at the next poll.
        if seen.awaits_content && this.attempt.as_ref().is_some_and(|attempt| attempt.has_content()) {
            seen.awaits_content = false;
        }
        let Some((at, timeout)) = this.limits.next(*seen) else {
            return Poll::Pending;
        };
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        ready!(timer.as_mut().poll(cx));
        this.inner.set(None);
        Poll::Ready(Some(Err(timeout.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
