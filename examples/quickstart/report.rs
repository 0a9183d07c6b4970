//! What a person wants to see.

use std::{collections::BTreeSet, time::Duration};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

use crate::drive::Tally;

/// What comes later is of no use to those who ask.
const SOON: Duration = Duration::from_secs(60);

/// The runs side by side.
pub(crate) fn table(runs: &[(&str, &Tally)]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(std::iter::once("").chain(runs.iter().map(|(name, _)| *name)));
    let mut row = |name: &str, cell: &dyn Fn(&Tally) -> String| {
        table.add_row(std::iter::once(name.to_owned()).chain(runs.iter().map(|(_, tally)| cell(tally))));
    };
    row("calls", &|tally| tally.calls.to_string());
    row("answered", &|tally| share(tally.times.len(), tally.calls));
    for kind in runs.iter().flat_map(|(_, tally)| tally.failed.keys()).collect::<BTreeSet<_>>() {
        row(&format!("failed: {kind}"), &|tally| share(tally.failed.get(kind).copied().unwrap_or(0), tally.calls));
    }
    row("answered within a minute", &|tally| {
        share(tally.times.iter().filter(|time| **time <= SOON).count(), tally.calls)
    });
    row("attempts per call", &|tally| format!("{:.2}", ratio(tally.attempts, tally.calls)));
    row("waited here, per call", &|tally| {
        format!("{:.2} s", tally.waited.as_secs_f64() / ratio(tally.calls, 1).max(1.0))
    });
    row("p50 of the answered", &|tally| seconds(percentile(&tally.times, 50)));
    row("p99 of the answered", &|tally| seconds(percentile(&tally.times, 99)));
    for hint in runs.iter().flat_map(|(_, tally)| tally.retries.keys()).collect::<BTreeSet<_>>() {
        row(hint, &|tally| tally.retries.get(hint).copied().unwrap_or(0).to_string());
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// One sentence on what is left.
pub(crate) fn verdict(retried: &Tally, whole: &Tally) -> String {
    let avoidable = |tally: &Tally| tally.failed.values().sum::<usize>() - tally.unavoidable;
    format!(
        "With retries {} calls failed that could have been saved, with the whole preset {}. {} could not have been:\n\
         they ask for more than the deployment can ever give at once. In a queue nobody overtakes: the many wait for\n\
         the few, who with retries alone wait for minutes.",
        avoidable(retried),
        avoidable(whole),
        whole.unavoidable
    )
}

#[allow(clippy::cast_precision_loss)]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn share(part: usize, whole: usize) -> String {
    format!("{part} ({:.1} %)", ratio(part, whole) * 100.0)
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()))
}

/// Of sorted times.
fn percentile(times: &[Duration], percent: usize) -> Option<Duration> {
    let last = times.len().checked_sub(1)?;
    times.get(last * percent / 100).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let times: Vec<_> = (1..=100).map(Duration::from_secs).collect();
        assert_eq!(percentile(&times, 50), Some(Duration::from_secs(50)));
        assert_eq!(percentile(&times, 99), Some(Duration::from_secs(99)));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn every_failure_of_any_run_has_its_row() {
        let mut bare = Tally { calls: 10, ..Tally::default() };
        bare.failed.insert("429 Too Many Requests".to_owned(), 3);
        let stacked = Tally { calls: 10, times: vec![Duration::from_secs(1); 10], ..Tally::default() };
        let table = table(&[("bare", &bare), ("stacked", &stacked)]).to_string();
        assert!(table.contains("3 (30.0 %)") && table.contains("10 (100.0 %)"), "{table}");
    }
}
