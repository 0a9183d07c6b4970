//! What was done in some time.

use std::ops::AddAssign;

use serde::Serialize;
use tower_aoai_core::Outcome;
use tower_aoai_cost::Tokens;

use crate::telemetry::{AttemptRecord, CallEnding, CallRecord};

/// What was done in some time: a minute, an hour, or since the statistics were made.
///
/// Each call is counted once, when it has ended: `calls = answered + callers_own + refused + failed + timed_out +
/// cancelled + broken_off`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Activity {
    /// Calls that have ended.
    pub calls: u64,
    /// With the whole of a good answer.
    pub answered: u64,
    /// By the caller's own fault: a filtered or too long prompt, a parameter that does not exist.
    pub callers_own: u64,
    /// Refused here, for a quota, a budget, an open circuit.
    pub refused: u64,
    /// Without a good answer.
    pub failed: u64,
    /// Out of time.
    pub timed_out: u64,
    /// Given up by the caller.
    pub cancelled: u64,
    /// Failed in the middle of the answer.
    pub broken_off: u64,
    /// Sends of those calls.
    pub attempts: u64,
    /// Of the attempts, those that were sent again in the same leg.
    pub retries: u64,
    /// Of the attempts, those that the server refused for its quota (429, and what stands for it).
    pub throttled: u64,
    /// Calls that waited here: for hints, backoff and quota.
    pub waited: u64,
    /// How long they did, together, in seconds.
    pub waited_seconds: f64,
    /// Calls meant for a provisioned deployment that another one served.
    pub spilled: u64,
    /// Calls whose prompts were held against a window.
    pub measured: u64,
    /// Of these, sent on with something of their prompt missing.
    pub truncated: u64,
    /// Tokens that answers said they used.
    pub tokens: Tokens,
    /// Calls that asked for at most so much output, and whose answer told its usage.
    pub reserving: u64,
    /// The output these asked for, in tokens.
    pub reserved_output: u64,
    /// The output these got, in tokens.
    pub used_output: u64,
    /// The prompts these had, in tokens.
    pub reserving_input: u64,
    /// What calls have cost, as far as it is known, in nano-dollars.
    pub spend_nano_dollars: u64,
    /// The most of an endpoint's quota that was seen in use, from 0 to 1; looked at once a second.
    pub peak_quota: f64,
    /// The most calls that were seen under way at once; looked at once a second.
    pub peak_in_flight: u64,
}

impl Activity {
    pub(crate) fn note(&mut self, call: &CallRecord) {
        self.calls += 1;
        let ending = match call.ending {
            CallEnding::Answered => &mut self.answered,
            ending if ending.is_callers_own() => &mut self.callers_own,
            CallEnding::Refused { .. } => &mut self.refused,
            CallEnding::Failed(_) => &mut self.failed,
            CallEnding::TimedOut(_) => &mut self.timed_out,
            CallEnding::Cancelled => &mut self.cancelled,
            CallEnding::BrokenOff => &mut self.broken_off,
        };
        *ending += 1;
        self.attempts += u64::from(call.attempts);
        self.retries += u64::from(call.retries);
        self.waited += u64::from(!call.waited.is_zero());
        self.waited_seconds += call.waited.as_secs_f64();
        self.spilled += u64::from(call.served.spilled_from.is_some());
        if let Some((usage, reserved)) = call.usage.zip(call.reserved_output) {
            self.reserving += 1;
            self.reserved_output = self.reserved_output.saturating_add(reserved);
            self.used_output = self.used_output.saturating_add(usage.output);
            self.reserving_input = self.reserving_input.saturating_add(usage.input);
        }
        self.spend_nano_dollars = self.spend_nano_dollars.saturating_add(call.spend_nano_dollars.unwrap_or(0));
    }

    pub(crate) fn note_attempt(&mut self, attempt: &AttemptRecord) {
        self.throttled += u64::from(attempt.is_sent && matches!(attempt.outcome, Outcome::Throttled { .. }));
        if let Some(usage) = attempt.usage {
            self.tokens += usage.into();
        }
    }

    /// Calls that ended badly, and not by their callers' doing.
    #[must_use]
    pub const fn bad(&self) -> u64 {
        self.refused + self.failed + self.timed_out + self.broken_off
    }

    /// A count's share of the calls, from 0 to 1; 0 without calls.
    #[must_use]
    pub fn share(&self, count: u64) -> f64 {
        share(count, self.calls)
    }

    /// The share of the prompts that were truncated, from 0 to 1; 0 without prompts.
    #[must_use]
    pub fn truncated_share(&self) -> f64 {
        share(self.truncated, self.measured)
    }
}

/// A part of a whole, from 0 to 1; 0 of nothing.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl AddAssign for Activity {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.answered += other.answered;
        self.callers_own += other.callers_own;
        self.refused += other.refused;
        self.failed += other.failed;
        self.timed_out += other.timed_out;
        self.cancelled += other.cancelled;
        self.broken_off += other.broken_off;
        self.attempts += other.attempts;
        self.retries += other.retries;
        self.throttled += other.throttled;
        self.waited += other.waited;
        self.waited_seconds += other.waited_seconds;
        self.spilled += other.spilled;
        self.measured += other.measured;
        self.truncated += other.truncated;
        self.tokens += other.tokens;
        self.reserving += other.reserving;
        self.reserved_output = self.reserved_output.saturating_add(other.reserved_output);
        self.used_output = self.used_output.saturating_add(other.used_output);
        self.reserving_input = self.reserving_input.saturating_add(other.reserving_input);
        self.spend_nano_dollars = self.spend_nano_dollars.saturating_add(other.spend_nano_dollars);
        self.peak_quota = self.peak_quota.max(other.peak_quota);
        self.peak_in_flight = self.peak_in_flight.max(other.peak_in_flight);
    }
}

/// Attempts by what their results mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Outcomes {
    /// Well.
    pub success: u64,
    /// Refused for a quota, or for want of capacity.
    pub throttled: u64,
    /// Larger than the whole quota.
    pub too_large: u64,
    /// Failed before the first content.
    pub transient: u64,
    /// Failed after it.
    pub broken: u64,
    /// A wrong key, a deployment that does not exist.
    pub misconfigured: u64,
    /// Too long a prompt.
    pub context_length: u64,
    /// A mistake of the caller's, content filter included.
    pub refused: u64,
    /// Given up by the caller.
    pub cancelled: u64,
}

impl Outcomes {
    pub(crate) const fn count(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Success => &mut self.success,
            Outcome::Throttled { .. } => &mut self.throttled,
            Outcome::TooLarge => &mut self.too_large,
            Outcome::Transient { .. } => &mut self.transient,
            Outcome::Broken => &mut self.broken,
            Outcome::Misconfigured => &mut self.misconfigured,
            Outcome::ContextLength => &mut self.context_length,
            Outcome::Cancelled => &mut self.cancelled,
            // Whatever else is refused.
            _ => &mut self.refused,
        };
        *count += 1;
    }

    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.success
            + self.throttled
            + self.too_large
            + self.transient
            + self.broken
            + self.misconfigured
            + self.context_length
            + self.refused
            + self.cancelled
    }
}
