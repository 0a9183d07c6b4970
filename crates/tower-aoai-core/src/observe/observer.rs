//! Who wants to be told.

use std::fmt;

use crate::{Attempt, CallContext};

/// Is told how each attempt goes on: what statistics and metrics are made of.
///
/// For an attempt that was sent: [`sent`](Self::sent) first, then, as far as it comes,
/// [`first_byte`](Self::first_byte) and [`first_content`](Self::first_content), and [`ended`](Self::ended) exactly
/// once, whatever happens to the future or the body. What there is to know stands in the [`Attempt`].
///
/// The methods are called from inside `poll` and `Drop`: they must not block, and must not panic. A layer that decides
/// something for its own calls needs no observer; it takes the [`Attempt`] from the context and reads it.
pub trait Observer: fmt::Debug + Send + Sync {
    /// The transport is polled for the first time.
    fn sent(&self, _context: &CallContext, _attempt: &Attempt) {}

    /// The head of the response came.
    fn first_byte(&self, _context: &CallContext, _attempt: &Attempt) {}

    /// The first content is handed on.
    fn first_content(&self, _context: &CallContext, _attempt: &Attempt) {}

    /// The outcome is known.
    fn ended(&self, _context: &CallContext, _attempt: &Attempt) {}
}
