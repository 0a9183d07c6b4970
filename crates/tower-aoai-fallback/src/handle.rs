//! What the layer has done so far.

use std::{sync::Arc, time::Duration};

use crate::shared::Shared;

/// Shows what all services of one layer have done; clones show the same.
#[derive(Debug, Clone)]
pub struct FallbackHandle {
    shared: Arc<Shared>,
}

/// Counts since the layer was made, or last reset.
///
/// Each call is counted once, when it ends: `calls = answered + failed + cancelled`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FallbackSnapshot {
    /// Calls that have ended.
    pub calls: u64,
    /// Calls that a leg has answered: with a success, or with what no other leg would have changed.
    pub answered: u64,
    /// Calls that no leg could serve.
    pub failed: u64,
    /// Calls that were dropped by their caller before there was an answer.
    pub cancelled: u64,
    /// The legs, in their order.
    pub legs: Vec<LegSnapshot>,
}

/// What became of the calls of one leg.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LegSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// Calls that were tried in it.
    pub entered: u64,
    /// Calls that it has answered.
    pub answered: u64,
    /// Of these, how many had to wait in it first.
    pub waited: u64,
    /// How long, together.
    pub waited_for: Duration,
    /// Calls that were not even tried in it, for it was known to be full for longer than they would have waited.
    pub not_asked: u64,
    /// Calls that left it for another leg, by cause.
    pub left: SpillCounts,
    /// Calls spilled to it from a provisioned leg that it has answered.
    pub spills: u64,
    /// What these have cost, in nano-dollars, by the usage their answers told.
    pub spend: u64,
    /// What those of them are taken to have cost whose answers told no usage, in nano-dollars.
    pub estimated_spend: u64,
    /// Calls that Azure itself spilled from the leg's deployment.
    pub spilled_by_azure: u64,
    /// How long all but one in a thousand of its recent answers took, from the send to the last byte; `None` before
    /// there are 20, or without an [`ObserveLayer`](tower_aoai_core::ObserveLayer) below, which sees them end.
    pub service: Option<Duration>,
}

/// Why calls left a leg for another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpillCounts {
    /// The server's hint ends later than the call would wait.
    pub hint: u64,
    /// Too many wait already, or longer than the call would; or the leg was not ready in time.
    pub queue: u64,
    /// Waiting on would have risked the deadline.
    pub deadline: u64,
    /// Waiting on would have been dearer than the next leg.
    pub price: u64,
    /// The endpoint, or all of them, failed or are unhealthy.
    pub outage: u64,
    /// The call is too large for it.
    pub size: u64,
    /// Whatever else a [`Condition`](crate::Condition) accepted.
    pub other: u64,
}

/// Why a call leaves a leg for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpillCause {
    /// See [`SpillCounts::hint`].
    Hint,
    /// See [`SpillCounts::queue`].
    Queue,
    /// See [`SpillCounts::deadline`].
    Deadline,
    /// See [`SpillCounts::price`].
    Price,
    /// See [`SpillCounts::outage`].
    Outage,
    /// See [`SpillCounts::size`].
    Size,
    /// See [`SpillCounts::other`].
    Other,
}

impl SpillCounts {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.hint + self.queue + self.deadline + self.price + self.outage + self.size + self.other
    }

    pub(crate) const fn count(&mut self, cause: SpillCause) {
        let count = match cause {
            SpillCause::Hint => &mut self.hint,
            SpillCause::Queue => &mut self.queue,
            SpillCause::Deadline => &mut self.deadline,
            SpillCause::Price => &mut self.price,
            SpillCause::Outage => &mut self.outage,
            SpillCause::Size => &mut self.size,
            SpillCause::Other => &mut self.other,
        };
        *count += 1;
    }
}

impl SpillCause {
    /// A short name for logs and metrics: `hint`, `queue`, …
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hint => "hint",
            Self::Queue => "queue",
            Self::Deadline => "deadline",
            Self::Price => "price",
            Self::Outage => "outage",
            Self::Size => "size",
            Self::Other => "other",
        }
    }
}

impl FallbackHandle {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The counts as they are now.
    #[must_use]
    pub fn snapshot(&self) -> FallbackSnapshot {
        self.shared.snapshot()
    }

    /// Starts counting anew. What was learned of the legs' answers stays.
    pub fn reset(&self) {
        self.shared.reset();
    }
}
