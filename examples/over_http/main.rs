//! The quickstart's stack over real sockets: sixty calls at once against a simulator that takes twenty a second.
//!
//! ```sh
//! cargo run --example over_http
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;
#[path = "../quickstart/stack.rs"]
mod stack;

use std::{process::ExitCode, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::{task::JoinSet, time::Instant};
use tower::{BoxError, ServiceExt};
use tower_aoai::{core::Served, transport::Transport};
use tower_aoai_simulator::{Deployment, Latency, Simulator, quota::RequestLimit, server::Server};

const CALLS: usize = 60;

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let simulator = Simulator::builder()
        .seed(7)
        .latency(Latency::instant().first_token(Duration::from_millis(50)).per_token(Duration::from_millis(5)))
        .deployment(
            Deployment::standard("gpt-4o")
                .tokens_per_minute(1_000_000)
                .requests_per_minute(1_200)
                .request_limit(RequestLimit::Fixed(Duration::from_secs(1))),
        )
        .build();
    let server = Server::local().await?.serve(simulator.clone());
    println!("{CALLS} streamed calls at once to {}, which takes 20 a second\n", server.url());

    let service = stack::stack(Transport::new()?, stack::patient());
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let call = call(service.clone(), server.url());
        calls.spawn(async move { call.await.map(|served| (served, Instant::now().saturating_duration_since(start))) });
    }
    let (mut answered, mut last) = (0, Duration::ZERO);
    while let Some(call) = calls.join_next().await {
        match call? {
            Ok((served, at)) => {
                answered += 1;
                last = at;
                println!(
                    "{answered:>3} after {:>4} ms, {} attempts, of which {:>4} ms waited",
                    at.as_millis(),
                    served.attempts,
                    served.waited.as_millis()
                );
            }
            Err(error) => println!("failed: {error}"),
        }
    }
    let refused = simulator.journal().iter().filter(|served| served.status.is_some_and(|status| status == 429)).count();
    println!(
        "\n{answered} of {CALLS} answered in {:.1} s; the server said 429 {refused} times, its callers never saw one.",
        last.as_secs_f64()
    );
    server.shutdown(Duration::from_secs(1)).await;
    Ok(if answered == CALLS { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn call(service: stack::Stack, url: String) -> Result<Served, BoxError> {
    let body = r#"{"messages":[{"role":"user","content":"Say hello."}],"max_tokens":10,"stream":true}"#;
    let request = Request::post(format!("{url}/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"))
        .header("content-type", "application/json")
        .body(Full::<Bytes>::from(body))?;
    let response = service.oneshot(request).await?;
    let (status, served) = (response.status(), response.extensions().get::<Served>().cloned().unwrap_or_default());
    let body = response.into_body().collect().await?.to_bytes();
    if status.is_success() && body.ends_with(b"data: [DONE]\n\n") {
        Ok(served)
    } else {
        Err(format!("{status} after {} attempts", served.attempts).into())
    }
}
