//! A transient-fault policy as .NET people know it: total limit, retry, circuit breaker, limit for each attempt.
//!
//! ```sh
//! cargo run --example transient_fault
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;
#[path = "../chat.rs"]
mod chat;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_aoai::{
    Stack,
    circuit_breaker::{CircuitBreakerHandle, CircuitBreakerLayer, CircuitPolicy},
    config::Config,
    core::{AttemptTimeoutLayer, BoxError, DeadlineLayer, Error, ObserveLayer, PrepareLayer, Served},
    retry_after::{Backoff, Jitter, RetryAfterLayer, RetryPolicy},
};
use tower_aoai_simulator::{Deployment, Scripted, Simulator};

use crate::chat::chat;

const CONFIG: &str = r#"
# [preset]
resources = [{ name = "contoso", base_url = "https://contoso.openai.azure.com", api_key = "${AZURE_KEY:-none}" }]
endpoints = [{ name = "chat", resource = "contoso" }]

[timeouts]
total = "120s"
first_byte = "30s"
idle = "15s"

[retry]
max_retries = 3
initial_backoff = "2s"
jitter = { proportional = 0.5 }

[circuit_breaker]
failure_ratio = 0.1
window = "30s"
min_calls = 100
break_time = "5s"
# [end]
"#;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let azure = Simulator::builder().deployment(Deployment::standard("gpt-4o")).build();
    let stack = Stack::builder(Config::from_toml_str(CONFIG)?).transport(azure.clone()).build()?;
    let circuit = stack.circuit("chat").ok_or("there is such an endpoint")?;
    check("the preset", &stack, &circuit, &azure).await?;

    let azure = Simulator::builder().deployment(Deployment::standard("gpt-4o")).build();
    let transport = azure.clone();
    // [layers]
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
    check("the layers", &service, &circuit, &azure).await
}

/// A call that meets one fault after the other; then an outage.
async fn check<S, B>(what: &str, service: &S, circuit: &CircuitBreakerHandle, azure: &Simulator) -> Result<(), BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Error, Future: Send>,
    S: Clone + Send + Sync + 'static,
    B: Body + Send + 'static,
{
    let script = azure.script("gpt-4o").then(Scripted::hang()).then(Scripted::plain_text_503());
    script.then(Scripted::rate_limited(Duration::from_millis(1_500)));
    let start = Instant::now();
    let response = service.clone().oneshot(chat("Hello")).await?;
    let served = response.extensions().get::<Served>().cloned().unwrap_or_default();
    println!(
        "{what}: {} after {} attempts and {:.1} s, {:.1} s of them waiting: no head for 30 s, a 503, a 429, an answer",
        response.status(),
        served.attempts,
        (Instant::now() - start).as_secs_f64(),
        served.waited.as_secs_f64()
    );
    assert!(response.status().is_success() && served.attempts == 4);
    drop(response);

    // The deployment is down for an hour, and a user tries every ten seconds.
    let (now, second) = (Instant::now(), Duration::from_secs(1));
    azure.script("gpt-4o").during(now, now + 3_600 * second, Scripted::plain_text_503());
    let sent_before = azure.journal().len();
    let calls = (0..60).map(|number| {
        let service = service.clone();
        async move {
            sleep_until(now + 10 * second * number).await;
            matches!(service.oneshot(chat("Hello")).await, Err(Error::Rejected(_)))
        }
    });
    let refused = calls.collect::<JoinSet<_>>().join_all().await.into_iter().filter(|refused| *refused).count();
    let sent = azure.journal().len() - sent_before;
    println!("  ten minutes of an outage: 60 calls made {sent} attempts, where a bare retry would have made 240;");
    println!("  {refused} were refused here, and the circuit is {}", circuit.snapshot().state.name());
    assert_ne!(circuit.snapshot().state.name(), "closed");
    assert!(sent < 60 && refused > 30);
    Ok(())
}
