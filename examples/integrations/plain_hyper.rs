//! hyper's own client as the transport, for those who have one.
//!
//! Those who have none take `tower_aoai::transport::Transport`, which is this with TLS, HTTP/2 and proxies.
//!
//! ```sh
//! cargo run --example plain_hyper
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;
#[path = "../chat.rs"]
mod chat;

use std::time::Duration;

use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt};
use tower_aoai::{
    core::{ConnectTimeoutLayer, DeadlineLayer, IncludeUsageLayer, ObserveLayer, PrepareLayer, RequestBody, Served},
    endpoint::{EndpointLayer, Token},
    retry_after::RetryAfterLayer,
};
use tower_aoai_simulator::{Deployment, Scripted, Simulator, server::Server};

use crate::chat::chat;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let azure = Simulator::builder().api_key("key").deployment(Deployment::standard("gpt-4o")).build();
    azure.script("gpt-4o").then(Scripted::rate_limited(Duration::from_millis(300))).then(Scripted::reset());
    let server = Server::local().await?.serve(azure.clone());
    let url = server.url();

    // [plain-hyper]
    // What hyper would send again by itself nobody above could count: off.
    let connector = ConnectTimeoutLayer::new(Duration::from_secs(10)).layer(HttpConnector::new());
    let client: Client<_, RequestBody> =
        Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build(connector);

    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(DeadlineLayer::new(Duration::from_secs(120)))
        .layer(RetryAfterLayer::default())
        .layer(EndpointLayer::new(url.parse()?).credential(Token::api_key("key")?))
        .layer(IncludeUsageLayer::new())
        .layer(ObserveLayer::new())
        .service(client);
    // [end]

    let response = service.oneshot(chat("Hello")).await?;
    let attempts = response.extensions().get::<Served>().map_or(0, |served| served.attempts);
    println!("{} after {attempts} attempts: a 429 of 300 ms, a connection reset, an answer", response.status());
    assert!(response.status().is_success() && attempts == 3);
    assert_eq!(azure.journal().len(), 3);
    response.into_body().collect().await?;
    server.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
