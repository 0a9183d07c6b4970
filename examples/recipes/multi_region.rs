//! Many regions, shuffled, three tries each.
//!
//! ```sh
//! cargo run --example multi_region
//! ```
#![expect(clippy::print_stdout, reason = "that is what an example is for")]

#[path = "../chat.rs"]
mod chat;
#[path = "../regions.rs"]
mod regions;

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt};
use tower_aoai::{
    balance::{BalanceLayer, Member, Strategy},
    circuit_breaker::CircuitBreakerLayer,
    core::{BoxError, DeadlineLayer, ObserveLayer, PrepareLayer},
    endpoint::{BaseUrl, EndpointLayer},
    retry_after::{RetryAfterLayer, RetryPolicy},
};
use tower_aoai_simulator::Scripted;

use crate::{
    chat::chat,
    regions::{regions, shares},
};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let azure = regions(&["eastus", "sweden", "japan"]);
    let now = Instant::now();
    azure.region_down("sweden", now, now + Duration::from_secs(3_600), &Scripted::plain_text_503());

    let transport = azure.clone();
    // [multi-region]
    let mut members = Vec::new();
    for region in ["eastus", "sweden", "japan"] {
        let base: BaseUrl = format!("https://contoso-{region}.openai.azure.com").parse()?;
        let member = Member::new(region).asked(CircuitBreakerLayer::below_balancer().name(region));
        members.push(member.layer(EndpointLayer::new(base)).layer(ObserveLayer::new()));
    }
    let regions = BalanceLayer::new(members)?.strategy(Strategy::Shuffle).tries_per_member(3);
    let handle = regions.handle();

    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(DeadlineLayer::new(Duration::from_secs(120)))
        .layer(RetryAfterLayer::new(RetryPolicy::new().max_attempts(9)))
        .layer(regions)
        .service(transport);
    // [end]

    for _ in 0..60 {
        let response = service.clone().oneshot(chat("Hello")).await?;
        assert!(response.status().is_success(), "a region that is down is no reason to fail");
        response.into_body().collect().await?;
    }
    for member in handle.snapshot().members {
        println!("{:<7} {:>3} answered {:>3} failed", member.name, member.answered, member.failed);
    }
    let snapshot = handle.snapshot();
    let answered = |name| snapshot.member(name).map_or(0, |member| member.answered);
    println!("60 of 60 calls answered, with {} attempts", shares(&azure).iter().sum::<usize>());
    assert_eq!((answered("sweden"), answered("eastus") + answered("japan")), (0, 60));
    assert!(answered("eastus") > 10 && answered("japan") > 10, "the dice are fair");
    Ok(())
}
