//! What the layer has done so far.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use crate::{RetryReason, session::GiveUp};

/// Shows what all services of one layer have done; clones show the same.
#[derive(Debug, Clone, Default)]
pub struct RetryAfterHandle {
    counts: Arc<Mutex<RetryCounts>>,
}

/// Counts since the layer was made, or last reset.
///
/// Each call is counted once when it ends: `calls = answered + gave_up() + cancelled`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryCounts {
    /// Calls that have ended.
    pub calls: u64,
    /// Sends of those calls, first ones included.
    pub sends: u64,
    /// Calls that ended with a success.
    pub answered: u64,
    /// Calls dropped by their caller before an answer.
    pub cancelled: u64,
    /// Retries that waited for a server's hint.
    pub retries_by_hint: u64,
    /// Retries that waited for a backoff.
    pub retries_by_backoff: u64,
    /// Retries that a balancer below sent elsewhere.
    pub retries_elsewhere: u64,
    /// Waits for a layer below that had refused.
    pub refusals_waited: u64,
    /// Calls given up because their outcome is not one to try again.
    pub final_outcomes: u64,
    /// Calls given up because they were sent as often as allowed.
    pub out_of_attempts: u64,
    /// Calls given up because the wait would have missed their deadline or start-by.
    pub out_of_time: u64,
    /// Calls given up because of the elapsed limit.
    pub out_of_patience: u64,
    /// Calls given up because the server, or a layer below, asked for a longer wait than the hint cap.
    pub over_hint_cap: u64,
    /// Calls given up because the retry budget was spent.
    pub out_of_budget: u64,
    /// Calls given up because their body could be sent only once.
    pub unreplayable: u64,
    /// Time spent waiting between attempts, in all; a wait counts when it is over.
    pub waited: Duration,
}

/// How a call ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    Answered,
    GaveUp(GiveUp),
    Cancelled,
}

impl RetryCounts {
    /// Calls that ended without a success and were not cancelled.
    #[must_use]
    pub const fn gave_up(&self) -> u64 {
        self.final_outcomes
            + self.out_of_attempts
            + self.out_of_time
            + self.out_of_patience
            + self.over_hint_cap
            + self.out_of_budget
            + self.unreplayable
    }
}

impl RetryAfterHandle {
    /// The counts as they are now.
    #[must_use]
    pub fn snapshot(&self) -> RetryCounts {
        *self.counts.lock()
    }

    /// Starts counting anew.
    pub fn reset(&self) {
        *self.counts.lock() = RetryCounts::default();
    }

    pub(crate) fn waited(&self, time: Duration) {
        let mut counts = self.counts.lock();
        counts.waited = counts.waited.saturating_add(time);
    }

    pub(crate) fn retried(&self, reason: RetryReason) {
        let mut counts = self.counts.lock();
        match reason {
            RetryReason::Hint(_) => counts.retries_by_hint += 1,
            RetryReason::Backoff => counts.retries_by_backoff += 1,
            RetryReason::Elsewhere => counts.retries_elsewhere += 1,
            RetryReason::Refusal(_) => counts.refusals_waited += 1,
        }
    }

    pub(crate) fn ended(&self, end: End, sends: u32) {
        let mut counts = self.counts.lock();
        counts.calls += 1;
        counts.sends += u64::from(sends);
        match end {
            End::Answered => counts.answered += 1,
            End::Cancelled => counts.cancelled += 1,
            End::GaveUp(why) => match why {
                GiveUp::Final => counts.final_outcomes += 1,
                GiveUp::Attempts => counts.out_of_attempts += 1,
                GiveUp::Deadline | GiveUp::StartBy => counts.out_of_time += 1,
                GiveUp::Elapsed => counts.out_of_patience += 1,
                GiveUp::HintCap => counts.over_hint_cap += 1,
                GiveUp::Budget => counts.out_of_budget += 1,
                GiveUp::Unreplayable => counts.unreplayable += 1,
            },
        }
    }
}
