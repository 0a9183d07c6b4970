//! What the tests of the service share.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test takes what it needs")]

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::ServiceExt;
use tower_aoai_simulator::{ConnectionFault, SimulatedBody, Simulator};

pub const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
pub const HELLO: &str = r#"{"messages":[{"role":"user","content":"Hello"}],"max_tokens":10}"#;
pub const STREAM: &str = r#"{"messages":[{"role":"user","content":"Hello"}],"max_tokens":3,"stream":true}"#;
pub const STREAM_USAGE: &str = r#"{"messages":[{"role":"user","content":"Hello"}],"max_tokens":3,"stream":true,"stream_options":{"include_usage":true}}"#;

pub fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(path).body(Full::new(body.into())).unwrap()
}

pub async fn send(
    simulator: &Simulator,
    request: Request<Full<Bytes>>,
) -> Result<Response<SimulatedBody>, ConnectionFault> {
    simulator.clone().oneshot(request).await
}

/// The status and the whole body of an answer, as JSON.
pub async fn answer(simulator: &Simulator, request: Request<Full<Bytes>>) -> (u16, Value) {
    let response = send(simulator, request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

pub fn header<'a>(response: &'a Response<SimulatedBody>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// The frames of a stream, and the error it ended with, if it did.
pub async fn frames(body: SimulatedBody) -> (Vec<String>, Option<ConnectionFault>) {
    let mut body = body;
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                let data = frame.into_data().unwrap();
                frames.push(String::from_utf8(data.to_vec()).unwrap());
            }
            Err(fault) => return (frames, Some(fault)),
        }
    }
    (frames, None)
}

/// The JSON of an event's data.
pub fn data(frame: &str) -> Value {
    let line = frame.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    serde_json::from_str(line).unwrap()
}
