use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project::pin_project;
use tower_aoai_core::{BoxError, Error, GuardedBody, GuardedFuture, Rejected, Sending};

use crate::{CallCost, booking::Booking};

/// The response body of a [`Cost`](crate::Cost): books the call at its end, or when it is dropped.
pub type ResponseBody<B> = GuardedBody<B, Booking>;

/// The future of a [`Cost`](crate::Cost).
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F> {
    #[pin]
    answer: Sending<GuardedFuture<F, Booking>>,
    cost: Option<CallCost>,
}

impl<F> ResponseFuture<F> {
    pub(crate) fn calling(inner: F, booking: Option<Booking>) -> Self {
        let cost = booking.as_ref().map(|booking| booking.cost().clone());
        Self { answer: Sending::calling(GuardedFuture::new(inner, booking)), cost }
    }

    pub(crate) const fn refused(rejected: Rejected) -> Self {
        Self { answer: Sending::refused(rejected), cost: None }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.answer.poll(cx))?;
        if let Some(cost) = this.cost.take() {
            response.extensions_mut().insert(cost);
        }
        Poll::Ready(Ok(response))
    }
}
