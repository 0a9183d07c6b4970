//! Three regions, ten requests a second for each, in simulated time: one is throttled all the time, one is down for a
//! minute. Who answers, and does a caller notice?
//!
//! `cargo run --release -p tower-aoai-balance --example outage`

use tower_aoai_balance::Strategy;

#[path = "../tests/regions/mod.rs"]
mod regions;

use regions::{DOWN_FROM, DOWN_UNTIL, END, Outage, REGIONS, run};

/// Seconds of one line of the table.
const STEP: u64 = 5;

#[expect(clippy::print_stdout, reason = "it is what the example is for")]
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let report = run(1, Strategy::ExpectedFinish, Outage::Unavailable).await;
    let [first, second, third] = REGIONS;
    println!("requests that reached each region, and of these 429s\n");
    println!("{:>9}  {first:>8}  {second:>14}  {third:>8}", "seconds");
    for from in (0..END).step_by(STEP as usize) {
        let [(first, _), (second, refused), (third, _)] = report.between(from, from + STEP);
        let note = match from {
            _ if from == DOWN_FROM => "  <- down",
            _ if from == DOWN_UNTIL => "  <- up again",
            _ => "",
        };
        println!("{from:>3} - {:>3}  {first:>8}  {second:>6} ({refused:>2} 429)  {third:>8}{note}", from + STEP);
    }
    println!("\n{report}\nthe same by strategy, kind of outage and seed:\n");
    for strategy in [Strategy::ExpectedFinish, Strategy::RoundRobin, Strategy::Shuffle, Strategy::LeastInFlight] {
        for outage in [Outage::Unavailable, Outage::Resets, Outage::Hangs] {
            for seed in [1, 2, 3] {
                let report = run(seed, strategy, outage).await;
                print!("{strategy:?}, {outage:?}, {seed}: {report}");
            }
        }
    }
}
