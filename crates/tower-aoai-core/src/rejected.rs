//! A refusal made here, without asking the server.

use std::{error::Error as StdError, fmt};

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
}

impl Rejected {
    /// A refusal by the layer named `by`.
    #[must_use]
    pub const fn new(reason: Reason, by: &'static str) -> Self {
        Self { reason, by, until: None }
    }

    /// Says from when on the same call would be let through.
    #[must_use]
    pub const fn until(mut self, at: Instant) -> Self {
        self.until = Some(at);
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
}

impl Reason {
    /// The HTTP status with which a gateway tells its caller.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ContextLength => StatusCode::BAD_REQUEST,
            Self::TooLarge | Self::QueueFull | Self::QuotaSpent | Self::StartBy | Self::BudgetSpent => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::Deadline => StatusCode::GATEWAY_TIMEOUT,
            Self::CircuitOpen | Self::NoEndpoint | Self::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
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
            Self::QuotaSpent => f.write_str("the quota is spent for now"),
            Self::StartBy => f.write_str("the call could not have started in time"),
            Self::Deadline => f.write_str("the call's deadline cannot be met any more"),
            Self::CircuitOpen => f.write_str("the endpoint is unhealthy and is given time to recover"),
            Self::NoEndpoint => f.write_str("no endpoint can serve the call now"),
            Self::BudgetSpent => f.write_str("the budget for this kind of call is spent"),
            Self::ShuttingDown => f.write_str("shutting down: no new calls are taken"),
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused by the {} without asking the server: {}", self.by, self.reason)
    }
}

impl StdError for Rejected {}
