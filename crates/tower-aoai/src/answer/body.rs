//! The body of an answer, wherever it is.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tower_aoai_core::{BoxError, Error};

/// A body that is in memory, or the inner service's, or the beginning in memory and the rest from there.
///
/// # Errors
///
/// The inner body's, [flattened](Error::flatten).
#[pin_project]
#[must_use = "a body does nothing unless polled"]
pub struct AnswerBody<B> {
    read: Bytes,
    #[pin]
    rest: Option<B>,
}

impl<B> AnswerBody<B> {
    pub(crate) const fn whole(body: Bytes) -> Self {
        Self { read: body, rest: None }
    }

    pub(crate) const fn inner(body: B) -> Self {
        Self::begun(Bytes::new(), body)
    }

    /// Of which a part was read already.
    pub(crate) const fn begun(read: Bytes, rest: B) -> Self {
        Self { read, rest: Some(rest) }
    }
}

impl<B> Body for AnswerBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.project();
        if !this.read.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(this.read)))));
        }
        let Some(rest) = this.rest.as_pin_mut() else {
            return Poll::Ready(None);
        };
        Poll::Ready(ready!(rest.poll_frame(cx)).map(|frame| frame.map_err(Error::flatten)))
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.read.len() as u64;
        let Some(rest) = self.rest.as_ref().map(Body::size_hint) else {
            return SizeHint::with_exact(read);
        };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(read));
        }
        hint
    }
}

impl<B> fmt::Debug for AnswerBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerBody")
            .field("bytes_read", &self.read.len())
            .field("is_whole", &self.rest.is_none())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rest(u64);

    impl Body for Rest {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(None)
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0)
        }
    }

    #[test]
    fn what_was_read_is_a_part_of_the_size() {
        let begun = AnswerBody::begun(Bytes::from_static(b"half"), Rest(6));
        assert_eq!((begun.size_hint().exact(), begun.is_end_stream()), (Some(10), false));
        assert_eq!(AnswerBody::inner(Rest(6)).size_hint().exact(), Some(6));
        let whole = AnswerBody::<Rest>::whole(Bytes::from_static(b"all"));
        assert_eq!((whole.size_hint().exact(), whole.is_end_stream()), (Some(3), false));
    }
}
