//! Many regions, shuffled, three tries each.
//!
//! ```sh
//! cargo run --example multi_region
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;
#[path = "../ask.rs"]
mod ask;
#[path = "../chat.rs"]
mod chat;
#[path = "../regions.rs"]
mod regions;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;
use tower::{Service, ServiceBuilder};
use tower_aoai::{
    Stack,
    balance::{BalanceLayer, Member, Strategy},
    circuit_breaker::CircuitBreakerLayer,
    config::{Config, EndpointConfig, LegConfig, ModelConfig, ResourceConfig},
    core::{BoxError, DeadlineLayer, ObserveLayer, PrepareLayer},
    endpoint::{BaseUrl, EndpointLayer},
    retry_after::{RetryAfterLayer, RetryPolicy},
};
use tower_aoai_simulator::{Scripted, World};

use crate::{
    ask::ask,
    regions::{regions, shares},
};

/// Three regions, one of them down for an hour.
fn azure() -> World {
    let azure = regions(&["eastus", "sweden", "japan"]);
    let now = Instant::now();
    azure.region_down("sweden", now, now + Duration::from_secs(3_600), &Scripted::plain_text_503());
    azure
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let azure_of_stack = azure();
    let transport = azure_of_stack.clone();
    // [preset]
    let mut config = Config::new();
    for region in ["eastus", "sweden", "japan"] {
        let url = format!("https://contoso-{region}.openai.azure.com");
        config = config.resource(ResourceConfig::new(region, url)).endpoint(EndpointConfig::new(region, region));
    }
    let mut leg = LegConfig::new("everywhere", ["eastus", "sweden", "japan"]);
    leg.strategy = Some(Strategy::Shuffle);
    leg.tries_per_endpoint = Some(3);
    leg.retry.max_retries = Some(8);
    let stack = Stack::builder(config.model("gpt-4o", ModelConfig::new().leg(leg))).transport(transport).build()?;
    // [end]
    check("the preset", &stack, &azure_of_stack).await?;

    let azure_of_layers = azure();
    let transport = azure_of_layers.clone();
    // [layers]
    let mut members = Vec::new();
    for region in ["eastus", "sweden", "japan"] {
        let base: BaseUrl = format!("https://contoso-{region}.openai.azure.com").parse()?;
        let member = Member::new(region).asked(CircuitBreakerLayer::below_balancer().name(region));
        members.push(member.layer(EndpointLayer::new(base)).layer(ObserveLayer::new()));
    }
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(DeadlineLayer::new(Duration::from_secs(120)))
        .layer(RetryAfterLayer::new(RetryPolicy::new().max_attempts(9)))
        .layer(BalanceLayer::new(members)?.strategy(Strategy::Shuffle).tries_per_member(3))
        .service(transport);
    // [end]
    check("the layers", &service, &azure_of_layers).await
}

/// Sixty calls, none of which may fail.
async fn check<S, B>(what: &str, service: &S, azure: &World) -> Result<(), BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>> + Clone,
    B: Body<Error: Into<BoxError>>,
{
    let mut answered = BTreeMap::<String, u32>::new();
    for _ in 0..60 {
        let (status, served) = ask(service).await?;
        assert!(status.is_success(), "a region that is down is no reason to fail");
        *answered.entry(served.endpoint.unwrap_or_default().to_string()).or_default() += 1;
    }
    let attempts: usize = shares(azure).iter().sum();
    println!("{what}: 60 of 60 calls answered with {attempts} attempts: {answered:?}");
    assert_eq!(answered.len(), 2);
    assert!(answered.values().all(|share| *share > 10), "the dice are fair");
    assert!(attempts < 90, "who is down is not tried by everyone");
    Ok(())
}
