//! A body into memory, up to a limit, without losing what was read of one that is longer.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::Body;

/// What was read of a body so far.
#[derive(Debug)]
pub(crate) struct Gather {
    limit: usize,
    length: usize,
    frames: Vec<Bytes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gathered {
    Whole,
    /// There is more of it than the limit: what was read is kept, the rest is in the body.
    TooLong,
}

impl Gather {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { limit, length: 0, frames: Vec::new() }
    }

    /// Reads on. A body that says that it will be too long is not read at all; trailers are dropped.
    pub(crate) fn poll<B>(&mut self, mut body: Pin<&mut B>, cx: &mut Context<'_>) -> Poll<Result<Gathered, B::Error>>
    where
        B: Body<Data = Bytes>,
    {
        let room = self.limit.saturating_sub(self.length) as u64;
        if self.length > self.limit || body.size_hint().lower() > room {
            return Poll::Ready(Ok(Gathered::TooLong));
        }
        while let Some(frame) = ready!(body.as_mut().poll_frame(cx)) {
            if let Ok(data) = frame?.into_data() {
                self.length = self.length.saturating_add(data.len());
                self.frames.push(data);
            }
            if self.length > self.limit {
                return Poll::Ready(Ok(Gathered::TooLong));
            }
        }
        Poll::Ready(Ok(Gathered::Whole))
    }

    /// What was read, in one piece: copied if it came in several.
    pub(crate) fn take(&mut self) -> Bytes {
        let mut frames = mem::take(&mut self.frames).into_iter();
        match (frames.next(), frames.len()) {
            (None, _) => Bytes::new(),
            (Some(only), 0) => only,
            (Some(first), _) => {
                let mut whole = BytesMut::with_capacity(self.length);
                whole.extend_from_slice(&first);
                frames.for_each(|frame| whole.extend_from_slice(&frame));
                whole.freeze()
            }
        }
    }
}
