//! Who served a call.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{Outcome, Reason};

/// Who served a call, and what it went through: an extension of the response that leaves
/// [`PrepareLayer`](crate::PrepareLayer).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// The endpoint that a balancer chose last.
    pub endpoint: Option<Arc<str>>,
    /// Its tier, 0 being the most preferred.
    pub tier: Option<usize>,
    /// The leg that a fallback chose last.
    pub leg: Option<Arc<str>>,
    /// The legs that did not serve the call, in the order in which they were tried.
    pub failed_legs: Vec<FailedLeg>,
    /// Attempts sent.
    pub attempts: usize,
    /// Time spent waiting here: for hints, backoff and quota.
    pub waited: Duration,
    /// The provisioned leg from which the call was spilled; or, where Azure itself spilled it, the deployment
    /// that the answer [names](crate::classify::ResponseHead::spilled_from), or an empty name.
    pub spilled_from: Option<Arc<str>>,
    /// The model that answered, as far as it is known when the head of the answer comes: what the answer names, else
    /// what was asked for in another's stead.
    pub model: Option<Arc<str>>,
    /// Nothing was sent for this call: its answer had been kept, or another call fetched it.
    pub from_cache: bool,
}

impl Served {
    pub(crate) const fn names_anyone(&self) -> bool {
        self.endpoint.is_some() || self.tier.is_some() || self.leg.is_some() || self.model.is_some()
    }
}

/// A leg of a fallback that did not serve the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedLeg {
    /// Its name.
    pub leg: Arc<str>,
    /// Why it did not.
    pub cause: LegFailure,
}

/// Why a leg did not serve a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LegFailure {
    /// What its answer, or the want of one, means.
    Outcome(Outcome),
    /// A layer of the leg refused; the server was not asked, or not asked again.
    Rejected(Reason),
    /// It was not asked: it had said that it is full until then, and the call may not wait so long.
    KnownFull {
        /// The instant its hint named.
        until: Instant,
    },
}

impl LegFailure {
    /// A short name for logs and metrics: the outcome's, the refusal's code, or `known_full`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Outcome(outcome) => outcome.name(),
            Self::Rejected(reason) => reason.code(),
            Self::KnownFull { .. } => "known_full",
        }
    }
}

/// `ptu: throttled`.
impl fmt::Display for FailedLeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.leg, self.cause.name())
    }
}
