//! The service.

use std::task::{Context, Poll};

use http::Request;
use tower_service::Service;

use super::ask::ask;
use crate::RequestBody;

/// A service whose streamed answers tell their usage: what [`IncludeUsageLayer`](super::IncludeUsageLayer) makes.
///
/// Readiness, future and errors are the inner service's own.
#[derive(Debug, Clone, Copy)]
pub struct IncludeUsage<S> {
    inner: S,
    on: bool,
}

impl<S> IncludeUsage<S> {
    pub(super) const fn new(inner: S, on: bool) -> Self {
        Self { inner, on }
    }
}

impl<S> Service<Request<RequestBody>> for IncludeUsage<S>
where
    S: Service<Request<RequestBody>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        if self.on {
            ask(&mut request);
        }
        self.inner.call(request)
    }
}
