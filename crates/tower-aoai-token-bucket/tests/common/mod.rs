//! Calls, and the stack around the layer.

#![allow(unreachable_pub, dead_code, reason = "each test takes what it needs")]

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower_aoai_simulator::{Deployment, Latency, Simulator};
use tower_aoai_token_bucket::TokenBucketHandle;

pub type Plain = Full<Bytes>;

pub fn chat(max_tokens: u64, stream: bool) -> Request<Plain> {
    let options = if stream { r#","stream":true,"stream_options":{"include_usage":true}"# } else { "" };
    let body = format!(r#"{{"messages":[{{"role":"user","content":"Say it."}}],"max_tokens":{max_tokens}{options}}}"#);
    Request::post("http://localhost/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
        .body(Full::from(body))
        .expect("a valid request")
}

pub fn simulator() -> Simulator {
    Simulator::builder()
        .deployment(Deployment::standard("gpt-4o").tokens_per_minute(1_000_000))
        .latency(Latency::typical())
        .build()
}

macro_rules! stack {
    ($bucket:expr, $leaf:expr) => {
        tower::ServiceBuilder::new()
            .layer(tower_aoai_core::PrepareLayer::new())
            .layer($bucket)
            .layer(tower_aoai_core::ObserveLayer::new())
            .service($leaf)
    };
}

pub fn assert_nothing_is_held(handle: &TokenBucketHandle, when: &str) {
    let now = handle.snapshot();
    assert_eq!((now.in_flight, now.queued, now.outstanding_tokens), (0, 0, 0), "{when}");
}
