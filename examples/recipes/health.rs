//! A circuit breaker, and the health endpoint that tells of it.
//!
//! ```sh
//! cargo run --example health
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;
#[path = "../chat.rs"]
mod chat;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_aoai::{
    Stack,
    circuit_breaker::{CircuitBreakerHandle, CircuitBreakerLayer, CircuitPolicy},
    config::Config,
    core::{BoxError, ObserveLayer, PrepareLayer, RejectedResponseLayer},
};
use tower_aoai_simulator::{Deployment, Latency, Scripted, Simulator};

use crate::chat::chat;

const CONFIG: &str = r#"
# [preset]
resources = [{ name = "contoso", base_url = "https://contoso.openai.azure.com", api_key = "${AZURE_KEY:-none}" }]
endpoints = [{ name = "chat", resource = "contoso" }]
door = { answer_refusals = true }
retry = { enabled = false }

[circuit_breaker]
consecutive_failures = 5
break_time = "10s"
break_cap = "10s"
jitter = 0
successes_to_close = 3
# [end]
"#;

// [health-of-stack]
/// What a health endpoint answers: 503 while no call is served, so that a load balancer in front looks elsewhere.
fn health(stack: &Stack) -> (StatusCode, String) {
    let health = stack.statistics().health();
    let status = if health.is_up() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, health.to_string())
}
// [end]

// [health-of-circuit]
fn health_of(circuit: &CircuitBreakerHandle) -> (StatusCode, String) {
    let now = circuit.snapshot();
    let status = if now.state.name() == "open" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let failures = format!("{} of the last {}", now.window_failures, now.window_failures + now.window_successes);
    (status, format!("{}, {failures} failed, {} refused", now.state.name(), now.refused))
}
// [end]

/// Down from the tenth second to the fortieth.
fn azure() -> Simulator {
    let azure = Simulator::builder().latency(Latency::typical()).deployment(Deployment::unlimited("gpt-4o")).build();
    let (start, second) = (Instant::now(), Duration::from_secs(1));
    azure.script("gpt-4o").during(start + 10 * second, start + 40 * second, Scripted::plain_text_503());
    azure
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let azure_of_stack = azure();
    let stack = Stack::builder(Config::from_toml_str(CONFIG)?).transport(azure_of_stack.clone()).build()?;
    check("the preset", &stack, &azure_of_stack, || health(&stack)).await?;

    let azure_of_layers = azure();
    let transport = azure_of_layers.clone();
    // [layers]
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
    check("the layers", &service, &azure_of_layers, || health_of(&circuit)).await?;

    circuit.trip();
    let response = service.clone().oneshot(chat("Hello")).await?;
    println!("tripped by hand: {}", response.status());
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    circuit.reset();
    assert!(service.oneshot(chat("Hello")).await?.status().is_success());
    Ok(())
}

/// Seventy calls through an outage, and what the health endpoint says meanwhile.
async fn check<S, B>(
    what: &str,
    service: &S,
    azure: &Simulator,
    health: impl Fn() -> (StatusCode, String),
) -> Result<(), BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>> + Clone,
    B: Body<Error: Into<BoxError>>,
{
    println!("{what}:");
    let (start, mut answered, mut was_unhealthy) = (Instant::now(), 0, false);
    for number in 0..70 {
        let response = service.clone().oneshot(chat("Hello")).await.map_err(Into::into)?;
        answered += usize::from(response.status().is_success());
        drop(response.into_body().collect().await);
        let (status, text) = health();
        was_unhealthy |= status == StatusCode::SERVICE_UNAVAILABLE;
        if number % 10 == 9 {
            println!("{:>4.0} s  GET /health: {status}: {text}", (Instant::now() - start).as_secs_f64());
        }
        sleep(Duration::from_secs(1)).await;
    }
    let sent = azure.journal().len();
    println!("  70 calls, {answered} answered, {sent} sent");
    assert!(was_unhealthy && sent < 60, "what is down is left alone");
    assert_eq!(health().0, StatusCode::OK, "and found again");
    Ok(())
}
