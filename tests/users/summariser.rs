//! What a user of the layers may have written: it asks for a summary, of whatever service it is given.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};
use tower_aoai::{
    core::{ObserveLayer, PrepareLayer, RequestBody},
    retry_after::{RetryAfterLayer, RetryPolicy},
};

pub(crate) async fn summary<S, B>(transport: S, text: &str) -> Result<String, BoxError>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error: Into<BoxError>> + Clone,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(RetryAfterLayer::new(RetryPolicy::new().max_retries(2).no_jitter()))
        .layer(ObserveLayer::new());
    let prompt = serde_json::json!([{ "role": "user", "content": format!("In one sentence: {text}") }]);
    let request = Request::post("/openai/v1/chat/completions").header("content-type", "application/json").body(
        Full::<Bytes>::from(serde_json::json!({ "model": "gpt-4o", "messages": prompt, "max_tokens": 60 }).to_string()),
    )?;
    let response = service.service(transport).oneshot(request).await?;
    if !response.status().is_success() {
        return Err(format!("no summary: {}", response.status()).into());
    }
    let answer = response.into_body().collect().await?.to_bytes();
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    let words = answer["choices"][0]["message"]["content"].as_str().ok_or("an answer without words")?;
    Ok(words.to_owned())
}
