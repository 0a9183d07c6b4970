use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project::pin_project;
use tower_aoai_core::{BoxError, Error, GuardedFuture, Rejected};

use crate::{Permit, ResponseBody};

/// The future of a [`CircuitBreaker`](crate::CircuitBreaker).
///
/// Dropped, it gives back what it held; a probe that is dropped before it has shown anything decides nothing.
///
/// # Errors
///
/// A refusal, with nothing sent, or the inner service's error, [flattened](Error::flatten).
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
    Calling(#[pin] GuardedFuture<F, Permit>),
    Refused(Option<Rejected>),
}

impl<F> ResponseFuture<F> {
    pub(crate) const fn calling(inner: F, permit: Option<Permit>) -> Self {
        Self { state: State::Calling(GuardedFuture::new(inner, permit)) }
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
            StateProj::Calling(calling) => calling.poll(cx),
            StateProj::Refused(rejected) => match rejected.take() {
                Some(rejected) => Poll::Ready(Err(rejected.into())),
                None => panic!("a future was polled after it had answered"),
            },
        }
    }
}
