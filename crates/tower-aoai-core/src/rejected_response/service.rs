//! The service.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{ResponseBody, ResponseFuture, layer::Answers};
use crate::{BoxError, Error};

/// A service whose refusals are responses: what [`RejectedResponseLayer`](super::RejectedResponseLayer) makes.
///
/// Readiness is the inner service's own; its errors stay errors, for there is no request yet to answer.
///
/// # Errors
///
/// Those of the inner service that are not made responses, flattened ([`Error::flatten`]).
#[derive(Debug, Clone)]
pub struct RejectedResponse<S> {
    inner: S,
    answers: Answers,
}

impl<S> RejectedResponse<S> {
    pub(super) const fn new(inner: S, answers: Answers) -> Self {
        Self { inner, answers }
    }
}

impl<S, B, R> Service<Request<B>> for RejectedResponse<S>
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResponseFuture::new(self.inner.call(request), self.answers)
    }
}
