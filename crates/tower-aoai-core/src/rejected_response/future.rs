//! From an error to an answer.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project::pin_project;
use tokio::time::Instant;

use super::{ResponseBody, body, layer::Answers};
use crate::{BoxError, Error};

/// The future of a [`RejectedResponse`](super::RejectedResponse).
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F> {
    #[pin]
    inner: F,
    answers: Answers,
}

impl<F> ResponseFuture<F> {
    pub(super) const fn new(inner: F, answers: Answers) -> Self {
        Self { inner, answers }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(match ready!(this.inner.poll(cx)) {
            Ok(response) => Ok(response.map(ResponseBody::inner)),
            Err(error) => match Error::flatten(error) {
                error if this.answers.take(&error) => Ok(body::response(&error, Instant::now())),
                error => Err(error),
            },
        })
    }
}
