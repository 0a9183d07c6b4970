//! Sent, or refused before.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;

use crate::{BoxError, Error, POLLED_AGAIN, Rejected};

/// The future of a layer that either hands a request down at once or refuses it.
///
/// Dropping it drops the inner future.
///
/// # Errors
///
/// The refusal, with nothing sent, or the inner future's error, flattened ([`Error::flatten`]).
///
/// # Panics
///
/// When it is polled again after a refusal.
///
/// ```
/// use std::future::{Ready, ready};
/// use tower_aoai_core::{Error, Reason, Rejected, Sending};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// assert_eq!(Sending::calling(ready(Ok::<_, Error>("answer"))).await?, "answer");
///
/// let refused = Sending::<Ready<Result<(), Error>>>::refused(Rejected::new(Reason::QueueFull, "example"));
/// assert_eq!(refused.await.unwrap_err().rejected().unwrap().reason(), Reason::QueueFull);
/// # Ok(())
/// # }
/// ```
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Sending<F>(#[pin] State<F>);

#[pin_project(project = StateProj)]
#[derive(Debug)]
enum State<F> {
    Calling(#[pin] F),
    /// `None` once it was told.
    Refused(Option<Rejected>),
}

impl<F> Sending<F> {
    /// The request was handed down: this is what comes of it.
    pub const fn calling(inner: F) -> Self {
        Self(State::Calling(inner))
    }

    /// It was not.
    pub const fn refused(rejected: Rejected) -> Self {
        Self(State::Refused(Some(rejected)))
    }
}

impl<F, T, E> Future for Sending<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            StateProj::Calling(inner) => inner.poll(cx).map_err(Error::flatten),
            StateProj::Refused(rejected) => Poll::Ready(Err(rejected.take().expect(POLLED_AGAIN).into())),
        }
    }
}
