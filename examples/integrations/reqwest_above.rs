//! Requests that are built, and answers that are read, as reqwest's, through a stack.
//!
//! reqwest has no place for a layer around its requests (`connector_layer` is around connections), so the stack stands
//! between `build()` and the response, and sends by itself or by another reqwest client: see `reqwest_below`.
//!
//! ```sh
//! cargo run --example reqwest_above
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;

use std::time::Duration;

use serde_json::{Value, json};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};
use tower_aoai::{
    core::{DeadlineLayer, ObserveLayer, PrepareLayer, RejectedResponseLayer},
    retry_after::RetryAfterLayer,
    transport::Transport,
};
use tower_aoai_simulator::{Deployment, Scripted, Simulator, server::Server};

// [through]
/// In place of `RequestBuilder::send`.
async fn send<S, B>(stack: &S, request: reqwest::RequestBuilder) -> Result<reqwest::Response, BoxError>
where
    S: Service<http::Request<reqwest::Body>, Response = http::Response<B>, Error: Into<BoxError>> + Clone,
    B: http_body::Body<Data: Into<bytes::Bytes>, Error: Into<BoxError>> + Send + Sync + 'static,
{
    let request = http::Request::try_from(request.build()?)?;
    let response = stack.clone().oneshot(request).await.map_err(Into::into)?;
    Ok(response.map(reqwest::Body::wrap).into())
}
// [end]

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let azure = Simulator::builder().api_key("key").deployment(Deployment::standard("gpt-4o")).build();
    azure.script("gpt-4o").then(Scripted::rate_limited(Duration::from_millis(300))).then(Scripted::plain_text_503());
    let server = Server::local().await?.serve(azure.clone());
    let url = format!("{}/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", server.url());
    let body = json!({ "messages": [{ "role": "user", "content": "Hello" }] });

    // [calls]
    let stack = ServiceBuilder::new()
        .layer(RejectedResponseLayer::new())
        .layer(PrepareLayer::new())
        .layer(DeadlineLayer::new(Duration::from_secs(120)))
        .layer(RetryAfterLayer::default())
        .layer(ObserveLayer::new())
        .service(Transport::new()?);

    let client = reqwest::Client::new(); // builds requests, and sends none
    let request = client.post(&url).header("api-key", "key").json(&body);
    let answer: Value = send(&stack, request).await?.error_for_status()?.json().await?;
    // [end]

    println!("a 429 of 300 ms, a 503, and an answer that used {} tokens", answer["usage"]["total_tokens"]);
    assert_eq!(azure.journal().len(), 3);

    // A streamed answer is a stream, and what is refused by a layer is a response.
    let mut streamed = send(
        &stack,
        client.post(&url).header("api-key", "key").json(&json!({
            "messages": [{ "role": "user", "content": "Hello" }], "stream": true,
        })),
    )
    .await?;
    let mut chunks = 0;
    while streamed.chunk().await?.is_some() {
        chunks += 1;
    }
    println!("and a stream in {chunks} chunks");
    assert!(chunks > 1);
    server.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
