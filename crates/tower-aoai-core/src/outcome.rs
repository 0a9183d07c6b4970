//! What an attempt's result means.

use std::time::Duration;

/// What the result of one attempt means for those who decide what comes next.
///
/// | outcome | same endpoint again | another endpoint | health |
/// |---|---|---|---|
/// | [`Success`](Self::Success) | | | good |
/// | [`Throttled`](Self::Throttled) | when the hint is over | at once | neither |
/// | [`TooLarge`](Self::TooLarge) | never | one with a larger quota | neither |
/// | [`Transient`](Self::Transient) | with backoff, budgeted | preferred | bad |
/// | [`Broken`](Self::Broken) | never | never | bad |
/// | [`Misconfigured`](Self::Misconfigured) | never | yes, and alert | out of rotation |
/// | [`ContextLength`](Self::ContextLength) | never | a larger window | neither |
/// | [`Refused`](Self::Refused) | never | never | neither |
/// | [`Cancelled`](Self::Cancelled) | | | neither |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// A 2xx whose body, where it is a stream, ended well.
    Success,
    /// A quota is spent, or there is no capacity just now.
    Throttled {
        /// How long the server asks to wait, if it said.
        hint: Option<Hint>,
        /// What ran out.
        scope: Scope,
    },
    /// One request above the deployment's whole quota ("retry after 86400 seconds").
    TooLarge,
    /// The endpoint failed before the first content byte: 408, 409, 424, 5xx, connection or time lost.
    Transient {
        /// How long the server asks to wait, if it said.
        hint: Option<Hint>,
    },
    /// A stream that failed after its first content byte.
    Broken,
    /// 401, 403, a deployment that does not exist, an account without credit: the configuration must change.
    Misconfigured,
    /// The prompt is too long for the model, or for this deployment of it.
    ContextLength,
    /// Content filter and every other mistake of the caller's own.
    Refused,
    /// The caller went away.
    Cancelled,
}

/// What of a throttled endpoint ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// Tokens per minute.
    Tokens,
    /// Requests per window.
    Requests,
    /// A provisioned deployment's utilisation.
    Provisioned,
    /// The region's capacity: another region may have some.
    Capacity,
    /// The server did not say.
    Unknown,
}

/// How long the server asks to wait, and where it said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hint {
    /// The wait, from the response's head on. Never shortened by us.
    pub after: Duration,
    /// Where it was read.
    pub source: HintSource,
}

/// Where a [`Hint`] was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum HintSource {
    /// The header `retry-after-ms`, milliseconds.
    RetryAfterMs,
    /// The header `x-ms-retry-after-ms`, milliseconds.
    XMsRetryAfterMs,
    /// The header `retry-after` as a number of seconds.
    RetryAfterSeconds,
    /// The header `retry-after` as an HTTP date.
    RetryAfterDate,
    /// The message's words "retry after N seconds".
    Message,
    /// The quota headers: the time until this call's charge fits, where the server's own hint was 0.
    QuotaHeaders,
}

/// An [`Outcome`], with what the server said of retrying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What the result means.
    pub outcome: Outcome,
    /// The header `x-should-retry`, if it was `true` or `false`: it overrules the table for the same endpoint.
    pub should_retry: Option<bool>,
}

impl Outcome {
    /// The server's hint, where the outcome carries one.
    #[must_use]
    pub const fn hint(&self) -> Option<Hint> {
        match self {
            Self::Throttled { hint, .. } | Self::Transient { hint } => *hint,
            _ => None,
        }
    }

    /// Whether the endpoint's health suffered: what a circuit breaker counts.
    #[must_use]
    pub const fn is_unhealthy(&self) -> bool {
        matches!(self, Self::Transient { .. } | Self::Broken)
    }

    /// A short name for logs and metrics: `success`, `throttled`, `too_large`, …
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Throttled { .. } => "throttled",
            Self::TooLarge => "too_large",
            Self::Transient { .. } => "transient",
            Self::Broken => "broken",
            Self::Misconfigured => "misconfigured",
            Self::ContextLength => "context_length",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }
}

impl HintSource {
    /// The header's name, or `message`, or `quota headers`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RetryAfterMs => "retry-after-ms",
            Self::XMsRetryAfterMs => "x-ms-retry-after-ms",
            Self::RetryAfterSeconds => "retry-after",
            Self::RetryAfterDate => "retry-after (date)",
            Self::Message => "message",
            Self::QuotaHeaders => "quota headers",
        }
    }
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, should_retry: None }
    }
}
