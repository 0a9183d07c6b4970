//! A provisioned deployment first, with a longest wait; then standard.
//!
//! ```sh
//! cargo run --example ptu_first
//! ```
#![expect(clippy::print_stdout, reason = "that is what an example is for")]

#[path = "../chat.rs"]
mod chat;

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt};
use tower_aoai::{
    core::{BoxError, DeadlineLayer, ObserveLayer, PrepareLayer, Served},
    endpoint::{BaseUrl, EndpointLayer},
    fallback::{FallbackLayer, Leg},
    retry_after::{RetryAfterLayer, RetryPolicy},
};
use tower_aoai_simulator::{Deployment, Scripted, Simulator};

use crate::chat::chat;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let ptu = Deployment::provisioned("chat-ptu").model("gpt-4o");
    let standard = Deployment::standard("chat-standard").model("gpt-4o");
    let azure = Simulator::builder().deployment(ptu).deployment(standard).build();

    let transport = azure.clone();
    // [ptu-first]
    let base: BaseUrl = "https://contoso.openai.azure.com".parse()?;
    let deployment = |name: &str| {
        ServiceBuilder::new()
            .layer(RetryAfterLayer::new(RetryPolicy::new().max_retries(3)))
            .layer(EndpointLayer::new(base.clone()).deployment(name))
            .into_inner()
    };
    let fallback = FallbackLayer::new([
        Leg::new("ptu", deployment("chat-ptu")).provisioned().max_wait(Duration::from_millis(500)),
        Leg::new("standard", deployment("chat-standard")),
    ])?;
    let handle = fallback.handle();

    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(DeadlineLayer::new(Duration::from_secs(60)))
        .layer(fallback)
        .layer(ObserveLayer::new())
        .service(transport);
    // [end]

    let call = || async {
        let start = Instant::now();
        let response = service.clone().oneshot(chat("Hello")).await?;
        let served = response.extensions().get::<Served>().cloned().unwrap_or_default();
        assert!(response.status().is_success());
        response.into_body().collect().await?;
        Ok::<_, BoxError>((served.leg.unwrap_or_default().to_string(), (Instant::now() - start).as_millis()))
    };
    azure.script("chat-ptu").then(Scripted::rate_limited(Duration::from_millis(40)));
    let (leg, took) = call().await?;
    println!("full for 40 ms: waited, served by {leg} after {took} ms, for nothing");
    assert!(leg == "ptu" && took < 500);

    azure.script("chat-ptu").then(Scripted::rate_limited(Duration::from_secs(17)));
    let (leg, took) = call().await?;
    println!("full for 17 s:  spilled at once, served by {leg} after {took} ms");
    assert_eq!((leg.as_str(), took), ("standard", 0));

    let (leg, took) = call().await?;
    println!("the next call:  knows, does not even ask the PTU, served by {leg} after {took} ms");
    assert_eq!((leg.as_str(), took), ("standard", 0));

    let snapshot = handle.snapshot();
    let spilled: u64 = snapshot.legs.iter().map(|leg| leg.spills).sum();
    println!("{} calls, {spilled} spilled", snapshot.calls);
    assert_eq!((snapshot.calls, spilled), (3, 2));
    Ok(())
}
