use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{CircuitChange, CircuitChanges, CircuitState, circuit::Circuit, finding::Counts};

/// Shows, and changes, the circuit that all services of one layer share.
#[derive(Clone)]
pub struct CircuitBreakerHandle {
    circuit: Arc<Circuit>,
}

/// A circuit at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct CircuitSnapshot {
    /// How it stands: what a call that comes now will find.
    pub state: CircuitState,
    /// How it last changed; `None`: never. A break that is over changes it when the next call comes.
    pub last_change: Option<CircuitChange>,
    /// Calls let through whose bodies have not ended.
    pub in_flight: usize,
    /// Probes under way that keep others from probing.
    pub probes_under_way: usize,
    /// Failures since the last success, while closed.
    pub consecutive_failures: u32,
    /// Successes in the window, while closed.
    pub window_successes: u32,
    /// Failures in the window, while closed.
    pub window_failures: u32,
    /// Successes, since the layer was made or last reset; as all below.
    pub healthy: u64,
    /// Failures.
    pub unhealthy: u64,
    /// Answers by which the server refused for its quota.
    pub throttled: u64,
    /// Calls refused here.
    pub refused: u64,
    /// Calls let through as probes.
    pub probes: u64,
    /// How often the circuit opened by itself.
    pub opened: u64,
    /// Of the successes, failures and throttled answers, those that came too late to decide anything: of calls let
    /// through before the circuit changed.
    pub stale: u64,
}

impl CircuitBreakerHandle {
    pub(crate) const fn new(circuit: Arc<Circuit>) -> Self {
        Self { circuit }
    }

    /// The circuit as it is now.
    #[must_use]
    pub fn snapshot(&self) -> CircuitSnapshot {
        let now = Instant::now();
        let state = &self.circuit.state;
        let in_flight = state.in_flight();
        state.look(|breaker| {
            let tally = breaker.tally(now);
            let Counts { healthy, unhealthy, throttled, refused, probes, opened, stale } = breaker.counts();
            CircuitSnapshot {
                state: breaker.state(now),
                last_change: breaker.last_change(),
                in_flight,
                probes_under_way: breaker.probes_under_way(now),
                consecutive_failures: breaker.consecutive_failures(),
                window_successes: tally.successes,
                window_failures: tally.failures,
                healthy,
                unhealthy,
                throttled,
                refused,
                probes,
                opened,
                stale,
            }
        })
    }

    /// Closes the circuit, ends every wait, and starts counting anew. Calls under way decide nothing any more.
    pub fn reset(&self) {
        let now = Instant::now();
        self.circuit.change(|breaker| breaker.reset(now));
    }

    /// Opens the circuit until [`reset`](Self::reset): for an endpoint that is to be left alone.
    pub fn trip(&self) {
        let now = Instant::now();
        self.circuit.change(|breaker| breaker.trip(now, None));
    }

    /// Opens the circuit for so long; then it is half-open.
    pub fn trip_for(&self, time: Duration) {
        let now = Instant::now();
        self.circuit.change(|breaker| breaker.trip(now, Some(time)));
    }

    /// The changes from now on, for a health endpoint. One is held, the latest; a slow listener misses those in between.
    #[must_use]
    pub fn changes(&self) -> CircuitChanges {
        CircuitChanges::new(self.circuit.state.changes())
    }
}

impl fmt::Debug for CircuitBreakerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CircuitBreakerHandle").field(&self.snapshot()).finish()
    }
}
