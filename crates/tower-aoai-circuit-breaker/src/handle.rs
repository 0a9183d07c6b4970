use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;
use tower_aoai_core::{Admission, Availability, CallContext, Load, Outcome};

/// Shows the state that all services of one layer share.
#[derive(Debug, Clone, Default)]
pub struct CircuitBreakerHandle {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    counts: Mutex<CircuitCounts>,
}

/// What the breaker has counted since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitCounts {
    /// Calls let through and not yet ended.
    pub in_flight: usize,
    /// Outcomes that speak for the endpoint's health.
    pub healthy: u64,
    /// Outcomes that speak against it.
    pub unhealthy: u64,
}

impl CircuitBreakerHandle {
    /// The counts as they are now.
    #[must_use]
    pub fn snapshot(&self) -> CircuitCounts {
        *self.state.counts.lock()
    }

    pub(crate) fn entered(&self) {
        self.state.counts.lock().in_flight += 1;
    }

    pub(crate) fn left(&self, outcome: Option<Outcome>) {
        let mut counts = self.state.counts.lock();
        counts.in_flight -= 1;
        match outcome {
            Some(Outcome::Success) => counts.healthy += 1,
            Some(outcome) if outcome.is_unhealthy() => counts.unhealthy += 1,
            _ => {}
        }
    }

    pub(crate) fn availability(&self) -> Arc<dyn Availability> {
        Arc::<State>::clone(&self.state)
    }
}

impl Availability for State {
    fn admission(&self, _: &CallContext, from: Instant) -> Admission {
        Admission::At(from)
    }

    fn load(&self) -> Load {
        Load::new(self.counts.lock().in_flight, 0)
    }
}
