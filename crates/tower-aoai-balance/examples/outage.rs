//! Three regions, ten requests a second for each, in simulated time: one is throttled all the time, one is down for a
//! minute. Who answers, and does a caller notice?
//!
//! `cargo run --release -p tower-aoai-balance --example outage`

use std::io::{self, ErrorKind, Write};

use tower_aoai_balance::Strategy;

#[path = "../tests/regions/mod.rs"]
mod regions;

use regions::{DOWN_FROM, DOWN_UNTIL, END, Outage, REGIONS, run};

/// Seconds of one line of the table.
const STEP: u64 = 5;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> io::Result<()> {
    match tell(&mut io::stdout()).await {
        // Whoever reads this may go away at any time, as `head` does: that is no error.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

async fn tell(out: &mut impl Write) -> io::Result<()> {
    let report = run(1, Strategy::ExpectedFinish, Outage::Unavailable).await;
    let [first, second, third] = REGIONS;
    writeln!(out, "requests that reached each region, and of these 429s\n")?;
    writeln!(out, "{:>9}  {first:>8}  {second:>14}  {third:>8}", "seconds")?;
    for from in (0..END).step_by(STEP as usize) {
        let [(first, _), (second, refused), (third, _)] = report.between(from, from + STEP);
        let note = match from {
            _ if from == DOWN_FROM => "  <- down",
            _ if from == DOWN_UNTIL => "  <- up again",
            _ => "",
        };
        writeln!(out, "{from:>3} - {:>3}  {first:>8}  {second:>6} ({refused:>2} 429)  {third:>8}{note}", from + STEP)?;
    }
    writeln!(out, "\n{report}\nthe same by strategy, kind of outage and seed:\n")?;
    for strategy in [Strategy::ExpectedFinish, Strategy::RoundRobin, Strategy::Shuffle, Strategy::LeastInFlight] {
        for outage in [Outage::Unavailable, Outage::Resets, Outage::Hangs] {
            for seed in [1, 2, 3] {
                let report = run(seed, strategy, outage).await;
                write!(out, "{strategy:?}, {outage:?}, {seed}: {report}")?;
            }
        }
    }
    Ok(())
}
