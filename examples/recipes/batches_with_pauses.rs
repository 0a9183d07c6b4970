//! Many prompts in groups with pauses between them, and the same prompts as fast as the quota lets them.
//!
//! ```sh
//! cargo run --example batches_with_pauses
//! cargo run --example batches_with_pauses -- --pause 5    # too short: 429s
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;

use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use futures_util::StreamExt;
use tower::ServiceBuilder;
use tower_aoai::{
    batch::{Progress, batch},
    core::{BoxError, ObserveLayer, PrepareLayer},
    token_bucket::{Quota, TokenBucketLayer},
};
use tower_aoai_simulator::{Deployment, Latency, Scripted, Simulator};

#[path = "../chat.rs"]
mod chat;

/// Sixty prompts in groups with pauses, and behind a quota's own queue
///
/// Against a simulated deployment, in simulated time: it takes no key and ends at once.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many prompts are sent at once
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    size: u16,
    /// Seconds from the end of one group to the next
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=3_600))]
    pause: u64,
}

const PROMPTS: usize = 60;
/// The deployment's; Azure counts them in windows of ten seconds.
const REQUESTS_PER_MINUTE: u64 = 60;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let Arguments { size, pause } = Arguments::parse();
    let (size, pause) = (usize::from(size), Duration::from_secs(pause));
    println!(
        "{PROMPTS} prompts; the deployment takes {REQUESTS_PER_MINUTE} a minute, and refuses one for what it says\n"
    );

    let transport = deployment();
    println!("Groups of {size}, {} s between them:", pause.as_secs());
    // [groups]
    let requests = (0..PROMPTS).map(|number| chat::chat(&format!("Summarise report {number}.")));
    let mut results = batch(transport, requests).groups(size, pause).collect_bodies(64 << 10).run();
    let handle = results.handle();

    while let Some((index, result)) = results.next().await {
        match result {
            Ok(response) if response.status().is_success() => keep(index, response.body()),
            Ok(response) => println!("  report {index}: {}", response.status()),
            Err(error) => println!("  report {index}: {error}"),
        }
    }
    // [end]
    let by_groups = tell(handle.snapshot());

    let transport = deployment();
    println!("\nBehind the quota's own queue:");
    // [queue]
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(TokenBucketLayer::of(Quota::standard(1_000_000).requests_per_minute(REQUESTS_PER_MINUTE)))
        .layer(ObserveLayer::new())
        .service(transport);

    let requests = (0..PROMPTS).map(|number| chat::chat(&format!("Summarise report {number}.")));
    let results = batch(service, requests).collect_bodies(64 << 10).ordered().run();
    // [end]
    let handle = results.handle();
    assert!(results.map(|(index, _)| index).collect::<Vec<_>>().await.into_iter().eq(0..PROMPTS), "in order");
    let by_queue = tell(handle.snapshot());

    assert_eq!((by_queue.answered, by_queue.failed), (PROMPTS - 1, 1), "one prompt is refused, and no 429 is seen");
    assert_eq!(by_groups.ended(), PROMPTS, "each has a result");
    Ok(())
}

fn tell(progress: Progress) -> Progress {
    let seconds = progress.elapsed.as_secs_f64();
    println!("  {} answered, {} failed, in {seconds:.1} s", progress.answered, progress.failed);
    progress
}

/// What one does with a summary.
fn keep(_: usize, answer: &Bytes) {
    assert!(!answer.is_empty());
}

/// Its content filter refuses the second prompt.
fn deployment() -> Simulator {
    let latency = Latency::instant().first_token(Duration::from_millis(400)).per_token(Duration::from_millis(15));
    let deployment = Deployment::standard("gpt-4o")
        .tokens_per_minute(1_000_000)
        .requests_per_minute(REQUESTS_PER_MINUTE)
        .latency(latency);
    let simulator = Simulator::builder().seed(7).deployment(deployment).build();
    simulator.script("gpt-4o").then(Scripted::ok()).then(Scripted::content_filter());
    simulator
}
