//! From the send to the head.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project::pin_project;
use tokio::time::{Instant, Sleep};

use super::{ResponseBody, limits::Limits};
use crate::{Attempt, BoxError, Error, POLLED_AGAIN, headers, timer};

/// The future of an [`AttemptTimeout`](super::AttemptTimeout).
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F> {
    #[pin]
    inner: Option<F>,
    limits: Limits,
    /// The call asks for a stream.
    streams: bool,
    attempt: Option<Arc<Attempt>>,
    /// Set at the first poll, which is the send.
    sent: Option<Instant>,
    #[pin]
    timer: Option<Sleep>,
}

impl<F> ResponseFuture<F> {
    pub(super) const fn new(inner: F, limits: Limits, streams: bool, attempt: Option<Arc<Attempt>>) -> Self {
        Self { inner: Some(inner), limits, streams, attempt, sent: None, timer: None }
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
        let inner = this.inner.as_mut().as_pin_mut().expect(POLLED_AGAIN);
        if this.limits.is_off() {
            let result = ready!(inner.poll(cx)).map_err(Error::flatten);
            this.inner.set(None);
            return Poll::Ready(result.map(|response| response.map(ResponseBody::unlimited)));
        }
        let sent = *this.sent.get_or_insert_with(Instant::now);
        // The inner future first: an answer that is there counts.
        if let Poll::Ready(result) = inner.poll(cx) {
            this.inner.set(None);
            let response = result.map_err(Error::flatten)?;
            let awaits_content = headers::is_event_stream(response.headers());
            let (limits, attempt) = (*this.limits, this.attempt.take());
            return Poll::Ready(Ok(
                response.map(|body| ResponseBody::limited(body, limits, sent, awaits_content, attempt))
            ));
        }
        let Some((at, timeout)) = this.limits.before_head(sent, *this.streams) else {
            return Poll::Pending;
        };
        ready!(timer::poll_until(this.timer, at, cx));
        this.inner.set(None);
        Poll::Ready(Err(timeout.into()))
    }
}
