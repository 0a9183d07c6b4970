//! A reqwest client as the transport, below the layers.
//!
//! ```sh
//! cargo run --example reqwest_below
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;
#[path = "../chat.rs"]
mod chat;

use std::time::Duration;

use http_body_util::BodyExt;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tower_aoai::{
    core::{AttemptTimeoutLayer, DeadlineLayer, ObserveLayer, PrepareLayer, RequestBody, Served},
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

    // [reqwest-below]
    // Without the retries of its own, and without redirects, which would carry the key to another host.
    let client = reqwest::Client::builder()
        .retry(reqwest::retry::never())
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .build()?;
    let transport = service_fn(move |request: http::Request<RequestBody>| {
        let client = client.clone();
        async move {
            let request = reqwest::Request::try_from(request.map(reqwest::Body::wrap))?;
            client.execute(request).await.map(http::Response::from)
        }
    });

    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(DeadlineLayer::new(Duration::from_secs(120)))
        .layer(RetryAfterLayer::default())
        .layer(EndpointLayer::new(url.parse()?).classic("2024-10-21")?.credential(Token::api_key("key")?))
        .layer(ObserveLayer::new())
        .layer(AttemptTimeoutLayer::new().first_byte(Duration::from_secs(60)))
        .service(transport);
    // [end]

    let response = service.oneshot(chat("Hello")).await?;
    let attempts = response.extensions().get::<Served>().map_or(0, |served| served.attempts);
    println!("{} after {attempts} attempts: a 429 of 300 ms, a connection reset, an answer", response.status());
    assert!(response.status().is_success() && attempts == 3);
    assert_eq!(azure.journal().len(), 3, "nobody else tries again");
    response.into_body().collect().await?;
    server.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
