//! A transient-fault policy as .NET people know it: total limit, retry, circuit breaker, limit for each attempt.
//!
//! ```sh
//! cargo run --example transient_fault
//! ```
#![expect(clippy::print_stdout, reason = "that is what an example is for")]

#[path = "../chat.rs"]
mod chat;

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tower::{ServiceBuilder, ServiceExt};
use tower_aoai::{
    circuit_breaker::{CircuitBreakerLayer, CircuitPolicy},
    core::{AttemptTimeoutLayer, BoxError, DeadlineLayer, ObserveLayer, PrepareLayer, Reason, Rejected, Served},
    retry_after::{Backoff, Jitter, RetryAfterLayer, RetryPolicy},
};
use tower_aoai_simulator::{Deployment, Scripted, Simulator};

use crate::chat::chat;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let azure = Simulator::builder().deployment(Deployment::standard("gpt-4o")).build();
    azure
        .script("gpt-4o")
        .then(Scripted::hang())
        .then(Scripted::plain_text_503())
        .then(Scripted::rate_limited(Duration::from_millis(1_500)));

    let transport = azure.clone();
    // [transient-fault]
    let seconds = Duration::from_secs;
    let backoff = Backoff::exponential(seconds(2)).jitter(Jitter::Proportional(0.5));
    let circuit = CircuitPolicy::new().failure_ratio(0.1).window(seconds(30)).min_calls(100).break_time(seconds(5));
    let breaker = CircuitBreakerLayer::of(circuit)?;
    let circuit = breaker.handle();

    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(DeadlineLayer::new(seconds(120)))
        .layer(RetryAfterLayer::new(RetryPolicy::new().max_retries(3).backoff(backoff)))
        .layer(breaker)
        .layer(ObserveLayer::new())
        .layer(AttemptTimeoutLayer::new().first_byte(seconds(30)).idle(seconds(15)))
        .service(transport);
    // [end]

    let start = Instant::now();
    let response = service.clone().oneshot(chat("Hello")).await?;
    let served = response.extensions().get::<Served>().cloned().unwrap_or_default();
    println!(
        "{} after {} attempts and {:.1} s, {:.1} s of them waiting: no head for 30 s, a 503, a 429, an answer",
        response.status(),
        served.attempts,
        (Instant::now() - start).as_secs_f64(),
        served.waited.as_secs_f64()
    );
    assert!(response.status().is_success() && served.attempts == 4);
    drop(response);

    // The deployment is down for an hour, and a user tries every ten seconds.
    let now = Instant::now();
    azure.script("gpt-4o").during(now, now + seconds(3_600), Scripted::plain_text_503());
    let sent_before = azure.journal().len();
    let calls = (0..60).map(|number| {
        let service = service.clone();
        async move {
            sleep_until(now + seconds(10) * number).await;
            let error = service.oneshot(chat("Hello")).await.err();
            error.is_some_and(|error| error.rejected().map(Rejected::reason) == Some(Reason::CircuitOpen))
        }
    });
    let refused = calls.collect::<JoinSet<_>>().join_all().await.into_iter().filter(|refused| *refused).count();
    let sent = azure.journal().len() - sent_before;
    println!("ten minutes of an outage: 60 calls made {sent} attempts, where a bare retry would have made 240;");
    println!("{refused} ended with a refusal by the breaker, and its circuit is {}", circuit.snapshot().state.name());
    assert_ne!(circuit.snapshot().state.name(), "closed");
    assert!(sent < 60);
    Ok(())
}
