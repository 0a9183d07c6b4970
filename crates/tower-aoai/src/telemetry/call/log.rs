//! The line of a call in the log.

use std::{fmt, time::Duration};

use tower_aoai_core::CallContext;
use tracing::Level;

use crate::telemetry::{CallEnding, CallRecord, figures::millis};

/// One event of one form, at one of four levels.
macro_rules! tell {
    ($level:expr, $record:expr, $context:expr, $message:literal) => {{
        let (record, served) = ($record, &$record.served);
        let by = if let CallEnding::Refused { by, .. } = record.ending { Some(by) } else { None };
        tracing::event!(
            target: "tower_aoai::call",
            $level,
            operation = record.operation.name(),
            asked = record.asked.as_deref(),
            model = record.model.as_deref(),
            endpoint = served.endpoint.as_deref(),
            leg = served.leg.as_deref(),
            ending = record.ending.name(),
            error = record.ending.error_type(),
            by,
            status = record.status.map(|status| status.as_u16()),
            attempts = record.attempts,
            retries = record.retries,
            waited_ms = millis(record.waited),
            millis = millis(record.duration),
            why = %Why { record, context: $context },
            $message
        );
    }};
}

pub(super) fn ended(record: &CallRecord, context: &CallContext, long_wait: Duration) {
    let served = &record.served;
    let is_elsewhere = !served.failed_legs.is_empty() || served.spilled_from.is_some();
    match record.ending {
        CallEnding::Answered if is_elsewhere => {
            tell!(Level::INFO, record, context, "the call was served elsewhere than asked");
        }
        CallEnding::Answered if record.waited >= long_wait => {
            tell!(Level::INFO, record, context, "the call had to wait for its answer");
        }
        CallEnding::Answered => tell!(Level::DEBUG, record, context, "the call was answered"),
        CallEnding::Cancelled => tell!(Level::DEBUG, record, context, "the caller went away"),
        ending if ending.is_callers_own() => {
            tell!(Level::INFO, record, context, "the call was refused for what it asks");
        }
        _ => tell!(Level::WARN, record, context, "the call failed"),
    }
}

/// What stood in the call's way: the legs that did not serve it, else what its earlier attempts came to, else, if it
/// waited all the same, that a quota of ours was spent.
struct Why<'a> {
    record: &'a CallRecord,
    context: &'a CallContext,
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for failed in &self.record.served.failed_legs {
            write!(f, "{comma}{failed}")?;
            comma = ", ";
        }
        if !comma.is_empty() {
            return Ok(());
        }
        let attempts = self.context.attempts();
        let earlier = attempts.len().saturating_sub(usize::from(self.record.ending == CallEnding::Answered));
        for attempt in attempts.iter().take(earlier) {
            let outcome = attempt.verdict().map_or("unknown", |verdict| verdict.outcome.name());
            match attempt.endpoint() {
                Some(endpoint) => write!(f, "{comma}{endpoint}: {outcome}")?,
                None => write!(f, "{comma}{outcome}")?,
            }
            comma = ", ";
        }
        if comma.is_empty() && !self.record.waited.is_zero() {
            f.write_str("our quota was spent")?;
        }
        Ok(())
    }
}
