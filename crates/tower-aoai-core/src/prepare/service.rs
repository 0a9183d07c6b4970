//! The service.

use std::{
    mem,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response, header};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use super::{ResponseFuture, collect::Collect};
use crate::{BoxError, Error, RequestBody};

/// A service whose requests are read first: what [`PrepareLayer`](super::PrepareLayer) makes.
///
/// It is ready when the inner service is; the future calls the very instance that was ready.
///
/// # Errors
///
/// [`Error::Rejected`] with [`Reason::BodyTooLarge`](crate::Reason::BodyTooLarge), [`Error::Transport`] with a
/// [`BodyError`](super::BodyError) when the caller's body fails, and those of the inner service, taken over as they
/// are if they are ours.
#[derive(Debug, Clone)]
pub struct Prepare<S> {
    inner: S,
    body_limit: usize,
}

impl<S> Prepare<S> {
    pub(super) const fn new(inner: S, body_limit: usize) -> Self {
        Self { inner, body_limit }
    }
}

impl<S, B, R> Service<Request<B>> for Prepare<S>
where
    S: Service<Request<RequestBody>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Response = Response<R>;
    type Error = Error;
    type Future = ResponseFuture<S, B, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Error::flatten)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        let announced = announced(&head.headers).max(body.size_hint().lower());
        if announced > self.body_limit as u64 {
            return ResponseFuture::too_large(self.body_limit);
        }
        let unready = self.inner.clone();
        let ready = mem::replace(&mut self.inner, unready);
        let head = Request::from_parts(head, ());
        let body = Collect::new(body, self.body_limit);
        ResponseFuture::collecting(ready, head, body, Instant::now())
    }
}

/// What `content-length` says, 0 if nothing that can be read.
fn announced(headers: &HeaderMap) -> u64 {
    headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse().ok()).unwrap_or(0)
}
