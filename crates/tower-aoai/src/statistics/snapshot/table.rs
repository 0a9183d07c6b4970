//! The same for people.

use std::fmt;

use super::{EndpointSnapshot, SpendSnapshot, StackSnapshot, take::short};
use crate::statistics::Spread;

/// Columns as wide as their widest cell; the first one flush left.
struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new<const N: usize>(head: [&str; N]) -> Self {
        Self { rows: vec![head.map(str::to_owned).into()] }
    }

    fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column| self.rows.iter().filter_map(|row| row.get(column)).map(|cell: &String| cell.chars().count()).max();
        let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for row in &self.rows {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                match column {
                    0 => write!(f, "  {cell:<width$}")?,
                    _ => write!(f, "  {cell:>width$}")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

const NOTHING: &str = "-";

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn middle_and_tail(spread: Option<Spread>) -> String {
    spread.map_or_else(|| NOTHING.to_owned(), |spread| format!("{} / {}", short(spread.p50), short(spread.p99)))
}

/// What is not 0, each with its name.
fn those_there_are<const N: usize>(counts: [(&str, u64); N]) -> String {
    let some = counts.iter().filter(|(_, count)| *count > 0);
    some.map(|(name, count)| format!(", {name} {count}")).collect()
}

fn standing(endpoints: &[EndpointSnapshot]) -> Table {
    let mut table =
        Table::new(["endpoint", "circuit", "quota", "peak", "queue", "waited", "attempts", "ok", "429", "failed"]);
    for endpoint in endpoints {
        let quota = endpoint.quota;
        let of_quota =
            |figure: fn(&super::QuotaSnapshot) -> String| quota.as_ref().map_or_else(|| NOTHING.to_owned(), figure);
        let attempts = &endpoint.attempts;
        table.row([
            endpoint.name.to_string(),
            endpoint.breaker.as_ref().map_or(NOTHING, |breaker| breaker.state).to_owned(),
            of_quota(|quota| percent(quota.used_share)),
            of_quota(|quota| percent(quota.peak_share)),
            of_quota(|quota| quota.queued.to_string()),
            of_quota(|quota| short(quota.waited_seconds)),
            attempts.total().to_string(),
            attempts.success.to_string(),
            attempts.throttled.to_string(),
            (attempts.transient + attempts.broken + attempts.misconfigured).to_string(),
        ]);
    }
    table
}

fn answers(endpoints: &[EndpointSnapshot]) -> Table {
    let mut table = Table::new(["endpoint", "tokens in", "tokens out", "first byte p50 / p99", "whole p50 / p99"]);
    for endpoint in endpoints {
        table.row([
            endpoint.name.to_string(),
            endpoint.tokens.input.to_string(),
            endpoint.tokens.output.to_string(),
            middle_and_tail(endpoint.first_byte_seconds),
            middle_and_tail(endpoint.duration_seconds),
        ]);
    }
    table
}

fn spend(f: &mut fmt::Formatter<'_>, spend: &SpendSnapshot) -> fmt::Result {
    writeln!(f, "spent {} ({} attempts of unknown price)", spend.cost, spend.unpriced_attempts)?;
    for budget in &spend.budgets {
        let value = budget.value.as_ref().map_or_else(String::new, |value| format!(" ({value})"));
        let refused = if budget.refused > 0 { format!(", {} refused", budget.refused) } else { String::new() };
        let share = percent(budget.spent_share);
        writeln!(f, "  budget {}{value}, {}: {} ({share}){refused}", budget.name, budget.period, budget.words)?;
    }
    Ok(())
}

impl fmt::Display for StackSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "stack {}, up {}: {}", self.name, short(self.uptime_seconds), self.health)?;
        let total = &self.total;
        writeln!(
            f,
            "{} calls: answered {}{}",
            total.calls,
            total.answered,
            those_there_are([
                ("failed", total.failed),
                ("refused", total.refused),
                ("out of time", total.timed_out),
                ("broken off", total.broken_off),
                ("cancelled", total.cancelled),
                ("the callers' own fault", total.callers_own),
            ])
        )?;
        writeln!(
            f,
            "{} attempts, {} retries, {} throttled; {} waited {} in all; {} spilled; {} of {} prompts truncated",
            total.attempts,
            total.retries,
            total.throttled,
            total.waited,
            short(total.waited_seconds),
            total.spilled,
            total.truncated,
            total.measured
        )?;
        writeln!(
            f,
            "of late, p50 / p99: whole answer {}, first content {}, wait {}",
            middle_and_tail(self.duration_seconds),
            middle_and_tail(self.first_content_seconds),
            middle_and_tail(self.waited_seconds)
        )?;
        write!(f, "{}\n{}", standing(&self.endpoints), answers(&self.endpoints))?;
        for model in &self.models {
            for leg in &model.legs {
                if let Some(used) = &leg.use_by_fallback {
                    let left = used.left;
                    writeln!(
                        f,
                        "{} / {}: entered {}, answered {}{}",
                        model.name,
                        leg.name,
                        used.entered,
                        used.answered,
                        those_there_are([
                            ("not asked", used.not_asked),
                            ("left for hint", left.hint),
                            ("left for queue", left.queue),
                            ("left for deadline", left.deadline),
                            ("left for price", left.price),
                            ("left for outage", left.outage),
                            ("left for size", left.size),
                            ("left for other reasons", left.other),
                        ])
                    )?;
                }
                if let Some(retries) = &leg.retries {
                    writeln!(
                        f,
                        "{} / {}: retries {}{}",
                        model.name,
                        leg.name,
                        retries.by_hint + retries.by_backoff + retries.elsewhere,
                        those_there_are([
                            ("by hint", retries.by_hint),
                            ("by backoff", retries.by_backoff),
                            ("elsewhere", retries.elsewhere),
                            ("refusals waited out", retries.refusals_waited),
                        ])
                    )?;
                }
            }
        }
        if let Some(of_stack) = &self.spend {
            spend(f, of_stack)?;
        }
        for alert in &self.open_alerts {
            writeln!(f, "! {alert}")?;
        }
        if self.alerts_lost > 0 {
            writeln!(f, "! {} alerts were lost", self.alerts_lost)?;
        }
        Ok(())
    }
}
