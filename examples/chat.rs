//! The one request that every small example sends.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

/// A chat in OpenAI's own words: twenty tokens at most, of the model `gpt-4o`.
pub(crate) fn chat(prompt: &str) -> Request<Full<Bytes>> {
    let body = serde_json::json!({
        "model": "gpt-4o",
        "messages": [{ "role": "user", "content": prompt }],
        "max_tokens": 20,
    });
    Request::post("/openai/v1/chat/completions")
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))
        .expect("a valid request")
}
