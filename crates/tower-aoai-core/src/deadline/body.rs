use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{BoxError, Error, Timeout};

/// A response body that ends with [`Timeout::Deadline`] at the call's deadline, and lets go of the inner body then.
#[pin_project]
#[derive(Debug)]
pub struct ResponseBody<B> {
    #[pin]
    inner: Option<B>,
    #[pin]
    timer: Option<Sleep>,
}

impl<B> ResponseBody<B> {
    pub(super) fn unbounded(inner: B) -> Self {
        Self { inner: Some(inner), timer: None }
    }

    pub(super) fn bounded(inner: B, deadline: Instant) -> Self {
        Self { inner: Some(inner), timer: Some(sleep_until(deadline)) }
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
        if let Poll::Ready(frame) = inner.poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::flatten)));
        }
        let Some(timer) = this.timer.as_pin_mut() else {
            return Poll::Pending;
        };
        ready!(timer.poll(cx));
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
