//! From the head to the last byte.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tokio::time::Instant;

use super::limits::Limits;
use crate::{Attempt, BoxError, Error, Timeout, timer::MovingTimer};

/// A response body that fails with [`Error::Timeout`] when a limit of its attempt runs out, and lets go of the inner
/// body then.
///
/// `Unpin` where the inner body is, also after it was polled: [`ObserveLayer`](crate::ObserveLayer) above reads the
/// head of a stream before it hands the body on.
///
/// # Errors
///
/// [`Timeout::FirstToken`], [`Timeout::Idle`] or [`Timeout::Total`], and the inner body's, flattened
/// ([`Error::flatten`]).
#[pin_project]
#[derive(Debug)]
#[must_use = "a body does nothing unless polled"]
pub struct ResponseBody<B> {
    #[pin]
    inner: Option<B>,
    watch: Option<Watch>,
    timer: MovingTimer,
}

#[derive(Debug)]
struct Watch {
    limits: Limits,
    sent: Instant,
    /// The first content is still to come.
    awaits_content: bool,
    /// The attempt that an observer above reports content to; without an observer the first frame is content.
    attempt: Option<Arc<Attempt>>,
    /// When the body was first found to have nothing since its last frame.
    silent_since: Option<Instant>,
}

impl<B> ResponseBody<B> {
    pub(super) fn unlimited(inner: B) -> Self {
        Self { inner: Some(inner), watch: None, timer: MovingTimer::default() }
    }

    pub(super) fn limited(
        inner: B,
        limits: Limits,
        sent: Instant,
        awaits_content: bool,
        attempt: Option<Arc<Attempt>>,
    ) -> Self {
        let watch = Watch { limits, sent, awaits_content, attempt, silent_since: None };
        Self { watch: Some(watch), ..Self::unlimited(inner) }
    }
}

impl Watch {
    /// A frame came, which is not the last one.
    fn came(&mut self) -> Result<(), Error> {
        self.silent_since = None;
        if self.attempt.is_none() {
            self.awaits_content = false;
        }
        match self.limits.total_at(self.sent) {
            // A body that always has something is never found silent, where the timer would end it.
            Some(at) if Instant::now() > at => Err(Timeout::Total.into()),
            _ => Ok(()),
        }
    }

    /// Nothing came: the limit that runs out next.
    fn silent(&mut self) -> Option<(Instant, Timeout)> {
        // The observer marks content behind the poll that handed it on.
        let has_content = |attempt: &Arc<Attempt>| attempt.has_content();
        if self.awaits_content && self.attempt.as_ref().is_some_and(has_content) {
            self.awaits_content = false;
        }
        let since = *self.silent_since.get_or_insert_with(Instant::now);
        self.limits.behind_head(self.sent, self.awaits_content, since)
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
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let polled = inner.as_mut().poll_frame(cx).map_err(Error::flatten);
        let Some(watch) = this.watch else { return polled };
        let error = match polled {
            Poll::Ready(Some(Ok(frame))) => match watch.came() {
                Err(error) if !inner.is_end_stream() => error,
                _ => return Poll::Ready(Some(Ok(frame))),
            },
            Poll::Ready(end) => return Poll::Ready(end),
            Poll::Pending => {
                let Some((at, timeout)) = watch.silent() else {
                    return Poll::Pending;
                };
                ready!(this.timer.poll_until(at, cx));
                timeout.into()
            }
        };
        this.inner.set(None);
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
