//! async-openai's client, with a stack in place of its own retries.
//!
//! ```sh
//! cargo run --example async_openai
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;

use std::time::Duration;

use async_openai::{
    Client,
    config::{self as client, AzureConfig, OpenAIConfig},
    error::OpenAIError,
    middleware::HttpRequestFactory,
    types::chat::CreateChatCompletionRequest,
};
use futures_util::StreamExt;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_aoai::{
    Stack,
    config::{Config, EndpointConfig, ResourceConfig},
    core::{DeadlineLayer, ObserveLayer, PrepareLayer, RejectedResponseLayer},
    retry_after::RetryAfterLayer,
    token_bucket::{Quota, TokenBucketLayer},
    transport::Transport,
};
use tower_aoai_simulator::{Deployment, Scripted, Simulator, server::Server};

// [adapter]
/// One call of async-openai's. The stack has the retries, so the factory makes one request, whose body can be sent again.
async fn send<S, B>(stack: S, factory: HttpRequestFactory) -> Result<reqwest::Response, OpenAIError>
where
    S: Service<http::Request<reqwest::Body>, Response = http::Response<B>, Error: Into<BoxError>>,
    B: http_body::Body<Data: Into<bytes::Bytes>, Error: Into<BoxError>> + Send + Sync + 'static,
{
    let request = http::Request::try_from(factory.build().await?).map_err(OpenAIError::Reqwest)?;
    let response = stack.oneshot(request).await.map_err(|error| OpenAIError::Boxed(error.into()))?;
    Ok(response.map(reqwest::Body::wrap).into())
}
// [end]

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let azure = Simulator::builder().api_key("key").deployment(Deployment::standard("gpt-4o")).build();
    let server = Server::local().await?.serve(azure.clone());
    let url = server.url();

    // [preset]
    let mut config = Config::new()
        .resource(ResourceConfig::new("contoso", url.as_str()).api_key("key"))
        .endpoint(EndpointConfig::new("chat", "contoso").deployment("gpt-4o").tokens_per_minute(30_000));
    config.door.answer_refusals = Some(true);
    let stack = Stack::new(config)?;

    let service = service_fn(move |factory| send(stack.clone(), factory));
    let client = Client::with_config(OpenAIConfig::new()).with_http_service(service);
    // [end]
    check("the preset", &client, &azure).await?;

    azure.reset();
    // [layers]
    let stack = ServiceBuilder::new()
        .layer(RejectedResponseLayer::new())
        .layer(PrepareLayer::new())
        .layer(DeadlineLayer::new(Duration::from_secs(120)))
        .layer(RetryAfterLayer::default())
        .layer(TokenBucketLayer::of(Quota::standard(30_000)))
        .layer(ObserveLayer::new())
        .service(Transport::new()?);

    let azure_config = AzureConfig::new().with_api_base(url).with_api_key("key");
    let azure_config = azure_config.with_api_version("2024-10-21").with_deployment_id("gpt-4o");
    let service = service_fn(move |factory| send(stack.clone(), factory));
    let client = Client::with_config(azure_config).with_http_service(service);
    // [end]
    check("the layers", &client, &azure).await?;
    server.shutdown(Duration::from_secs(1)).await;
    Ok(())
}

/// A call, a stream, and one that is too large.
async fn check<C: client::Config>(what: &str, client: &Client<C>, azure: &Simulator) -> Result<(), BoxError> {
    let chat = |max_tokens: u32| -> Result<CreateChatCompletionRequest, BoxError> {
        let messages = serde_json::json!([{ "role": "user", "content": "Hello" }]);
        Ok(serde_json::from_value(
            serde_json::json!({ "model": "gpt-4o", "messages": messages, "max_tokens": max_tokens }),
        )?)
    };

    azure.script("gpt-4o").then(Scripted::rate_limited(Duration::from_millis(300))).then(Scripted::plain_text_503());
    let answer = client.chat().create(chat(20)?).await?;
    println!("{what}: a 429 of 300 ms, a 503, and an answer of {} choice", answer.choices.len());
    assert_eq!(azure.journal().len(), 3);

    azure.script("gpt-4o").then(Scripted::rate_limited(Duration::from_millis(100)));
    let (mut stream, mut events) = (client.chat().create_stream(chat(20)?).await?, 0);
    while let Some(event) = stream.next().await {
        events += usize::from(!event?.choices.is_empty());
    }
    println!("a 429, and a stream of {events} events with content");
    assert!(events >= 20);

    // A refusal of a layer's is an error of OpenAI's, with its code.
    let refused = client.chat().create(chat(40_000)?).await;
    let Err(OpenAIError::ApiError(refused)) = refused else { return Err("it is larger than the whole quota".into()) };
    println!("a call of 40,000 tokens: {refused}");
    assert_eq!(azure.journal().len(), 5, "nothing was sent");
    Ok(())
}
