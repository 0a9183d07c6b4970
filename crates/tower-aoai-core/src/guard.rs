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

use crate::{BoxError, Error, classify::ResponseHead};

/// Something held for the length of an attempt, from its admission to its last body byte: a reservation, a permit, a
/// mark.
///
/// It moves from [`GuardedFuture`] into [`GuardedBody`] and is dropped exactly once: at the end of the body, at an
/// error, or when either is dropped, each time *after* what it guards, so that an observer below has spoken by then.
/// None of its methods may block or panic.
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
#[pin_project]
#[derive(Debug)]
pub struct GuardedFuture<F, G> {
    #[pin]
    inner: Option<F>,
    guard: Option<G>,
}

/// A response body with a [`Guard`]; without one it passes through.
#[pin_project]
#[derive(Debug)]
pub struct GuardedBody<B, G> {
    #[pin]
    inner: Option<B>,
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
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let result = ready!(inner.poll(cx)).map_err(Error::flatten);
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
                if let Some(guard) = &mut guard {
                    guard.failed(&error);
                }
                Err(error)
            }
        })
    }
}

impl<B: Body, G: Guard> GuardedBody<B, G> {
    /// Guards `inner`; a body that is empty from the start has ended already.
    pub fn new(inner: B, mut guard: Option<G>) -> Self {
        if inner.is_end_stream()
            && let Some(mut guard) = guard.take()
        {
            guard.ended();
        }
        Self { inner: Some(inner), guard }
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
        let frame = ready!(inner.poll_frame(cx));
        let is_over = this.inner.as_ref().get_ref().as_ref().is_none_or(Body::is_end_stream);
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                // hyper asks for no frame beyond a body that says it is over.
                if is_over && let Some(mut guard) = this.guard.take() {
                    guard.ended();
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                let error = Error::flatten(error);
                this.inner.set(None);
                if let Some(mut guard) = this.guard.take() {
                    guard.failed(&error);
                }
                Some(Err(error))
            }
            None => {
                this.inner.set(None);
                if let Some(mut guard) = this.guard.take() {
                    guard.ended();
                }
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
