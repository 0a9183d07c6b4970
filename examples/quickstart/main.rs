//! Azure OpenAI's 429s, with a tower stack and without it, in less than a minute and without a key.
//!
//! Three runs of the same traffic against the simulator in this process: bare, through retries alone ([`stack`]), and
//! through the whole preset ([`preset`]). Time is simulated, so ten minutes of traffic take seconds. With `AZURE_OPENAI_ENDPOINT`, `AZURE_OPENAI_API_KEY` and
//! `AZURE_OPENAI_DEPLOYMENT` set, a handful of real calls go through the same stack instead.
#![allow(clippy::print_stderr)] // a command line program

#[macro_use]
#[path = "../println.rs"]
mod println;

mod drive;
mod live;
mod preset;
mod report;
mod scenario;
mod stack;
mod traffic;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

use crate::scenario::Scenario;

/// Sends the same traffic three times to a simulated Azure OpenAI deployment, bare, through retries alone and through the
/// whole preset, and shows them side by side.
///
/// With AZURE_OPENAI_ENDPOINT, AZURE_OPENAI_API_KEY and AZURE_OPENAI_DEPLOYMENT set, sends a handful of real calls
/// through the retries instead (an http:// endpoint works too).
#[derive(Debug, Parser)]
#[command(name = "quickstart")]
struct Arguments {
    /// Minutes of traffic to simulate.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=120))]
    minutes: u32,
    /// The traffic's mean demand as a share of the deployment's quota.
    #[arg(long, default_value_t = 1.0)]
    load: f64,
    /// Where chance starts; the same seed gives the same run.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Use the simulator even if the variables for real calls are set.
    #[arg(long)]
    simulate: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !(0.05..=1.5).contains(&arguments.load) {
        eprintln!("error: --load {}: a share of the quota from 0.05 to 1.5 is wanted", arguments.load);
        return ExitCode::from(2);
    }
    let real = if arguments.simulate { Ok(None) } else { live::Endpoint::from_environment() };
    match real {
        Ok(Some(endpoint)) => live::run(&endpoint),
        Ok(None) => {
            let scenario = Scenario::new(arguments.minutes, arguments.load, arguments.seed);
            match simulate(&scenario) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
                _ => ExitCode::SUCCESS,
            }
        }
        Err(missing) => {
            eprintln!("error: {missing}");
            ExitCode::from(2)
        }
    }
}

/// Whoever reads this may go away at any time, as `head` does: that is no error.
fn simulate(scenario: &Scenario) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{scenario}\n")?;
    let (bare, retried, whole) = (drive::bare(scenario), drive::retried(scenario), drive::preset(scenario));
    let runs = [("bare", &bare), ("retries alone", &retried), ("the whole preset", &whole)];
    writeln!(out, "{}\n{}", report::table(&runs), report::verdict(&retried, &whole))
}
