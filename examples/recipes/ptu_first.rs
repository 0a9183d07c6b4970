//! A provisioned deployment first, with a longest wait; then standard.
//!
//! ```sh
//! cargo run --example ptu_first
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;
#[path = "../ask.rs"]
mod ask;
#[path = "../chat.rs"]
mod chat;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;
use tower::{Service, ServiceBuilder};
use tower_aoai::{
    Stack,
    config::{Config, EndpointConfig, LegConfig, ModelConfig, ResourceConfig},
    core::{BoxError, DeadlineLayer, ObserveLayer, PrepareLayer},
    endpoint::{BaseUrl, EndpointLayer},
    fallback::{FallbackHandle, FallbackLayer, Leg},
    retry_after::{RetryAfterLayer, RetryPolicy},
};
use tower_aoai_simulator::{Deployment, Scripted, Simulator};

use crate::ask::ask;

fn azure() -> Simulator {
    let ptu = Deployment::provisioned("chat-ptu").model("gpt-4o").units(100);
    let standard = Deployment::standard("chat-standard").model("gpt-4o");
    Simulator::builder().deployment(ptu).deployment(standard).build()
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let azure_of_stack = azure();
    let transport = azure_of_stack.clone();
    // [preset]
    let config = Config::new()
        .resource(ResourceConfig::new("contoso", "https://contoso.openai.azure.com"))
        .endpoint(EndpointConfig::new("ptu", "contoso").deployment("chat-ptu").model("gpt-4o").provisioned(100))
        .endpoint(EndpointConfig::new("payg", "contoso").deployment("chat-standard").model("gpt-4o"));
    let chat = ModelConfig::new()
        .leg(LegConfig::new("ptu", ["ptu"]).max_wait(Duration::from_millis(500)))
        .leg(LegConfig::new("standard", ["payg"]));
    let stack = Stack::builder(config.model("gpt-4o", chat)).transport(transport).build()?;
    // [end]
    let handle = stack.fallback("gpt-4o").ok_or("there is such a model")?;
    check("the preset", &stack, &handle, &azure_of_stack).await?;

    let azure_of_layers = azure();
    let transport = azure_of_layers.clone();
    // [layers]
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
    check("the layers", &service, &handle, &azure_of_layers).await
}

/// A short wait is waited, a long one is not, and who knows does not ask.
async fn check<S, B>(what: &str, service: &S, handle: &FallbackHandle, azure: &Simulator) -> Result<(), BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>> + Clone,
    B: Body<Error: Into<BoxError>>,
{
    println!("{what}:");
    let timed = || async {
        let start = Instant::now();
        let (status, served) = ask(service).await?;
        assert!(status.is_success());
        Ok::<_, BoxError>((served.leg.unwrap_or_default().to_string(), (Instant::now() - start).as_millis()))
    };
    azure.script("chat-ptu").then(Scripted::rate_limited(Duration::from_millis(40)));
    let (leg, took) = timed().await?;
    println!("  full for 40 ms: waited, served by {leg} after {took} ms");
    assert!(leg == "ptu" && took < 500);

    azure.script("chat-ptu").then(Scripted::rate_limited(Duration::from_secs(17)));
    let (leg, took) = timed().await?;
    println!("  full for 17 s:  spilled, served by {leg} after {took} ms");
    assert!(leg == "standard" && took < 500);

    let sent = azure.journal().len();
    let (leg, took) = timed().await?;
    println!("  the next call:  does not even ask the PTU, served by {leg} after {took} ms");
    assert!(leg == "standard" && took < 500);
    assert_eq!(azure.journal().len(), sent + 1);

    let snapshot = handle.snapshot();
    let spilled: u64 = snapshot.legs.iter().map(|leg| leg.spills).sum();
    println!("  {} calls, {spilled} spilled", snapshot.calls);
    assert_eq!((snapshot.calls, spilled), (3, 2));
    Ok(())
}
