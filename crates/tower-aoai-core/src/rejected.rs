//! A refusal made here, without asking the server.

use std::{error::Error as StdError, fmt, sync::Arc};

use http::StatusCode;
use tokio::time::Instant;

/// A call refused by a layer, with nothing sent.
///
/// It says why, which layer, and, where waiting helps, from when on the same call would be let through. A refusal is
/// no attempt: it spends neither quota nor retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    reason: Reason,
    by: &'static str,
    until: Option<Instant>,
    context_length: Option<ContextLength>,
    detail: Option<Arc<str>>,
}

/// By how much a call did not fit its model, in tokens.
///
/// Its `Display` is the sentence with which Azure refuses such a call, so that a caller who reads the numbers out of it
/// finds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ContextLength {
    /// The most that fits.
    pub maximum: u64,
    /// What the prompt has.
    pub prompt: u64,
    /// Whether the prompt was counted no further than to see that it does not fit: it has this many or more.
    pub is_at_least: bool,
    /// The output asked for, where the prompt alone would fit.
    pub output: Option<u64>,
}

impl ContextLength {
    /// A prompt that alone is longer than what fits.
    #[must_use]
    pub const fn prompt(maximum: u64, prompt: u64) -> Self {
        Self { maximum, prompt, is_at_least: false, output: None }
    }

    /// Says that the prompt was not counted to its end.
    #[must_use]
    pub const fn or_more(mut self) -> Self {
        self.is_at_least = true;
        self
    }

    /// A prompt that fits, with an output for which too little is left.
    #[must_use]
    pub const fn with_output(mut self, output: u64) -> Self {
        self.output = Some(output);
        self
    }
}

/// Why a call was refused; each has one HTTP status ([`Reason::status`]) and one OpenAI error code ([`Reason::code`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The request's body is larger than the layer collects. 413.
    BodyTooLarge {
        /// The most that is taken, in bytes.
        limit: usize,
    },
    /// The request's prompt and requested output do not fit the model's context window. 400.
    ContextLength,
    /// The request is larger than the whole quota and can never start. 429.
    TooLarge,
    /// The queue before a quota is full. 429.
    QueueFull,
    /// The quota is spent and the call may not, or does not want to, wait. 429.
    QuotaSpent,
    /// The call could not have started before its start-by. 429.
    StartBy,
    /// The call's deadline cannot be met any more. 504.
    Deadline,
    /// The endpoint is unhealthy: its circuit breaker is open. 503.
    CircuitOpen,
    /// No endpoint, or no leg, can serve the call. 503.
    NoEndpoint,
    /// The money set aside for this kind of call is spent. 429, code `insufficient_quota`.
    BudgetSpent,
    /// The layer is being shut down. 503.
    ShuttingDown,
    /// This endpoint does not serve such a call, at whatever time: another may. 400.
    Unsupported,
    /// There is no credential for the endpoint: no token could be had. 503.
    NoCredential,
}

impl Rejected {
    /// A refusal by the layer named `by`.
    #[must_use]
    pub const fn new(reason: Reason, by: &'static str) -> Self {
        Self { reason, by, until: None, context_length: None, detail: None }
    }

    /// Says by how much the call did not fit: for [`Reason::ContextLength`].
    #[must_use]
    pub const fn lengths(mut self, lengths: ContextLength) -> Self {
        self.context_length = Some(lengths);
        self
    }

    /// Says from when on the same call would be let through.
    #[must_use]
    pub const fn until(mut self, at: Instant) -> Self {
        self.until = Some(at);
        self
    }

    /// Says more: which value it is, and what would be right. It reaches the caller: no keys, no tokens, no prompt.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Arc<str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// Which layer.
    #[must_use]
    pub const fn by(&self) -> &'static str {
        self.by
    }

    /// From when on the same call would be let through, if waiting helps.
    #[must_use]
    pub const fn opens_at(&self) -> Option<Instant> {
        self.until
    }

    /// By how much the call did not fit, where the layer that refused it has counted.
    #[must_use]
    pub const fn context_length(&self) -> Option<ContextLength> {
        self.context_length
    }
}

impl Reason {
    /// The HTTP status with which a gateway tells its caller.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ContextLength | Self::Unsupported => StatusCode::BAD_REQUEST,
            Self::TooLarge | Self::QueueFull | Self::QuotaSpent | Self::StartBy | Self::BudgetSpent => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::Deadline => StatusCode::GATEWAY_TIMEOUT,
            Self::CircuitOpen | Self::NoEndpoint | Self::ShuttingDown | Self::NoCredential => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// The `error.code` of an OpenAI-shaped body.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::BodyTooLarge { .. } => "request_too_large",
            Self::ContextLength => "context_length_exceeded",
            Self::TooLarge => "request_exceeds_quota",
            Self::QueueFull => "queue_full",
            Self::QuotaSpent | Self::StartBy => "rate_limit_exceeded",
            Self::Deadline => "deadline_exceeded",
            Self::CircuitOpen => "endpoint_unhealthy",
            Self::NoEndpoint => "no_capacity",
            Self::BudgetSpent => "insufficient_quota",
            Self::ShuttingDown => "shutting_down",
            Self::Unsupported => "unsupported_by_endpoint",
            Self::NoCredential => "no_credential",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BodyTooLarge { limit } => {
                write!(f, "the request body is larger than {limit} bytes: send less, or raise the limit")
            }
            Self::ContextLength => f.write_str("the prompt and the requested output do not fit the model"),
            Self::TooLarge => f.write_str(
                "the request is larger than the whole quota: ask for fewer output tokens, or raise the quota",
            ),
            Self::QueueFull => f.write_str("too many calls wait already: slow down, or raise the queue's bound"),
            Self::QuotaSpent => f.write_str("the quota is spent for now, and the call does not wait"),
            Self::StartBy => {
                f.write_str("the call could not have started in time: let it wait for longer, or raise the quota")
            }
            Self::Deadline => {
                f.write_str("the call's deadline cannot be met any more: give it more time, or more quota or endpoints")
            }
            Self::CircuitOpen => f.write_str("the endpoint is unhealthy and is given time to recover"),
            Self::NoEndpoint => f.write_str(
                "no endpoint can serve the call now: each is throttled, unhealthy, draining or wrongly configured",
            ),
            Self::BudgetSpent => f.write_str("the budget for this kind of call is spent"),
            Self::ShuttingDown => f.write_str("shutting down: no new calls are taken"),
            Self::Unsupported => f.write_str("the endpoint does not serve such a call"),
            Self::NoCredential => f.write_str("there is no credential for the endpoint"),
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused by the {} without asking the server: ", self.by)?;
        match &self.context_length {
            Some(lengths) => lengths.fmt(f),
            None => self.reason.fmt(f),
        }?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

impl fmt::Display for ContextLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { maximum, prompt, is_at_least, output } = *self;
        write!(f, "This model's maximum context length is {maximum} tokens. However, ")?;
        match output {
            Some(output) => {
                let all = prompt.saturating_add(output);
                write!(f, "you requested {all} tokens ({prompt} in the messages, {output} in the completion). ")?;
                f.write_str("Please reduce the length of the messages or completion.")
            }
            None => {
                let more = if is_at_least { " or more" } else { "" };
                write!(f, "your messages resulted in {prompt} tokens{more}. ")?;
                f.write_str("Please reduce the length of the messages.")
            }
        }
    }
}

impl StdError for Rejected {}
