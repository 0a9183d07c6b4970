//! What becomes of a quota that is asked for half as much again as it has, by the way in which the server counts.
//!
//! `cargo run --release -p tower-aoai-token-bucket --example overload [minutes]`; 20 simulated minutes by default.

use std::{
    io::{self, ErrorKind, Write},
    process::ExitCode,
    time::Duration,
};

use tower_aoai_simulator::{HeaderStyle, quota::TokenLimit};
use tower_aoai_token_bucket::{Quota, WindowModel};

#[path = "../tests/support/mod.rs"]
mod support;

use support::{Exact, TOKENS_PER_MINUTE, biased, overload, quota, standard};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> ExitCode {
    let given = std::env::args().nth(1);
    let Ok(minutes) = given.as_deref().unwrap_or("20").parse() else {
        return fail(&format!("{}: a whole number of minutes is needed, such as 20", given.unwrap_or_default()));
    };
    match run(minutes).await {
        // Whoever reads this may go away at any time, as `head` does: that is no error.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => fail(&error.to_string()),
        _ => ExitCode::SUCCESS,
    }
}

#[expect(clippy::print_stderr, reason = "a command line program")]
fn fail(mistake: &str) -> ExitCode {
    eprintln!("{mistake}");
    ExitCode::FAILURE
}

async fn run(minutes: u64) -> io::Result<()> {
    for phase in [0, 17, 41, 59] {
        let limit = TokenLimit::FixedMinute { phase: Duration::from_secs(phase) };
        let report = overload(standard().token_limit(limit), quota(), 0, minutes, phase).await;
        print(&format!("fixed minute, phase {phase} s"), &report)?;
    }
    let sliding = TokenLimit::SlidingMinute;
    print("sliding minute", &overload(standard().token_limit(sliding), quota(), 0, minutes, 1).await)?;
    for capacity in [TOKENS_PER_MINUTE, TOKENS_PER_MINUTE / 6] {
        let limit = TokenLimit::BucketOf(capacity);
        let quota = quota().model(WindowModel::Bucket { capacity });
        let report = overload(standard().token_limit(limit), quota, capacity, minutes, 2).await;
        print(&format!("bucket of {capacity}"), &report)?;
    }
    for style in [HeaderStyle::Full, HeaderStyle::Absent] {
        for (what, limit) in
            [("sliding", sliding), ("fixed", TokenLimit::FixedMinute { phase: Duration::from_secs(17) })]
        {
            let deployment = biased().token_limit(limit).header_style(style);
            let report = overload(deployment, quota(), 0, minutes, 3).await;
            print(&format!("{what}, biased by 8 %, headers {style:?}"), &report)?;
        }
    }
    let provisioned = support::provisioned();
    let quota = Quota::provisioned(TOKENS_PER_MINUTE, 4).estimate(Exact { output_ratio: 4 });
    let report = overload(provisioned, quota, TOKENS_PER_MINUTE, minutes, 4).await;
    print("provisioned", &report)
}

fn print(what: &str, report: &support::Report) -> io::Result<()> {
    writeln!(io::stdout(), "{what:<42} {report}")
}
