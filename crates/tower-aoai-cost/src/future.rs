use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project::pin_project;
use tower_aoai_core::{BoxError, Error, GuardedBody, GuardedFuture, Rejected};

use crate::{CallCost, booking::Booking};

/// The response body of a [`Cost`](crate::Cost): books the call at its end, or when it is dropped.
pub type ResponseBody<B> = GuardedBody<B, Booking>;

/// The future of a [`Cost`](crate::Cost).
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
}

#[pin_project(project = StateProj)]
#[derive(Debug)]
enum State<F> {
    Calling {
        #[pin]
        answer: GuardedFuture<F, Booking>,
        cost: Option<CallCost>,
    },
    /// `None` once it was told.
    Refused(Option<Rejected>),
}

impl<F> ResponseFuture<F> {
    pub(crate) fn calling(inner: F, booking: Option<Booking>) -> Self {
        let cost = booking.as_ref().map(|booking| booking.cost().clone());
        Self { state: State::Calling { answer: GuardedFuture::new(inner, booking), cost } }
    }

    pub(crate) const fn refused(rejected: Rejected) -> Self {
        Self { state: State::Refused(Some(rejected)) }
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
        match self.project().state.project() {
            StateProj::Calling { answer, cost } => {
                let mut response = ready!(answer.poll(cx))?;
                if let Some(cost) = cost.take() {
                    response.extensions_mut().insert(cost);
                }
                Poll::Ready(Ok(response))
            }
            StateProj::Refused(rejected) => {
                rejected.take().map_or(Poll::Pending, |rejected| Poll::Ready(Err(rejected.into())))
            }
        }
    }
}
