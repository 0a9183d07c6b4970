//! Hours of traffic through a stack in simulated time, and what its statistics tell of them.
//!
//! ```sh
//! cargo run --release --example statistics
//! cargo run --release --example statistics -- --hours 24      # and whether memory stays flat
//! cargo run --release --example statistics -- --json
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command line program

mod day;
mod stack;

use std::{
    alloc::System,
    error::Error,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tower_aoai::statistics::PlannedCall;

use crate::day::Day;

/// It counts what is asked of the system's.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Sends hours of traffic through a stack over a simulated Azure OpenAI, and prints what its statistics tell: the table,
/// how it does, what could be better, what would become of a planned call, and every alert
///
/// In each hour there are eight minutes with three times the calls. A third of the way through a region is down and then
/// has the wrong key; two thirds through a quota is halved and prompts are too long; in between a budget is spent. Once an
/// hour the stack is made anew under other names, and the statistics go on.
#[derive(Debug, Parser)]
#[command(
    name = "statistics",
    after_long_help = "\
How to read it:
  quota, peak      the share of the quota in use now, and the most in the last hour
  queue, waited    calls that wait now, and how long all have waited
  p50/p99          half, and 99 of a hundred, took no longer; of the last 5 to 10 minutes
  live bytes       what the program has asked for and not given back, at the end of each hour

No key is needed, and nothing is sent anywhere. Time is simulated: an hour takes a second or so."
)]
struct Arguments {
    /// Hours of traffic to simulate
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=72))]
    hours: u32,
    /// Calls a second between the peaks
    #[arg(long, default_value_t = 1.0)]
    rate: f64,
    /// Where chance starts; the same seed gives the same run
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Print snapshot, insights, risk and alerts as one JSON object
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !(0.01..=5.0).contains(&arguments.rate) {
        eprintln!("error: --rate {}: calls a second from 0.01 to 5 are wanted", arguments.rate);
        return ExitCode::from(2);
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads this may go away at any time, as `head` does: that is no error.
        Err(error)
            if error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("statistics: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        // Drawn on a terminal only.
        let bar = ProgressBar::new(u64::from(arguments.hours) * 60).with_prefix("simulated");
        bar.set_style(ProgressStyle::with_template("{prefix} [{bar:40}] {pos}/{len} minutes")?.progress_chars("=> "));
        let progress = |passed: Duration| bar.set_position(passed.as_secs() / 60);
        let day = day::run(arguments.hours, arguments.rate, arguments.seed, live_bytes, progress).await?;
        bar.finish_and_clear();
        let mut out = io::stdout();
        if arguments.json {
            write_json(&mut out, &day)?;
        } else {
            write_words(&mut out, &day)?;
        }
        Ok(())
    })
}

/// What was asked for and not given back.
fn live_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

fn planned() -> [PlannedCall; 2] {
    [PlannedCall::new("gpt-4o", 500, 400), PlannedCall::new("gpt-4o", 3_000, 4_000)]
}

fn write_json(out: &mut impl Write, day: &Day) -> Result<(), Box<dyn Error>> {
    let statistics = &day.statistics;
    let all = serde_json::json!({
        "snapshot": statistics.snapshot(),
        "insights": statistics.insights(),
        "risks": planned().map(|planned| statistics.risk(&planned)),
        "alerts": day.alerts,
        "live_bytes": day.live_bytes,
    });
    serde_json::to_writer_pretty(&mut *out, &all)?;
    Ok(writeln!(out)?)
}

fn write_words(out: &mut impl Write, day: &Day) -> Result<(), Box<dyn Error>> {
    let statistics = &day.statistics;
    writeln!(out, "{} calls were made\n\n{}", day.calls, statistics.snapshot())?;
    writeln!(out, "What it tells\n\n{}", statistics.insights())?;
    writeln!(out, "Calls that are planned\n")?;
    for (what, planned) in ["500 tokens, at most 400 more:", "3,000 tokens, at most 4,000 more:"].iter().zip(planned())
    {
        writeln!(out, "{what} {}", statistics.risk(&planned))?;
    }
    writeln!(out, "\nAlerts\n")?;
    let first = day.alerts.first().map(|alert| alert.at);
    for alert in &day.alerts {
        let after = first.and_then(|first| alert.at.duration_since(first).ok()).unwrap_or_default().as_secs();
        writeln!(out, "{:>2}:{:02}:{:02} {alert}", after / 3_600, after / 60 % 60, after % 60)?;
    }
    writeln!(out, "\nLive bytes at the end of each hour: {:?}", day.live_bytes)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn memory_does_not_grow_with_uptime_calls_or_reloads() {
        let day = day::run(3, 0.1, 3, live_bytes, drop).await.expect("a run");
        let [_, second, last] = day.live_bytes[..] else { panic!("three hours: {:?}", day.live_bytes) };
        println!("{} calls, live bytes at the end of each hour {:?}", day.calls, day.live_bytes);
        assert!(day.calls > 1_000);
        // What may still grow is bounded: rows of hours, histograms that have not seen their largest value.
        assert!(last < second + second / 10 + 64 * 1024, "{:?}", day.live_bytes);
        assert_eq!(day.statistics.snapshot().total.calls, day.calls, "each call is counted once, over reloads");
    }
}
