//! The service.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use super::{ResponseBody, ResponseFuture};
use crate::{BoxError, CallContext, Error};

/// A service whose calls have a deadline: what [`DeadlineLayer`](super::DeadlineLayer) makes.
///
/// Readiness is the inner service's own, and is waited for outside the deadline. Dropping its future or body drops the
/// inner one.
///
/// # Errors
///
/// [`Reason::Deadline`](crate::Reason::Deadline) for a call that comes at its deadline or later, with nothing sent;
/// [`Timeout::Deadline`](crate::Timeout::Deadline) for one that takes longer, from the future or from the body, after
/// the inner one was dropped. And the inner service's, flattened ([`Error::flatten`]).
#[derive(Debug, Clone)]
pub struct Deadline<S> {
    inner: S,
    total: Option<Duration>,
}

impl<S> Deadline<S> {
    pub(super) const fn new(inner: S, total: Option<Duration>) -> Self {
        Self { inner, total }
    }
}

impl<S, B, R> Service<Request<B>> for Deadline<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Error::flatten)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let context = CallContext::of(&mut request);
        // The call may have waited since the clock was last read for it.
        let now = Instant::now();
        context.set_now(now);
        if let Some(deadline) = self.total.and_then(|total| now.checked_add(total)) {
            context.tighten_deadline(deadline);
        }
        match context.deadline() {
            Some(deadline) if deadline <= now => ResponseFuture::late(),
            deadline => ResponseFuture::new(self.inner.call(request), deadline),
        }
    }
}
