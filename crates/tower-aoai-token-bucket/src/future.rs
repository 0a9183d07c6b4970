use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_aoai_core::{BoxError, Error, GuardedFuture};
use tower_service::Service;

use crate::{Reservation, ResponseBody};

/// The future of a [`TokenBucket`](crate::TokenBucket).
#[pin_project]
pub struct ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    service: S,
    request: Option<Request<B>>,
    #[pin]
    calling: Option<GuardedFuture<S::Future, Reservation>>,
    /// Held here until the call is made; dropped after everything above.
    reservation: Option<Reservation>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(crate) const fn new(service: S, request: Request<B>, reservation: Option<Reservation>) -> Self {
        Self { service, request: Some(request), calling: None, reservation }
    }
}

impl<S, B, ResB> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    S::Error: Into<BoxError>,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<ResB>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if let Some(calling) = this.calling.as_mut().as_pin_mut() {
                return calling.poll(cx);
            }
            ready!(this.service.poll_ready(cx)).map_err(Error::flatten)?;
            let Some(request) = this.request.take() else {
                return Poll::Pending;
            };
            let future = GuardedFuture::new(this.service.call(request), this.reservation.take());
            this.calling.set(Some(future));
        }
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("reservation", &self.reservation).finish_non_exhaustive()
    }
}
