//! What the end of a call says of its endpoint.

use tokio::time::Instant;
use tower_aoai_core::{Outcome, later};

/// What a call's end says of the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    Healthy,
    /// With the instant before which the server does not want to be asked, if it said.
    Unhealthy(Option<Instant>),
    Throttled(Option<Instant>),
    /// Nothing.
    Neither,
}

impl Finding {
    /// Of an outcome whose hint runs from `head`.
    pub(crate) fn of(outcome: Outcome, head: Instant) -> Self {
        let until = outcome.hint().filter(|hint| !hint.after.is_zero()).map(|hint| later(head, hint.after));
        match outcome {
            Outcome::Success => Self::Healthy,
            Outcome::Throttled { .. } => Self::Throttled(until),
            outcome if outcome.is_unhealthy() => Self::Unhealthy(until),
            _ => Self::Neither,
        }
    }
}

/// What happened since the circuit was made or reset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) healthy: u64,
    pub(crate) unhealthy: u64,
    pub(crate) throttled: u64,
    pub(crate) refused: u64,
    pub(crate) probes: u64,
    pub(crate) opened: u64,
    pub(crate) stale: u64,
}

impl Counts {
    pub(crate) const fn note(&mut self, finding: Finding) {
        match finding {
            Finding::Healthy => self.healthy += 1,
            Finding::Unhealthy(_) => self.unhealthy += 1,
            Finding::Throttled(_) => self.throttled += 1,
            Finding::Neither => {}
        }
    }
}
