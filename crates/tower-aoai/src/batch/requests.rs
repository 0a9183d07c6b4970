//! Requests of an iterator, one whenever one is asked for.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;

/// An iterator as a stream that is always ready: what [`batch`](super::batch) reads from.
#[derive(Clone)]
pub struct FromIter<I> {
    iterator: I,
}

impl<I> FromIter<I> {
    pub(super) const fn new(iterator: I) -> Self {
        Self { iterator }
    }
}

/// It is not pinned: the iterator is only ever moved out of.
impl<I> Unpin for FromIter<I> {}

impl<I: Iterator> Stream for FromIter<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.iterator.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.iterator.size_hint()
    }
}

impl<I> fmt::Debug for FromIter<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromIter").finish_non_exhaustive()
    }
}
