use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project::{pin_project, pinned_drop};
use tracing::Span;

/// A future or a body that is polled, and dropped, inside a span, so that what is logged below stands in it.
///
/// The future's response gets a body that goes on in the same span. Otherwise both are the inner ones.
#[pin_project(PinnedDrop)]
#[must_use = "futures and bodies do nothing unless polled"]
pub struct InSpan<T> {
    #[pin]
    inner: Option<T>,
    span: Span,
}

impl<T> InSpan<T> {
    pub(super) const fn new(inner: T, span: Span) -> Self {
        Self { inner: Some(inner), span }
    }
}

#[pinned_drop]
impl<T> PinnedDrop for InSpan<T> {
    fn drop(self: Pin<&mut Self>) {
        let mut this = self.project();
        let _inside = this.span.enter();
        this.inner.set(None);
    }
}

impl<F, B, E> Future for InSpan<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<InSpan<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let inside = this.span.enter();
        let result = ready!(inner.poll(cx));
        this.inner.set(None);
        drop(inside);
        Poll::Ready(result.map(|response| response.map(|body| InSpan::new(body, this.span.clone()))))
    }
}

impl<B: Body> Body for InSpan<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let _inside = this.span.enter();
        this.inner.as_pin_mut().map_or(Poll::Ready(None), |inner| inner.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<T> fmt::Debug for InSpan<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InSpan").field("is_over", &self.inner.is_none()).finish_non_exhaustive()
    }
}
