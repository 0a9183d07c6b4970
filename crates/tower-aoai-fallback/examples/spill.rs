//! What waiting for a provisioned deployment saves, and what it costs in time, on recorded traffic.
//!
//! `cargo run --release -p tower-aoai-fallback --example spill -- TRACE.csv [MAX_TOKENS] [SEED]`: a trace has a header line,
//! then `milliseconds since the last request,input tokens,output tokens` a line. Without one, bursts are made up.

#![expect(clippy::print_stderr, reason = "a command line program")]

use std::{
    io::{self, ErrorKind, Write},
    process::ExitCode,
    time::Duration,
};

use tower_aoai_fallback::Patience;

#[path = "../tests/support/replay.rs"]
mod replay;

use replay::{Arrival, Policy, Report};

const USAGE: &str = "\
usage: spill [TRACE.csv [MAX_TOKENS [SEED]]]

A trace has a header line, then `milliseconds since the last request,input tokens,output tokens` a line; without one,
bursts are made up. MAX_TOKENS is the output that each call asks for (256), SEED where chance starts (1).";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (path, max_tokens, seed) = (args.next(), args.next(), args.next());
    if matches!(path.as_deref(), Some("-h" | "--help")) {
        eprintln!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let arrivals = match path.as_deref().map(read) {
        None => replay::bursts(600, 20, 60, 1),
        Some(Ok(arrivals)) => arrivals,
        Some(Err(mistake)) => return fail(&mistake),
    };
    let (max_tokens, seed) = match (number("MAX_TOKENS", max_tokens, 256), number("SEED", seed, 1)) {
        (Ok(max_tokens), Ok(seed)) => (max_tokens, seed),
        (Err(mistake), _) | (_, Err(mistake)) => return fail(&mistake),
    };
    match compare(&mut io::stdout(), &arrivals, max_tokens, seed) {
        // Whoever reads this may go away at any time, as `head` does: that is no error.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => fail(&error.to_string()),
        _ => ExitCode::SUCCESS,
    }
}

fn compare(out: &mut impl Write, arrivals: &[Arrival], max_tokens: u64, seed: u64) -> io::Result<()> {
    writeln!(out, "{} calls, {max_tokens} output tokens asked for, deadlines of 20, 60 and 120 s", arrivals.len())?;
    writeln!(
        out,
        "{:>5} {:<22} {:>9} {:>9} {:>8} {:>8} {:>7} {:>7} {:>7}",
        "load", "policy", "standard", "late", "PTU used", "refused", "spilled", "median", "p99"
    )?;
    for load in [0.7, 0.9, 1.1] {
        for (name, policy) in [
            ("spill on first 429", Policy::FirstRefusal),
            ("patience 2 s", Policy::Patient(Patience::INTERACTIVE)),
            ("patience 5 s", Policy::Patient(Patience::AtMost(Duration::from_secs(5)))),
            ("unlimited patience", Policy::Patient(Patience::Unlimited)),
        ] {
            print(out, load, name, &run(arrivals, load, policy, max_tokens, seed))?;
        }
    }
    Ok(())
}

/// In a runtime of its own: each has its own clock.
fn run(arrivals: &[Arrival], load: f64, policy: Policy, max_tokens: u64, seed: u64) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(replay::replay(arrivals, load, policy, max_tokens, seed))
}

fn print(out: &mut impl Write, load: f64, name: &str, report: &Report) -> io::Result<()> {
    let Report { spend, utilisation, refused, median, p99, .. } = report;
    let spilled: u64 = report.counts.legs.iter().map(|leg| leg.spills).sum();
    writeln!(
        out,
        "{load:>5} {name:<22} {:>9} {:>9} {:>6.1} % {refused:>8} {spilled:>7} {:>5.1} s {:>5.1} s",
        format!("${spend:.2}"),
        report.calls - report.in_time,
        utilisation * 100.0,
        median.as_secs_f64(),
        p99.as_secs_f64(),
    )
}

fn number(name: &str, given: Option<String>, default: u64) -> Result<u64, String> {
    let Some(text) = given else { return Ok(default) };
    text.parse().map_err(|_| format!("{name} is {text:?}: a whole number is needed, such as {default}"))
}

fn fail(mistake: &str) -> ExitCode {
    eprintln!("{mistake}");
    ExitCode::FAILURE
}

fn read(path: &str) -> Result<Vec<Arrival>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let mut at = Duration::ZERO;
    let rows = text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty());
    let arrivals: Result<Vec<_>, _> = rows
        .map(|(number, line)| {
            let fields: Vec<u64> = line.split(',').map_while(|field| field.trim().parse().ok()).collect();
            let [wait, input, output] = fields[..] else {
                let wanted = "three whole numbers are needed: milliseconds, input tokens, output tokens";
                return Err(format!("{path}, line {}: {line:?}: {wanted}", number + 1));
            };
            at += Duration::from_millis(wait);
            Ok(Arrival { at, input, output })
        })
        .collect();
    match arrivals {
        Ok(arrivals) if arrivals.is_empty() => Err(format!("{path}: there is no request in it")),
        arrivals => arrivals,
    }
}
