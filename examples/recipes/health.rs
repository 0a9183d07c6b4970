//! A circuit breaker, and the health endpoint that tells of it.
//!
//! ```sh
//! cargo run --example health
//! ```
#![expect(clippy::print_stdout, reason = "that is what an example is for")]

#[path = "../chat.rs"]
mod chat;

use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, ServiceExt};
use tower_aoai::{
    circuit_breaker::{CircuitBreakerHandle, CircuitBreakerLayer, CircuitPolicy},
    core::{BoxError, ObserveLayer, PrepareLayer, RejectedResponseLayer},
};
use tower_aoai_simulator::{Deployment, Latency, Scripted, Simulator};

use crate::chat::chat;

// [health]
/// What a health endpoint answers: 503 while calls are refused, so that a load balancer in front looks elsewhere.
fn health(circuit: &CircuitBreakerHandle) -> (StatusCode, String) {
    let now = circuit.snapshot();
    let status = if now.state.name() == "open" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let failures = format!("{} of the last {}", now.window_failures, now.window_failures + now.window_successes);
    (status, format!("{}, {failures} failed, {} refused", now.state.name(), now.refused))
}
// [end]

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let azure = Simulator::builder().latency(Latency::typical()).deployment(Deployment::unlimited("gpt-4o")).build();
    let start = Instant::now();
    let second = Duration::from_secs(1);
    azure.script("gpt-4o").during(start + 10 * second, start + 40 * second, Scripted::plain_text_503());

    let transport = azure.clone();
    // [breaker]
    let policy =
        CircuitPolicy::new().consecutive_failures(5).fixed_break(Duration::from_secs(10)).successes_to_close(3);
    let breaker = CircuitBreakerLayer::of(policy)?.name("gpt-4o in sweden");
    let circuit = breaker.handle();
    let mut changes = circuit.changes();
    tokio::spawn(async move {
        while let Some(change) = changes.changed().await {
            println!("   {} -> {}: {}", change.from.name(), change.to.name(), change.reason);
        }
    });

    let service = ServiceBuilder::new()
        .layer(RejectedResponseLayer::new())
        .layer(PrepareLayer::new())
        .layer(breaker)
        .layer(ObserveLayer::new())
        .service(transport);
    // [end]

    let (mut answered, mut was_unhealthy) = (0, false);
    for number in 0..70 {
        let response = service.clone().oneshot(chat("Hello")).await?;
        answered += usize::from(response.status().is_success());
        drop(response.into_body().collect().await);
        let (status, text) = health(&circuit);
        was_unhealthy |= status == StatusCode::SERVICE_UNAVAILABLE;
        if number % 10 == 9 {
            println!("{:>3.0} s  GET /health: {status}: {text}", (Instant::now() - start).as_secs_f64());
        }
        sleep(second).await;
    }
    let sent = azure.journal().len();
    println!("70 calls, {answered} answered, {sent} sent");
    assert!(was_unhealthy && sent < 60, "what is down is left alone");
    assert_eq!(health(&circuit).0, StatusCode::OK, "and found again");

    circuit.trip();
    let response = service.clone().oneshot(chat("Hello")).await?;
    println!("tripped by hand: {}", response.status());
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    circuit.reset();
    assert!(service.oneshot(chat("Hello")).await?.status().is_success());
    Ok(())
}
