//! What a person wants to see.

use std::{collections::BTreeSet, time::Duration};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

use crate::drive::Tally;

/// Both runs side by side.
pub(crate) fn table(bare: &Tally, stacked: &Tally) -> Table {
    let both = [bare, stacked];
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(["", "bare", "through the stack"]);
    let mut row = |name: &str, cell: &dyn Fn(&Tally) -> String| {
        table.add_row([name.to_owned(), cell(bare), cell(stacked)]);
    };
    row("calls", &|tally| tally.calls.to_string());
    row("answered", &|tally| share(tally.times.len(), tally.calls));
    for kind in both.iter().flat_map(|tally| tally.failed.keys()).collect::<BTreeSet<_>>() {
        row(&format!("failed: {kind}"), &|tally| share(tally.failed.get(kind).copied().unwrap_or(0), tally.calls));
    }
    row("attempts per call", &|tally| format!("{:.2}", ratio(tally.attempts, tally.calls)));
    row("waited for retries, per call", &|tally| {
        format!("{:.2} s", tally.waited.as_secs_f64() / ratio(tally.calls, 1).max(1.0))
    });
    row("p50 of the answered", &|tally| seconds(percentile(&tally.times, 50)));
    row("p99 of the answered", &|tally| seconds(percentile(&tally.times, 99)));
    for hint in both.iter().flat_map(|tally| tally.retries.keys()).collect::<BTreeSet<_>>() {
        row(hint, &|tally| tally.retries.get(hint).copied().unwrap_or(0).to_string());
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// One sentence on what is left.
pub(crate) fn verdict(stacked: &Tally) -> String {
    let failed: usize = stacked.failed.values().sum();
    let avoidable = failed - stacked.unavoidable;
    format!(
        "Through the stack {avoidable} calls failed that could have been saved. {} could not have been:\n\
         they ask for more than the deployment can ever give at once.",
        stacked.unavoidable
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
    fn every_failure_of_either_run_has_its_row() {
        let mut bare = Tally { calls: 10, ..Tally::default() };
        bare.failed.insert("429 Too Many Requests".to_owned(), 3);
        let stacked = Tally { calls: 10, times: vec![Duration::from_secs(1); 10], ..Tally::default() };
        let table = table(&bare, &stacked).to_string();
        assert!(table.contains("3 (30.0 %)") && table.contains("10 (100.0 %)"), "{table}");
    }
}
