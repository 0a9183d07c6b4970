//! The answer, until the deadline.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tokio::time::Instant;

use crate::{BoxError, Error, Timeout, timer::MovingTimer};

/// A response body that ends with [`Timeout::Deadline`] at the call's deadline, and lets go of the inner body then.
///
/// A frame that is there at the deadline still counts; behind it only the last one does, so that a body that always has
/// something ends, too.
///
/// # Errors
///
/// [`Timeout::Deadline`], and the inner body's, flattened ([`Error::flatten`]).
#[pin_project]
#[derive(Debug)]
#[must_use = "a body does nothing unless polled"]
pub struct ResponseBody<B> {
    #[pin]
    inner: Option<B>,
    deadline: Option<Instant>,
    timer: MovingTimer,
}

impl<B> ResponseBody<B> {
    pub(super) fn new(inner: B, deadline: Option<Instant>) -> Self {
        Self { inner: Some(inner), deadline, timer: MovingTimer::default() }
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
        let Some(deadline) = *this.deadline else { return polled };
        match polled {
            Poll::Ready(Some(Ok(_))) if Instant::now() > deadline && !inner.is_end_stream() => {}
            Poll::Ready(_) => return polled,
            Poll::Pending => ready!(this.timer.poll_until(deadline, cx)),
        }
        this.inner.set(None);
        Poll::Ready(Some(Err(Timeout::Deadline.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
