//! What must live exactly as long as an attempt.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use crate::{BoxError, Error, POLLED_AGAIN, classify::ResponseHead};

/// Something held for the length of an attempt, from its admission to its last body byte: a reservation, a permit, a
/// mark.
///
/// It moves from [`GuardedFuture`] into [`GuardedBody`] and is dropped exactly once: at the end of the body, at an
/// error, or when either is dropped. Each time it is told, and dropped, *after* what it guards was dropped, so that an
/// [`ObserveLayer`](crate::ObserveLayer) below has written its verdict by then. None of its methods may block or panic.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
/// use bytes::Bytes;
/// use http::Response;
/// use http_body_util::{BodyExt, Full};
/// use tower_aoai_core::{Error, Guard, GuardedFuture};
///
/// static IN_FLIGHT: AtomicUsize = AtomicUsize::new(1);
///
/// struct Permit;
/// impl Guard for Permit {}
/// impl Drop for Permit {
///     fn drop(&mut self) {
///         IN_FLIGHT.fetch_sub(1, Relaxed);
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let inner = std::future::ready(Ok::<_, Error>(Response::new(Full::<Bytes>::from("answer"))));
/// let body = GuardedFuture::new(inner, Some(Permit)).await?.into_body();
/// assert_eq!(IN_FLIGHT.load(Relaxed), 1, "until the last byte");
/// body.collect().await?;
/// assert_eq!(IN_FLIGHT.load(Relaxed), 0);
/// # Ok(())
/// # }
/// ```
pub trait Guard {
    /// The head of the response came.
    fn head(&mut self, head: ResponseHead<'_>) {
        let _ = head;
    }

    /// The attempt failed, before its head or in its body; the guard is dropped next.
    fn failed(&mut self, error: &Error) {
        let _ = error;
    }

    /// The body came to its end; the guard is dropped next.
    fn ended(&mut self) {}
}

/// An inner service's future with a [`Guard`].
///
/// # Errors
///
/// Those of the inner future, flattened ([`Error::flatten`]).
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct GuardedFuture<F, G> {
    #[pin]
    inner: Option<F>,
    // Behind what it guards, so that it is dropped after it.
    guard: Option<G>,
}

/// A response body with a [`Guard`]; without one it passes through.
///
/// Frames, trailers and size are those of the inner body; its errors are flattened ([`Error::flatten`]).
#[pin_project]
#[derive(Debug)]
#[must_use = "a body does nothing unless polled"]
pub struct GuardedBody<B, G> {
    #[pin]
    inner: Option<B>,
    // Behind what it guards, so that it is dropped after it.
    guard: Option<G>,
}

impl<F, G> GuardedFuture<F, G> {
    /// Guards `inner`; `None` passes it through.
    pub const fn new(inner: F, guard: Option<G>) -> Self {
        Self { inner: Some(inner), guard }
    }
}

impl<F, G, B, E> Future for GuardedFuture<F, G>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    G: Guard,
    B: Body,
{
    type Output = Result<Response<GuardedBody<B, G>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let inner = this.inner.as_mut().as_pin_mut().expect(POLLED_AGAIN);
        let result = ready!(inner.poll(cx));
        this.inner.set(None);
        let mut guard = this.guard.take();
        Poll::Ready(match result {
            Ok(response) => {
                if let Some(guard) = &mut guard {
                    guard.head(ResponseHead { status: response.status(), headers: response.headers() });
                }
                Ok(response.map(|body| GuardedBody::new(body, guard)))
            }
            Err(error) => {
                let error = Error::flatten(error);
                if let Some(guard) = &mut guard {
                    guard.failed(&error);
                }
                Err(error)
            }
        })
    }
}

impl<B: Body, G: Guard> GuardedBody<B, G> {
    /// Guards `inner`; a body that is over from the start is let go of, and has ended already.
    #[inline]
    pub fn new(inner: B, guard: Option<G>) -> Self {
        if !inner.is_end_stream() {
            return Self { inner: Some(inner), guard };
        }
        drop(inner);
        if let Some(mut guard) = guard {
            guard.ended();
        }
        Self { inner: None, guard: None }
    }
}

impl<B, G> Body for GuardedBody<B, G>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    G: Guard,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let frame = ready!(inner.poll_frame(cx)).map(|frame| frame.map_err(Error::flatten));
        let is_over = match &frame {
            // Who asks `is_end_stream` will not poll again.
            Some(Ok(_)) => this.inner.as_ref().get_ref().as_ref().is_none_or(Body::is_end_stream),
            Some(Err(_)) | None => true,
        };
        if is_over {
            this.inner.set(None);
            if let Some(mut guard) = this.guard.take() {
                match &frame {
                    Some(Err(error)) => guard.failed(error),
                    Some(Ok(_)) | None => guard.ended(),
                }
            }
        }
        Poll::Ready(frame)
    }

    /// Not before the guard was told, even where the inner body's end came between two polls.
    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(|inner| self.guard.is_none() && inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

#[cfg(test)]
mod tests;
