//! The line of an attempt in the log, where no observer below has written it.

use crate::telemetry::{AttemptRecord, figures::millis};

/// The event that [`ObserveLayer`](tower_aoai_core::ObserveLayer) would have written, as far as it is known here.
pub(super) fn unobserved(record: &AttemptRecord) {
    tracing::debug!(
        target: "tower_aoai::attempt",
        operation = ?record.operation,
        deployment = record.deployment.as_deref(),
        status = record.status.map(|status| status.as_u16()),
        outcome = record.outcome.name(),
        millis = millis(record.duration),
        "attempt ended"
    );
}
