//! An outage and its end, second by second: `cargo run -p tower-aoai-circuit-breaker --example recovery`.
//!
//! A simulated deployment is down from second 10 to second 30. A call comes every 200 ms; time is tokio's own, paused, so
//! the minute takes no time.

use std::{
    fmt::Arguments,
    io::{self, ErrorKind, Write},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tower::{ServiceBuilder, ServiceExt};
use tower_aoai_circuit_breaker::{CircuitBreakerHandle, CircuitBreakerLayer};
use tower_aoai_core::{Error, ObserveLayer, PrepareLayer};
use tower_aoai_simulator::{Deployment, Latency, Scripted, Simulator};

const CALLS_PER_SECOND: u32 = 5;

/// What became of a call.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Answered,
    Failed,
    Refused,
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> io::Result<()> {
    match run().await {
        // Whoever reads this may go away at any time, as `head` does: that is no error.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

async fn run() -> io::Result<()> {
    let start = Instant::now();
    let second = Duration::from_secs(1);
    let simulator = Simulator::builder()
        .deployment(Deployment::standard("gpt-4o").tokens_per_minute(1_000_000))
        .latency(Latency::typical())
        .build();
    simulator.script("gpt-4o").during(start + 10 * second, start + 30 * second, Scripted::plain_text_503());

    let breaker = CircuitBreakerLayer::new().seed(7);
    let handle = breaker.handle();
    tokio::spawn(tell_changes(handle.clone(), start));
    let service =
        ServiceBuilder::new().layer(PrepareLayer::new()).layer(breaker).layer(ObserveLayer::new()).service(simulator);

    say(format_args!("second  state      answered  failed  refused"))?;
    for number in 0..60 {
        let mut calls = JoinSet::new();
        for call in 0..CALLS_PER_SECOND {
            let service = service.clone();
            calls.spawn(async move {
                sleep_until(start + number * second + call * second / CALLS_PER_SECOND).await;
                match service.oneshot(chat()).await {
                    Ok(response) if response.status() == StatusCode::OK => {
                        response.into_body().collect().await.map_or(End::Failed, |_| End::Answered)
                    }
                    Err(Error::Rejected(_)) => End::Refused,
                    Ok(_) | Err(_) => End::Failed,
                }
            });
        }
        let ends = calls.join_all().await;
        let count = |end| ends.iter().filter(|other| **other == end).count();
        let state = handle.snapshot().state.name();
        let (answered, failed, refused) = (count(End::Answered), count(End::Failed), count(End::Refused));
        say(format_args!("{number:>6}  {state:<9}  {answered:>8}  {failed:>6}  {refused:>7}"))?;
    }
    let sums = handle.snapshot();
    say(format_args!("{} answered, {} failed, {} refused without asking", sums.healthy, sums.unhealthy, sums.refused))
}

/// As a health endpoint would.
async fn tell_changes(handle: CircuitBreakerHandle, start: Instant) -> io::Result<()> {
    let mut changes = handle.changes();
    while let Some(change) = changes.changed().await {
        let at = change.at.saturating_duration_since(start).as_secs_f64();
        say(format_args!("        {at:>5.1} s: {} -> {}: {}", change.from.name(), change.to.name(), change.reason))?;
    }
    Ok(())
}

fn chat() -> Request<Full<Bytes>> {
    Request::post("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
        .body(Full::from(r#"{"messages":[{"role":"user","content":"Say it."}],"max_tokens":20}"#))
        .expect("a valid request")
}

fn say(line: Arguments<'_>) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}
