//! Which requests have the same answer each time.

use bytes::Bytes;
use tower_aoai_core::{Call, Operation};

/// Whether a call's answer may stand for the next one like it: the rule of a [`CacheLayer`](super::CacheLayer) to which
/// no other was [given](super::CacheLayer::when).
///
/// Embeddings always, chats and completions with `temperature` 0. Responses never: they are kept by the server under an
/// identity of their own, and others refer to it. `body` is the one that `call` was read from.
///
/// ```
/// use bytes::Bytes;
/// use http::HeaderMap;
/// use tower_aoai::{cache::is_repeatable, core::Call};
///
/// let repeatable = |path: &str, body: &'static str| {
///     let body = Bytes::from(body);
///     is_repeatable(&Call::read(&path.parse().unwrap(), &HeaderMap::new(), &body), &body)
/// };
/// assert!(repeatable("/openai/v1/embeddings", r#"{"model":"small","input":"Hello"}"#));
/// assert!(repeatable("/openai/v1/chat/completions", r#"{"messages":[],"temperature":0.0}"#));
/// assert!(!repeatable("/openai/v1/chat/completions", r#"{"messages":[]}"#));
/// ```
#[must_use]
pub fn is_repeatable(call: &Call, body: &Bytes) -> bool {
    match call.operation {
        Operation::Embeddings => call.spans.prompt.is_some(),
        Operation::Chat | Operation::Completions => call.spans.temperature.clone().is_some_and(|span| {
            let value = body.get(span).and_then(|value| std::str::from_utf8(value).ok());
            value
                .and_then(|value| value.parse::<f64>().ok())
                .is_some_and(|temperature| temperature.abs() < f64::EPSILON)
        }),
        _ => false,
    }
}
