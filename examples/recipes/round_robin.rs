//! Round-robin over deployments, without a throttled one.
//!
//! ```sh
//! cargo run --example round_robin
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

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::{Service, ServiceBuilder};
use tower_aoai::{
    Stack,
    balance::{BalanceLayer, Member, Strategy},
    config::{Config, EndpointConfig, ModelConfig, ResourceConfig},
    core::{BoxError, ObserveLayer, PrepareLayer},
    endpoint::{BaseUrl, EndpointLayer},
    retry_after::RetryAfterLayer,
};
use tower_aoai_simulator::{Scripted, World};

use crate::{
    ask::ask,
    regions::{regions, shares},
};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let azure = regions(&["eastus", "sweden", "japan"]);
    let transport = azure.clone();
    // [preset]
    let mut config = Config::new();
    for region in ["eastus", "sweden", "japan"] {
        let url = format!("https://contoso-{region}.openai.azure.com");
        config = config.resource(ResourceConfig::new(region, url)).endpoint(EndpointConfig::new(region, region));
    }
    let mut model = ModelConfig::of(["eastus", "sweden", "japan"]);
    model.strategy = Some(Strategy::RoundRobin);
    let stack = Stack::builder(config.model("gpt-4o", model)).transport(transport).build()?;
    // [end]
    check("the preset", &stack, &azure).await?;

    let azure = regions(&["eastus", "sweden", "japan"]);
    let transport = azure.clone();
    // [layers]
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
    check("the layers", &service, &azure).await
}

/// Even turns; and then without one that asks to be left alone.
async fn check<S, B>(what: &str, service: &S, azure: &World) -> Result<(), BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>> + Clone,
    B: Body<Error: Into<BoxError>>,
{
    for _ in 0..30 {
        assert!(ask(service).await?.0.is_success());
    }
    println!("{what}: 30 calls to three regions: {:?}", shares(azure));
    assert_eq!(shares(azure), [10, 10, 10]);

    let sweden = azure.resource("contoso-sweden").ok_or("there is a resource in Sweden")?;
    sweden.script("gpt-4o").then(Scripted::rate_limited(Duration::from_secs(600)));
    for _ in 0..30 {
        assert!(ask(service).await?.0.is_success());
    }
    println!("{what}: 30 more, while Sweden is throttled: {:?}", shares(azure));
    assert_eq!(shares(azure)[1], 11, "it was asked once, and said when to come back");
    Ok(())
}
