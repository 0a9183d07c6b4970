//! From records to metrics.

use std::{fmt, sync::Arc};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tower_aoai_core::{Operation, Outcome, Scope};

use super::{
    labels::{Name, OfAttempt, OfCall, Pair, of_endpoint, of_operation},
    names::{ATTEMPTS_IN_FLIGHT, CALLS_IN_FLIGHT, GATE, LEG_FAILURES, RETRIES, SPILLS, describe},
    series::{AttemptSeries, CallSeries},
    table::{Labels, Table},
};
use crate::telemetry::{AttemptRecord, CallRecord, Recorder};

/// The label sets that each table keeps unless something else is [set](MetricsRecorder::bound).
const BOUND: usize = 1_000;

/// Turns records into metrics. See the [module](super).
///
/// Make it after the exporter was installed. One is enough for all stacks of a process; two of them add up.
pub struct MetricsRecorder {
    calls: Table<OfCall, CallSeries>,
    attempts: Table<OfAttempt, AttemptSeries>,
    calls_in_flight: Table<Operation, Gauge>,
    attempts_in_flight: Table<Name, Gauge>,
    retries: Table<Pair, Counter>,
    gates: Table<Pair, Histogram>,
    legs: Table<Pair, Counter>,
    spills: Table<Pair, Counter>,
}

impl Default for MetricsRecorder {
    fn default() -> Self {
        Self::new()
    }
}

impl MetricsRecorder {
    /// Describes the metrics to the exporter; registers each when it is first recorded.
    #[must_use]
    pub fn new() -> Self {
        describe();
        Self {
            calls: Table::new(BOUND),
            attempts: Table::new(BOUND),
            calls_in_flight: Table::new(BOUND),
            attempts_in_flight: Table::new(BOUND),
            retries: Table::new(BOUND),
            gates: Table::new(BOUND),
            legs: Table::new(BOUND),
            spills: Table::new(BOUND),
        }
    }

    /// How many label sets each table keeps by name: 1,000 by default. For what comes then, names are
    /// [`OTHER`](super::OTHER).
    #[must_use]
    pub fn bound(mut self, sets: usize) -> Self {
        self.calls.set_bound(sets);
        self.attempts.set_bound(sets);
        self.attempts_in_flight.set_bound(sets);
        for table in [&mut self.retries, &mut self.legs, &mut self.spills] {
            table.set_bound(sets);
        }
        self.gates.set_bound(sets);
        self
    }

    fn calls_in_flight(&self, operation: Operation) -> Arc<Gauge> {
        self.calls_in_flight.get(operation, |operation| gauge!(CALLS_IN_FLIGHT, of_operation(*operation)))
    }

    fn attempts_in_flight(&self, endpoint: &Arc<str>) -> Arc<Gauge> {
        self.attempts_in_flight.get(Name::of(endpoint), |name| gauge!(ATTEMPTS_IN_FLIGHT, of_endpoint(name)))
    }

    fn count_leg(&self, leg: &Arc<str>, cause: &'static str) {
        let make = |pair: &Pair| counter!(LEG_FAILURES, pair.labels("leg", "cause"));
        self.legs.get(Pair(Name::of(leg), cause), make).increment(1);
    }

    fn count_spill(&self, from: &Arc<str>, cause: &'static str) {
        let make = |pair: &Pair| counter!(SPILLS, pair.labels("from", "cause"));
        self.spills.get(Pair(Name::of(from), cause), make).increment(1);
    }
}

impl Recorder for MetricsRecorder {
    fn call_began(&self, operation: Operation) {
        self.calls_in_flight(operation).increment(1.0);
    }

    fn call(&self, record: &CallRecord) {
        self.calls_in_flight(record.operation).decrement(1.0);
        self.calls.get(OfCall::of(record), CallSeries::new).record(record);
        let served = &record.served;
        for failed in &served.failed_legs {
            self.count_leg(&failed.leg, failed.cause.name());
        }
        if let Some(from) = &served.spilled_from {
            let left = served.failed_legs.iter().find(|failed| failed.leg == *from);
            self.count_spill(from, left.map_or("azure", |failed| failed.cause.name()));
        }
    }

    fn attempt_began(&self, endpoint: &Arc<str>) {
        self.attempts_in_flight(endpoint).increment(1.0);
    }

    fn attempt(&self, record: &AttemptRecord) {
        self.attempts_in_flight(&record.endpoint).decrement(1.0);
        let endpoint = Name::of(&record.endpoint);
        let labels = OfAttempt {
            endpoint: endpoint.clone(),
            model: record.answer_model.as_ref().map(Name::of),
            outcome: if record.is_sent { record.outcome.name() } else { "not_sent" },
        };
        self.attempts.get(labels, AttemptSeries::new).record(record);
        if record.is_sent && record.resends > 0 {
            let reason = record.resent_after.map_or("unknown", |outcome| outcome.name());
            let make = |pair: &Pair| counter!(RETRIES, pair.labels("endpoint", "reason"));
            self.retries.get(Pair(endpoint.clone(), reason), make).increment(1);
        }
        if let Outcome::Throttled { hint: Some(hint), scope } = record.outcome {
            let make = |pair: &Pair| histogram!(GATE, pair.labels("endpoint", "scope"));
            self.gates.get(Pair(endpoint, scope_name(scope)), make).record(hint.after);
        }
    }
}

/// There are few.
impl Labels for Operation {
    fn folded(&self) -> Self {
        *self
    }
}

const fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Tokens => "tokens",
        Scope::Requests => "requests",
        Scope::Provisioned => "provisioned",
        Scope::Capacity => "capacity",
        _ => "unknown",
    }
}

impl fmt::Debug for MetricsRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsRecorder").finish_non_exhaustive()
    }
}
