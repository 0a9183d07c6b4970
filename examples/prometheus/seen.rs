//! A recorder of one's own, beside that of the metrics: what a table shows.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use parking_lot::Mutex;
use tower_aoai::telemetry::{AttemptRecord, CallEnding, CallRecord, Recorder};

#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Sums>);

#[derive(Debug, Default)]
struct Sums {
    calls: u32,
    answered: u32,
    spilled: u32,
    waited: Duration,
    nano_dollars: u64,
    endpoints: BTreeMap<Arc<str>, Endpoint>,
}

#[derive(Debug, Default)]
struct Endpoint {
    attempts: u32,
    resends: u32,
    outcomes: BTreeMap<&'static str, u32>,
    tokens: u64,
    time: Duration,
}

impl Recorder for Seen {
    fn call(&self, record: &CallRecord) {
        let mut sums = self.0.lock();
        sums.calls += 1;
        sums.answered += u32::from(record.ending == CallEnding::Answered);
        sums.spilled += u32::from(record.served.spilled_from.is_some());
        sums.waited += record.waited;
        sums.nano_dollars += record.spend_nano_dollars.unwrap_or(0);
    }

    fn attempt(&self, record: &AttemptRecord) {
        let mut sums = self.0.lock();
        let endpoint = sums.endpoints.entry(Arc::clone(&record.endpoint)).or_default();
        endpoint.attempts += 1;
        endpoint.resends += u32::from(record.resends > 0);
        *endpoint.outcomes.entry(record.outcome.name()).or_default() += 1;
        endpoint.tokens += record.usage.map_or(0, |usage| usage.total());
        endpoint.time += record.duration;
    }
}

impl Seen {
    pub(crate) fn table(&self) -> Table {
        let sums = self.0.lock();
        let mut table = Table::new();
        let header = ["endpoint", "attempts", "sent again", "answered", "throttled", "failed", "tokens", "mean time"];
        table.load_style(UTF8_FULL_CONDENSED).set_header(header);
        for (name, endpoint) in &sums.endpoints {
            let of = |outcome| endpoint.outcomes.get(outcome).copied().unwrap_or(0);
            let (answered, throttled) = (of("success"), of("throttled"));
            let mean = endpoint.time / endpoint.attempts.max(1);
            table.add_row([
                name.to_string(),
                endpoint.attempts.to_string(),
                endpoint.resends.to_string(),
                answered.to_string(),
                throttled.to_string(),
                (endpoint.attempts - answered - throttled).to_string(),
                endpoint.tokens.to_string(),
                format!("{:.2} s", mean.as_secs_f64()),
            ]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    pub(crate) fn sentence(&self) -> String {
        let sums = self.0.lock();
        format!(
            "{} of {} calls were answered, {} of them spilled; a call waited {:.2} s on average; all cost ${:.4}.",
            sums.answered,
            sums.calls,
            sums.spilled,
            sums.waited.as_secs_f64() / f64::from(sums.calls.max(1)),
            sums.nano_dollars as f64 / 1e9
        )
    }

    /// Whether every call was answered, and every endpoint was asked.
    pub(crate) fn is_as_meant(&self) -> bool {
        let sums = self.0.lock();
        sums.calls > 0 && sums.answered == sums.calls && sums.endpoints.len() == 3
    }
}
