//! In which order results are handed on.

use std::collections::BTreeMap;

/// Results that wait for their turn.
#[derive(Debug)]
pub(super) enum Order<T> {
    /// None waits longer than for the next poll.
    AsCompleted(Option<(usize, T)>),
    Ordered {
        next: usize,
        early: BTreeMap<usize, T>,
    },
}

impl<T> Order<T> {
    pub(super) const fn as_completed() -> Self {
        Self::AsCompleted(None)
    }

    pub(super) const fn ordered() -> Self {
        Self::Ordered { next: 0, early: BTreeMap::new() }
    }

    pub(super) fn put(&mut self, index: usize, result: T) {
        match self {
            Self::AsCompleted(place) => *place = Some((index, result)),
            Self::Ordered { early, .. } => {
                early.insert(index, result);
            }
        }
    }

    /// The result whose turn it is.
    pub(super) fn pop(&mut self) -> Option<(usize, T)> {
        match self {
            Self::AsCompleted(place) => place.take(),
            Self::Ordered { next, early } => {
                let first = early.remove(next)?;
                let index = *next;
                *next += 1;
                Some((index, first))
            }
        }
    }

    /// How far the request of this index is ahead of the first that was not handed on.
    pub(super) fn ahead(&self, index: usize) -> usize {
        match self {
            Self::AsCompleted(_) => 0,
            Self::Ordered { next, .. } => index.saturating_sub(*next),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        !matches!(self, Self::AsCompleted(Some(_)))
    }
}
