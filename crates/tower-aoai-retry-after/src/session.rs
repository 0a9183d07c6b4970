//! The retries of one call, as a pure state machine: the clock and the dice are handed in.

use std::time::Duration;

use tokio::time::Instant;
use tower_aoai_core::{HintSource, Outcome, Reason, Rejected, Verdict};

use crate::RetryPolicy;

#[cfg(test)]
mod tests;

/// What became of one try.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Failure<'a> {
    /// It was sent, and came to this. A layer below may know better than the answer from when on to try again.
    Attempt { verdict: Verdict, retry_at: Option<Instant> },
    /// It was refused here, with nothing sent.
    Refusal(&'a Rejected),
}

/// What the start of an attempt must keep to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    pub(crate) deadline: Option<Instant>,
    pub(crate) start_by: Option<Instant>,
    /// How long before the deadline it must be.
    pub(crate) expected_service: Duration,
}

/// A decision to try again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Retry {
    pub(crate) at: Instant,
    pub(crate) delay: Duration,
    pub(crate) reason: RetryReason,
    /// Whether the retry budget has to grant it: a retry that the server scheduled needs no leave.
    pub(crate) budgeted: bool,
}

/// What a retry waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetryReason {
    /// The server's hint.
    Hint(HintSource),
    /// Backoff, for the server gave no hint.
    Backoff,
    /// The instant from which on a layer below said it would let the call through.
    Refusal(Reason),
    /// The instant that a balancer below named, which knows another endpoint.
    Elsewhere,
}

/// Why a call is not tried (again).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GiveUp {
    /// Its outcome is not one to try again.
    Final,
    /// It was sent as often as allowed.
    Attempts,
    /// The wait would miss the call's deadline.
    Deadline,
    /// The wait would miss the call's start-by.
    StartBy,
    /// The wait would exceed [`RetryPolicy::elapsed_limit`].
    Elapsed,
    /// The server, or a layer below, asks for a longer wait than [`RetryPolicy::hint_cap`].
    HintCap,
    /// The retry budget is spent.
    Budget,
    /// The request's body can be sent only once.
    Unreplayable,
}

/// How far the tries of one call have come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    started: Instant,
    sends: u32,
    /// Waits that the server did not say the length of.
    backoffs: u32,
    /// Refusals since the last send.
    refusals: u32,
}

impl Limits {
    /// Whether an attempt may start at this instant.
    pub(crate) fn check(&self, start: Instant) -> Result<(), GiveUp> {
        if self.start_by.is_some_and(|latest| start > latest) {
            return Err(GiveUp::StartBy);
        }
        let ends = start.checked_add(self.expected_service);
        let in_time = |deadline| ends.is_some_and(|ends| ends < deadline);
        if self.deadline.is_none_or(in_time) { Ok(()) } else { Err(GiveUp::Deadline) }
    }
}

impl Session {
    pub(crate) const fn new(started: Instant) -> Self {
        Self { started, sends: 0, backoffs: 0, refusals: 0 }
    }

    /// How often the call was sent.
    pub(crate) const fn sends(&self) -> u32 {
        self.sends
    }

    /// Counts a try that was sent and needs no decision.
    pub(crate) const fn sent(&mut self) {
        self.sends = self.sends.saturating_add(1);
    }

    /// Counts sends that a layer below has made on its own account.
    pub(crate) const fn sent_below(&mut self, sends: u32) {
        self.sends = self.sends.saturating_add(sends);
    }

    /// Decides after a failure. `draw` is from 0 to 1.
    pub(crate) fn after(
        &mut self,
        failure: Failure<'_>,
        policy: &RetryPolicy,
        limits: Limits,
        now: Instant,
        draw: f64,
    ) -> Result<Retry, GiveUp> {
        let retry = match failure {
            Failure::Attempt { verdict, retry_at } => self.after_attempt(verdict, retry_at, policy, now, draw)?,
            Failure::Refusal(rejected) => self.after_refusal(rejected, policy, now, draw)?,
        };
        limits.check(retry.at)?;
        if policy.elapsed_limit.is_some_and(|limit| retry.at.saturating_duration_since(self.started) > limit) {
            return Err(GiveUp::Elapsed);
        }
        Ok(retry)
    }

    fn after_attempt(
        &mut self,
        verdict: Verdict,
        retry_at: Option<Instant>,
        policy: &RetryPolicy,
        now: Instant,
        draw: f64,
    ) -> Result<Retry, GiveUp> {
        self.sent();
        self.refusals = 0;
        let goes_elsewhere = retry_at.is_some() && policy.goes_elsewhere(&verdict);
        if !goes_elsewhere && !policy.wants(&verdict) {
            return Err(GiveUp::Final);
        }
        if self.sends >= policy.max_attempts {
            return Err(GiveUp::Attempts);
        }
        let throttled = matches!(verdict.outcome, Outcome::Throttled { .. });
        if let Some(at) = retry_at {
            let delay = at.saturating_duration_since(now);
            if policy.hint_cap.is_some_and(|cap| delay > cap) {
                return Err(GiveUp::HintCap);
            }
            return Ok(Retry { at: at.max(now), delay, reason: RetryReason::Elsewhere, budgeted: !throttled });
        }
        // A hint of zero is no hint: it says "again", not when, and obeyed to the letter it makes a storm.
        let (delay, reason) = match verdict.outcome.hint().filter(|hint| !hint.after.is_zero()) {
            Some(hint) if policy.hint_cap.is_some_and(|cap| hint.after > cap) => {
                return Err(GiveUp::HintCap);
            }
            Some(hint) => {
                let more = Duration::try_from_secs_f64(hint.after.as_secs_f64() * policy.hint_jitter * draw);
                (hint.after.saturating_add(more.unwrap_or_default()), RetryReason::Hint(hint.source))
            }
            None => {
                let delay = policy.backoff.delay(self.backoffs, draw);
                self.backoffs = self.backoffs.saturating_add(1);
                (delay, RetryReason::Backoff)
            }
        };
        let at = now.checked_add(delay).ok_or(GiveUp::HintCap)?;
        Ok(Retry { at, delay, reason, budgeted: !throttled || reason == RetryReason::Backoff })
    }

    /// A refusal with an instant is waited out like a hint. One whose instant has come is taken at its word, but not
    /// faster than the backoff allows, or two layers that disagree would spin.
    fn after_refusal(
        &mut self,
        rejected: &Rejected,
        policy: &RetryPolicy,
        now: Instant,
        draw: f64,
    ) -> Result<Retry, GiveUp> {
        let until = rejected.opens_at().ok_or(GiveUp::Final)?;
        if !policy.allows_retries() {
            return Err(GiveUp::Attempts);
        }
        let delay = if until > now {
            until.saturating_duration_since(now)
        } else {
            policy.backoff.delay(self.refusals, draw).max(LEAST_WAIT_AFTER_REFUSAL)
        };
        self.refusals = self.refusals.saturating_add(1);
        if policy.hint_cap.is_some_and(|cap| delay > cap) {
            return Err(GiveUp::HintCap);
        }
        let at = now.checked_add(delay).ok_or(GiveUp::HintCap)?;
        Ok(Retry { at, delay, reason: RetryReason::Refusal(rejected.reason()), budgeted: false })
    }
}

const LEAST_WAIT_AFTER_REFUSAL: Duration = Duration::from_millis(1);
