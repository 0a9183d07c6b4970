//! A limiter that counts tokens and requests before the send: with retries alone, and with the quota stated.
//!
//! ```sh
//! cargo run --example tpm_and_rpm
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
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tower::{Service, ServiceBuilder};
use tower_aoai::{
    Stack,
    config::{Config, EndpointConfig, ResourceConfig},
    core::{BoxError, ObserveLayer, PrepareLayer},
    retry_after::RetryAfterLayer,
    token_bucket::{Limits, Quota, TokenBucketLayer, TokenBucketSnapshot},
};
use tower_aoai_simulator::{Deployment, Latency, Simulator, quota::RequestLimit};

use crate::ask::ask;

/// 600 requests a minute, which Azure counts in windows of a second: ten in each.
fn azure() -> Simulator {
    let deployment = Deployment::standard("gpt-4o").tokens_per_minute(100_000).requests_per_minute(600);
    let deployment = deployment.request_limit(RequestLimit::Fixed(Duration::from_secs(1)));
    Simulator::builder().latency(Latency::typical()).deployment(deployment).build()
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let azure_of_retries = azure();
    let retries = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(RetryAfterLayer::default())
        .layer(ObserveLayer::new())
        .service(azure_of_retries.clone());
    let answered = rush(&retries).await;
    let refused = refused(&azure_of_retries);
    println!("retries alone: {answered} of {CALLS} answered, {refused} times 429");
    assert!(refused > 100);

    let azure_of_stack = azure();
    let transport = azure_of_stack.clone();
    // [preset]
    let mut endpoint = EndpointConfig::new("chat", "contoso").tokens_per_minute(100_000).requests_per_minute(600);
    // Azure counts requests over 1 or 10 s, and does not say which: 1 s is safe for both.
    endpoint.quota.request_window = Some(Duration::from_secs(1));
    let resource = ResourceConfig::new("contoso", "https://contoso.openai.azure.com");
    let stack = Stack::builder(Config::new().resource(resource).endpoint(endpoint)).transport(transport).build()?;
    // [end]
    let quota = stack.quota("chat").ok_or("there is such an endpoint")?;
    check("the preset", rush(&stack).await, &azure_of_stack, &quota.snapshot());

    let azure_of_layers = azure();
    let transport = azure_of_layers.clone();
    // [layers]
    let limits = Limits::new().tokens_per_minute(100_000).requests_per_minute(600);
    let bucket = TokenBucketLayer::of(Quota::new(limits.request_window(Duration::from_secs(1))));
    let handle = bucket.handle();

    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(RetryAfterLayer::default())
        .layer(bucket)
        .layer(ObserveLayer::new())
        .service(transport);
    // [end]
    check("the layers", rush(&service).await, &azure_of_layers, &handle.snapshot());
    Ok(())
}

const CALLS: u32 = 200;

/// Twenty calls at once, every second; how many are answered.
async fn rush<S, B>(service: &S) -> usize
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>, Future: Send>,
    S: Clone + Send + Sync + 'static,
    B: Body<Error: Into<BoxError>, Data: Send> + Send,
{
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        let service = service.clone();
        calls.spawn(async move {
            sleep_until(start + Duration::from_secs(u64::from(number / 20))).await;
            ask(&service).await.is_ok_and(|(status, _)| status.is_success())
        });
    }
    calls.join_all().await.into_iter().filter(|is_answered| *is_answered).count()
}

fn refused(azure: &Simulator) -> usize {
    azure.journal().iter().filter(|served| served.status.is_some_and(|status| status == 429)).count()
}

fn check(what: &str, answered: usize, azure: &Simulator, quota: &TokenBucketSnapshot) {
    let refused = refused(azure);
    println!(
        "{what}: {answered} of {CALLS} answered, {refused} times 429, a wait of {:.1?} at most",
        quota.longest_wait
    );
    assert_eq!((answered, refused), (CALLS as usize, 0));
}
