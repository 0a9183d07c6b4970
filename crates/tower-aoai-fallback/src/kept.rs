//! An answer that is kept while another leg is tried.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tower_aoai_core::{BoxError, Error};

/// How much of a kept answer is read ahead; error answers are far smaller.
const READ_AHEAD: usize = 64 * 1024;

/// The body of an answer, the beginning of which may have been read already.
///
/// Passes through what was not kept. What was is read to its end while the other leg is tried, so that what hangs on
/// the body's end, a connection or a place in flight, does not wait for that; of a body larger than 64 KiB the rest is
/// read when it is asked for.
#[derive(Debug)]
#[must_use = "a body does nothing unless polled"]
pub struct KeptBody<B> {
    /// `None` when it is over.
    inner: Option<B>,
    /// `None` if it was not kept.
    read: Option<VecDeque<Result<Frame<Bytes>, Error>>>,
}

impl<B> KeptBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    pub(crate) const fn new(inner: B) -> Self {
        Self { inner: Some(inner), read: None }
    }

    /// A frame without data counts too, or a body of nothing else would never end.
    fn length(frame: &Result<Frame<Bytes>, Error>) -> usize {
        frame.as_ref().ok().and_then(Frame::data_ref).map_or(1, |data| data.remaining().max(1))
    }

    fn room(&self) -> usize {
        READ_AHEAD.saturating_sub(self.frames().map(Self::length).sum())
    }

    fn frames(&self) -> impl Iterator<Item = &Result<Frame<Bytes>, Error>> {
        self.read.iter().flatten()
    }

    /// Whether as much was read as is read ahead.
    pub(crate) fn is_read(&self) -> bool {
        self.inner.is_none() || self.room() == 0
    }

    /// All its data in one piece; `None` if it goes on, has failed, or has trailers.
    pub(crate) fn whole(&self) -> Option<Bytes> {
        let mut whole = BytesMut::new();
        for frame in self.frames() {
            whole.extend_from_slice(frame.as_ref().ok()?.data_ref()?);
        }
        self.inner.is_none().then(|| whole.freeze())
    }

    /// Reads ahead as far as may be; wakes when there may be more.
    pub(crate) fn read_ahead(&mut self, cx: &mut Context<'_>) {
        let mut room = self.room();
        while room > 0
            && let Some(inner) = &mut self.inner
            && let Poll::Ready(frame) = Pin::new(inner).poll_frame(cx)
        {
            let Some(frame) = frame else {
                self.inner = None;
                return;
            };
            let frame = frame.map_err(Error::flatten);
            room = room.saturating_sub(Self::length(&frame));
            if frame.is_err() {
                self.inner = None;
            }
            self.read.get_or_insert_default().push_back(frame);
        }
    }
}

impl<B> Body for KeptBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(frame) = self.read.as_mut().and_then(VecDeque::pop_front) {
            return Poll::Ready(Some(frame));
        }
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        Pin::new(inner).poll_frame(cx).map_err(Error::flatten)
    }

    fn is_end_stream(&self) -> bool {
        self.frames().next().is_none() && self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let read: u64 = self.frames().flatten().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum();
        let rest = self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(read.saturating_add(rest.lower()));
        if let Some(upper) = rest.upper() {
            hint.set_upper(read.saturating_add(upper));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error as _, task::Waker};

    use super::*;
    use http_body_util::{BodyExt, Full, StreamBody};

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    /// Frames of so many bytes each, then an error if one is wanted.
    fn frames(
        sizes: &[usize],
        error: Option<&'static str>,
    ) -> impl Body<Data = Bytes, Error = BoxError> + Unpin + std::fmt::Debug + use<> {
        let mut frames: Vec<Result<_, BoxError>> =
            sizes.iter().map(|&size| Ok(Frame::data(Bytes::from(vec![b'x'; size])))).collect();
        frames.extend(error.map(|error| Err(error.into())));
        StreamBody::new(futures_util::stream::iter(frames))
    }

    #[tokio::test]
    async fn what_was_read_ahead_comes_first_and_nothing_is_lost() {
        for sizes in [&[][..], &[3], &[10, 0, 20], &[READ_AHEAD, 5, 6], &[READ_AHEAD - 1, READ_AHEAD, 7]] {
            for reads in 0..3 {
                let mut body = KeptBody::new(frames(sizes, None));
                (0..reads).for_each(|_| body.read_ahead(&mut cx()));
                let total: usize = sizes.iter().sum();
                assert!(body.size_hint().lower() <= total as u64);
                assert_eq!(body.collect().await.expect("a whole body").to_bytes().len(), total, "{sizes:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_small_body_is_read_to_its_end_and_let_go_of_and_a_large_one_is_not_buffered() {
        let mut small = KeptBody::new(Full::new(Bytes::from_static(b"an error")));
        small.read_ahead(&mut cx());
        assert!(small.inner.is_none() && !small.is_end_stream());
        assert_eq!(small.size_hint().exact(), Some(8));
        let mut large = KeptBody::new(frames(&[READ_AHEAD, 1, 1], None));
        large.read_ahead(&mut cx());
        large.read_ahead(&mut cx());
        assert_eq!(large.read.iter().flatten().count(), 1);
        assert!(large.inner.is_some());
    }

    #[tokio::test]
    async fn an_error_comes_where_it_came() {
        let mut body = KeptBody::new(frames(&[4], Some("reset")));
        body.read_ahead(&mut cx());
        let first = body.frame().await.expect("a frame").expect("data");
        assert_eq!(first.into_data().expect("data").len(), 4);
        assert_eq!(
            body.frame().await.expect("the error").expect_err("an error").source().map(ToString::to_string).as_deref(),
            Some("reset")
        );
        assert!(body.frame().await.is_none());
    }
}
