//! What is tried again, how often, and until when.

use std::{fmt, sync::Arc, time::Duration};

use tower_aoai_core::{Outcome, Verdict};

use crate::{Backoff, Jitter};

/// What is tried again, how often, and until when.
///
/// Put into a request's extensions, it replaces the layer's own for that call.
///
/// | setting | default |
/// |---|---|
/// | [`max_attempts`](Self::max_attempts) | 4 sends in all |
/// | [`backoff`](Self::backoff) | 0.5 s, doubling, at most 8 s, full jitter |
/// | [`hint_jitter`](Self::hint_jitter) | up to 5 % on top of the server's hint |
/// | [`hint_cap`](Self::hint_cap) | 120 s: a longer hint is given up on |
/// | [`elapsed_limit`](Self::elapsed_limit) | 600 s |
/// | [`retry_on`](Self::retry_on) | throttled and transient outcomes |
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct RetryPolicy {
    pub(crate) max_attempts: u32,
    pub(crate) backoff: Backoff,
    pub(crate) hint_jitter: f64,
    pub(crate) hint_cap: Option<Duration>,
    pub(crate) elapsed_limit: Option<Duration>,
    pub(crate) expected_service: Duration,
    pub(crate) retry_on: RetryOn,
}

/// Which outcomes are worth another attempt at the same place.
///
/// Whatever is chosen: nothing is tried again once content was handed on, and the server's header `x-should-retry` is
/// obeyed: `false` always, `true` unless a predicate, which sees it, says otherwise.
#[derive(Clone)]
#[non_exhaustive]
pub enum RetryOn {
    /// Only [`Outcome::Throttled`]: nothing that may have been worked on, and billed, is sent twice.
    Throttled,
    /// [`Outcome::Throttled`] and [`Outcome::Transient`].
    Transient,
    /// What the predicate says yes to.
    Custom(Arc<dyn Fn(&Verdict) -> bool + Send + Sync>),
}

impl RetryPolicy {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            max_attempts: 4,
            backoff: Backoff::default(),
            hint_jitter: 0.05,
            hint_cap: Some(Duration::from_secs(120)),
            elapsed_limit: Some(Duration::from_secs(600)),
            expected_service: Duration::ZERO,
            retry_on: RetryOn::Transient,
        }
    }

    /// One send, whatever comes of it; a refusal by a layer below comes back at once, too.
    pub fn never() -> Self {
        Self::new().max_attempts(1)
    }

    /// What the official Python SDK does: 2 retries, hints of up to 120 s taken to the letter, else 0.5 s doubling to
    /// 8 s, less up to a quarter.
    ///
    /// As openai-python 2.54 does it (`_base_client.py`; up to 2.40 a hint above 60 s was not given up on but ignored).
    /// It has no retry budget: for that, [`RetryAfterLayer::budget`](crate::RetryAfterLayer::budget) takes `None`. It
    /// does not try a 424 again.
    pub fn openai_python() -> Self {
        Self::new().max_retries(2).backoff(Backoff::default().jitter(Jitter::Shrink(0.25))).hint_jitter(0.0)
    }

    /// How often a call is sent at most, the first time included; 0 counts as 1. Default: 4.
    ///
    /// What a layer below refused was not sent.
    pub fn max_attempts(mut self, sends: u32) -> Self {
        self.max_attempts = sends.max(1);
        self
    }

    /// How often a call is sent again at most, after the first time. Default: 3.
    pub fn max_retries(self, retries: u32) -> Self {
        self.max_attempts(retries.saturating_add(1))
    }

    /// How long to wait where the server gave no hint, or one of zero. Default: [`Backoff::default`].
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// The share of a hint that chance may add to it, so that those who were told the same do not come back as one.
    /// Nothing is ever taken off a hint. Below 0, infinite, or not a number, counts as 0. Default: 0.05.
    pub fn hint_jitter(mut self, share: f64) -> Self {
        self.hint_jitter = if share.is_finite() { share.max(0.0) } else { 0.0 };
        self
    }

    /// Every jitter off: waits are exact. A [`backoff`](Self::backoff) set later brings its own again.
    pub fn no_jitter(mut self) -> Self {
        self.backoff = self.backoff.jitter(Jitter::None);
        self.hint_jitter(0.0)
    }

    /// The longest hint that is waited out; beyond it the call gives up at once. `None`: any. Default: 120 s.
    ///
    /// It holds also for the instants that layers below name. What chance adds to a hint may exceed it.
    pub fn hint_cap(mut self, cap: impl Into<Option<Duration>>) -> Self {
        self.hint_cap = cap.into();
        self
    }

    /// How long after the call's arrival at this layer another attempt may be planned for. `None`: no limit.
    /// Default: 600 s.
    pub fn elapsed_limit(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.elapsed_limit = limit.into();
        self
    }

    /// How long an answer takes at least: an attempt that would start later than this before the deadline is not worth
    /// its quota, and is refused, the first one too. Default: 0.
    pub fn expected_service(mut self, time: Duration) -> Self {
        self.expected_service = time;
        self
    }

    /// Which outcomes are worth another attempt. Default: [`RetryOn::Transient`].
    pub fn retry_on(mut self, retry_on: RetryOn) -> Self {
        self.retry_on = retry_on;
        self
    }

    /// Another attempt for what `predicate` says yes to; it is not asked about successes, streams that broke after
    /// their first content, and what the server wants left alone (`x-should-retry: false`).
    ///
    /// It sees what an answer *means*; to see some answers otherwise, [`Classify`](tower_aoai_core::Classify) them so.
    pub fn retry_if(self, predicate: impl Fn(&Verdict) -> bool + Send + Sync + 'static) -> Self {
        self.retry_on(RetryOn::Custom(Arc::new(predicate)))
    }

    pub(crate) fn wants(&self, verdict: &Verdict) -> bool {
        match verdict.outcome {
            Outcome::Success | Outcome::Broken | Outcome::Cancelled => false,
            outcome => match (verdict.should_retry, &self.retry_on) {
                (Some(false), _) => false,
                (_, RetryOn::Custom(predicate)) => predicate(verdict),
                (Some(true), _) => true,
                (None, RetryOn::Throttled) => matches!(outcome, Outcome::Throttled { .. }),
                (None, RetryOn::Transient) => matches!(outcome, Outcome::Throttled { .. } | Outcome::Transient { .. }),
            },
        }
    }

    /// Whether a balancer below that knows another endpoint is followed there: what this one will never serve may be
    /// served by another.
    pub(crate) fn goes_elsewhere(&self, verdict: &Verdict) -> bool {
        matches!(verdict.outcome, Outcome::Misconfigured | Outcome::TooLarge)
            && verdict.should_retry != Some(false)
            && !matches!(self.retry_on, RetryOn::Custom(_))
    }

    /// Whether a request has to be kept: it may be sent again, or wait for a layer below.
    pub(crate) const fn allows_retries(&self) -> bool {
        self.max_attempts > 1
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RetryOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Throttled => "Throttled",
            Self::Transient => "Transient",
            Self::Custom(_) => "Custom(..)",
        })
    }
}

impl PartialEq for RetryOn {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Throttled, Self::Throttled) | (Self::Transient, Self::Transient) => true,
            (Self::Custom(one), Self::Custom(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}
