use std::{
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{ResponseBody, ResponseFuture};
use crate::{BoxError, CallContext, Error, Reason, Rejected};

/// The service of a [`DeadlineLayer`](super::DeadlineLayer).
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

impl<S, B, ResB> Service<Request<B>> for Deadline<S>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    S::Error: Into<BoxError>,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<ResB>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Error::flatten)
    }

    /// Refuses with [`Reason::Deadline`] what comes after its deadline; ends with
    /// [`Timeout::Deadline`](crate::Timeout::Deadline) what takes longer. Dropping the future drops the inner one.
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let context = CallContext::of(&mut request);
        if let Some(total) = self.total
            && let Some(deadline) = context.now().checked_add(total)
        {
            context.tighten_deadline(deadline);
        }
        match context.deadline() {
            Some(deadline) if deadline <= context.now() => {
                ResponseFuture::refused(Rejected::new(Reason::Deadline, "deadline"))
            }
            deadline => ResponseFuture::new(self.inner.call(request), deadline),
        }
    }
}
