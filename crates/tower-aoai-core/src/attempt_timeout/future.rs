use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Response, header};
use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    ResponseBody,
    limits::{Limits, Seen},
};
use crate::{Attempt, BoxError, Error, Timeout};

/// The future of an [`AttemptTimeout`](super::AttemptTimeout).
#[pin_project]
#[derive(Debug)]
pub struct ResponseFuture<F> {
    #[pin]
    inner: F,
    limits: Limits,
    attempt: Option<Arc<Attempt>>,
    /// Set at the first poll, which is the send.
    sent: Option<Instant>,
    #[pin]
    timer: Option<Sleep>,
    expires: Timeout,
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, limits: Limits, attempt: Option<Arc<Attempt>>) -> Self {
        Self { inner, limits, attempt, sent: None, timer: None, expires: Timeout::Total }
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
        if this.limits.is_off() {
            let response = ready!(this.inner.poll(cx)).map_err(Error::flatten)?;
            return Poll::Ready(Ok(response.map(ResponseBody::unlimited)));
        }
        let sent = *this.sent.get_or_insert_with(Instant::now);
        if let Poll::Ready(result) = this.inner.poll(cx) {
            let response = result.map_err(Error::flatten)?;
            let awaits_content = is_event_stream(&response);
            let seen = Seen { sent, latest: Some(Instant::now()), awaits_content };
            let (limits, attempt) = (*this.limits, this.attempt.take());
            return Poll::Ready(Ok(response.map(|body| ResponseBody::limited(body, limits, seen, attempt))));
        }
        if this.timer.is_none()
            && let Some((at, timeout)) = this.limits.next(Seen { sent, latest: None, awaits_content: true })
        {
            this.timer.set(Some(sleep_until(at)));
            *this.expires = timeout;
        }
        let Some(timer) = this.timer.as_pin_mut() else {
            return Poll::Pending;
        };
        ready!(timer.poll(cx));
        Poll::Ready(Err((*this.expires).into()))
    }
}

fn is_event_stream<B>(response: &Response<B>) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("text/event-stream"))
}
