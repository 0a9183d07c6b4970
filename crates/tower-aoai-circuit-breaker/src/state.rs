//! What others see of a circuit.

use std::fmt;

use tokio::time::Instant;

/// How a circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CircuitState {
    /// Calls go through.
    Closed,
    /// The server asked to wait; the endpoint is healthy, as far as is known.
    Throttled {
        /// Calls are refused until then.
        until: Instant,
    },
    /// The endpoint is unhealthy.
    Open {
        /// Calls are refused until then; `None`: until [`reset`](crate::CircuitBreakerHandle::reset).
        until: Option<Instant>,
    },
    /// A few calls go through, as probes.
    HalfOpen,
}

impl CircuitState {
    /// A short name for logs and metrics: `closed`, `throttled`, `open`, `half_open`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Throttled { .. } => "throttled",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half_open",
        }
    }

    /// Until when calls are refused, as far as that is known.
    #[must_use]
    pub const fn until(&self) -> Option<Instant> {
        match self {
            Self::Throttled { until } => Some(*until),
            Self::Open { until } => *until,
            Self::Closed | Self::HalfOpen => None,
        }
    }
}

/// One change of a circuit's state.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct CircuitChange {
    /// Its number, from 1.
    pub sequence: u64,
    /// When.
    pub at: Instant,
    /// How the circuit stood.
    pub from: CircuitState,
    /// How it stands now.
    pub to: CircuitState,
    /// Why.
    pub reason: ChangeReason,
}

/// Why a circuit changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeReason {
    /// So many failures came without a success among them.
    ConsecutiveFailures(u32),
    /// Failures were too large a share of the calls.
    FailureRatio {
        /// How many failed…
        failures: u32,
        /// …of how many.
        calls: u32,
    },
    /// Late heads were too large a share of the answers.
    SlowFirstBytes {
        /// How many were late…
        slow: u32,
        /// …of how many.
        answers: u32,
    },
    /// The server asked to wait.
    ServerAskedToWait,
    /// The wait that the server asked for is over.
    WaitOver,
    /// The break is over: a call goes as a probe.
    BreakOver,
    /// A probe failed.
    ProbeFailed,
    /// A probe's answer began too late.
    ProbeSlow,
    /// A probe was throttled: no success, and no failure of the endpoint.
    ProbeThrottled,
    /// Enough probes succeeded.
    ProbesSucceeded,
    /// By hand: [`trip`](crate::CircuitBreakerHandle::trip).
    Tripped,
    /// By hand: [`reset`](crate::CircuitBreakerHandle::reset).
    Reset,
}

impl ChangeReason {
    /// A short name for logs and metrics: `consecutive_failures`, `failure_ratio`, …
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ConsecutiveFailures(_) => "consecutive_failures",
            Self::FailureRatio { .. } => "failure_ratio",
            Self::SlowFirstBytes { .. } => "slow_first_bytes",
            Self::ServerAskedToWait => "server_asked_to_wait",
            Self::WaitOver => "wait_over",
            Self::BreakOver => "break_over",
            Self::ProbeFailed => "probe_failed",
            Self::ProbeSlow => "probe_slow",
            Self::ProbeThrottled => "probe_throttled",
            Self::ProbesSucceeded => "probes_succeeded",
            Self::Tripped => "tripped",
            Self::Reset => "reset",
        }
    }
}

impl fmt::Display for ChangeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConsecutiveFailures(failures) => write!(f, "{failures} failures without a success"),
            Self::FailureRatio { failures, calls } => write!(f, "{failures} of {calls} calls failed"),
            Self::SlowFirstBytes { slow, answers } => write!(f, "{slow} of {answers} answers began late"),
            Self::ServerAskedToWait => f.write_str("the server asked to wait"),
            Self::WaitOver => f.write_str("the wait that the server asked for is over"),
            Self::BreakOver => f.write_str("the break is over"),
            Self::ProbeFailed => f.write_str("a probe failed"),
            Self::ProbeSlow => f.write_str("a probe's answer began late"),
            Self::ProbeThrottled => f.write_str("a probe was throttled"),
            Self::ProbesSucceeded => f.write_str("the endpoint answers again"),
            Self::Tripped => f.write_str("opened by hand"),
            Self::Reset => f.write_str("closed by hand"),
        }
    }
}
