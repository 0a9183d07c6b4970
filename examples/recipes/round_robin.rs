//! Round-robin over deployments, without a throttled one.
//!
//! ```sh
//! cargo run --example round_robin
//! ```
#![expect(clippy::print_stdout, reason = "that is what an example is for")]

#[path = "../chat.rs"]
mod chat;
#[path = "../regions.rs"]
mod regions;

use std::time::Duration;

use http_body_util::BodyExt;
use tower::{ServiceBuilder, ServiceExt};
use tower_aoai::{
    balance::{BalanceLayer, Member, Strategy},
    core::{BoxError, ObserveLayer, PrepareLayer},
    endpoint::{BaseUrl, EndpointLayer},
    retry_after::RetryAfterLayer,
};
use tower_aoai_simulator::Scripted;

use crate::{
    chat::chat,
    regions::{regions, shares},
};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let azure = regions(&["eastus", "sweden", "japan"]);
    let transport = azure.clone();
    // [round-robin]
    let mut members = Vec::new();
    for region in ["eastus", "sweden", "japan"] {
        let base: BaseUrl = format!("https://contoso-{region}.openai.azure.com").parse()?;
        members.push(Member::new(region).layer(EndpointLayer::new(base)).layer(ObserveLayer::new()));
    }
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(RetryAfterLayer::default())
        .layer(BalanceLayer::new(members)?.strategy(Strategy::RoundRobin))
        .service(transport);
    // [end]

    let call = || async {
        let response = service.clone().oneshot(chat("Hello")).await?;
        assert!(response.status().is_success());
        response.into_body().collect().await?;
        Ok::<_, BoxError>(())
    };
    for _ in 0..30 {
        call().await?;
    }
    println!("30 calls to three regions: {:?}", shares(&azure));
    assert_eq!(shares(&azure), [10, 10, 10]);

    // One region asks to be left alone for ten minutes: its turns go to the others, and nobody waits.
    let sweden = azure.resource("contoso-sweden").ok_or("there is a resource in Sweden")?;
    sweden.script("gpt-4o").then(Scripted::rate_limited(Duration::from_secs(600)));
    for _ in 0..30 {
        call().await?;
    }
    println!("30 more, while Sweden is throttled: {:?}", shares(&azure));
    assert_eq!(shares(&azure)[1], 11, "it was asked once, and said when to come back");
    Ok(())
}
