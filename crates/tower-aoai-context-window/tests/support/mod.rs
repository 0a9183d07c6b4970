//! Conversations, and what an API demands of them.

#![allow(unreachable_pub, dead_code, reason = "each test takes what it needs")]

use bytes::Bytes;
use http::{Request, Response};
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_aoai_context_window::{ContextUse, ContextWindowLayer};
use tower_aoai_core::{Error, RequestBody};

pub const CHAT: &str = "/openai/deployments/tiny/chat/completions?api-version=2024-10-21";

/// What the layer hands down, with what it says of it; or its refusal.
pub async fn through(
    layer: &ContextWindowLayer,
    path: &str,
    body: impl Into<RequestBody>,
) -> Result<(Bytes, Option<ContextUse>), Error> {
    let echo = service_fn(|request: Request<RequestBody>| async move {
        let down = request.extensions().get::<ContextUse>().copied();
        let mut response = Response::new(request.into_body().to_bytes());
        response.extensions_mut().insert(Down(down));
        Ok::<_, Error>(response)
    });
    let request = Request::post(path).body(body.into()).expect("a valid request");
    let response = layer.layer(echo).oneshot(request).await?;
    let up = response.extensions().get::<ContextUse>().copied();
    assert_eq!(Some(&Down(up)), response.extensions().get(), "told above as below");
    Ok((response.into_body(), up))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Down(Option<ContextUse>);

pub fn blocking<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(future)
}

const WORDS: [&str; 12] =
    ["a", "the", "model", "counts", "tokens", "unfathomably", "123456", "x1", "don't", "HTTPServer", "  ", "\n\n"];

pub fn text(words: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let word = prop_oneof![
        6 => prop::sample::select(WORDS.as_slice()).prop_map(str::to_owned),
        1 => Just("東京タワー".to_owned()),
        1 => Just("\"quoted\"\n".to_owned()),
        1 => Just("👩‍👩‍👧".to_owned()),
        1 => Just("<|endoftext|>".to_owned()),
        1 => prop::collection::vec(any::<char>(), 1..4).prop_map(String::from_iter),
    ];
    prop::collection::vec(word, words).prop_map(|words| words.join(" "))
}

fn system() -> impl Strategy<Value = Value> {
    (prop_oneof![Just("system"), Just("developer")], text(0..12))
        .prop_map(|(role, text)| json!({"role": role, "content": text}))
}

fn user() -> impl Strategy<Value = Value> {
    prop_oneof![
        text(0..60).prop_map(|text| json!({"role": "user", "content": text})),
        text(0..60).prop_map(|text| json!({"role": "user", "name": "ada", "content": [
            {"type": "text", "text": text},
            {"type": "image_url", "image_url": {"url": "https://example.com/i.png", "detail": "low"}},
        ]})),
    ]
}

/// Calls of tools, and their results in another order; [`numbered`] gives them their ids.
fn round() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(text(0..40), 1..4).prop_map(|results| {
        let function = json!({"name": "look", "arguments": "{\"at\":1}"});
        let made: Vec<_> =
            results.iter().map(|_| json!({"id": "", "type": "function", "function": function})).collect();
        let results = results.iter().map(|text| json!({"role": "tool", "tool_call_id": "", "content": text}));
        std::iter::once(json!({"role": "assistant", "content": null, "tool_calls": made})).chain(results).collect()
    })
}

fn numbered(mut messages: Vec<Value>) -> Vec<Value> {
    let mut last = 0;
    let mut open: Vec<Value> = Vec::new();
    for message in &mut messages {
        if message["role"] == "tool" {
            message["tool_call_id"] = open.pop().expect("as many results as calls");
        }
        for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
            last += 1;
            call["id"] = format!("call_{last:08x}").into();
            open.push(call["id"].clone());
        }
    }
    messages
}

fn turn() -> impl Strategy<Value = Vec<Value>> {
    let answer = text(1..40).prop_map(|text| json!({"role": "assistant", "content": text}));
    (user(), prop::collection::vec(round(), 0..4), prop::option::of(system()), answer).prop_map(
        |(user, rounds, system, answer)| {
            let all = std::iter::once(user).chain(rounds.into_iter().flatten());
            all.chain([answer]).chain(system).collect()
        },
    )
}

/// A valid conversation, at whose end it is the assistant's turn.
pub fn conversation() -> impl Strategy<Value = Vec<Value>> {
    let end = (user(), prop::collection::vec(round(), 0..4));
    let end =
        end.prop_map(|(user, rounds)| std::iter::once(user).chain(rounds.into_iter().flatten()).collect::<Vec<_>>());
    (prop::collection::vec(system(), 0..3), prop::collection::vec(turn(), 0..6), end)
        .prop_map(|(systems, turns, end)| systems.into_iter().chain(turns.into_iter().flatten()).chain(end).collect())
        .prop_map(numbered)
}

/// What the API refuses: results without their calls, and calls without their results.
pub fn assert_valid(messages: &[Value]) {
    let mut open: Vec<String> = Vec::new();
    for message in messages {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().expect("an id");
            let place = open.iter().position(|open| open == id);
            open.remove(place.expect("a result of a call that stands before it"));
            continue;
        }
        assert!(open.is_empty(), "a call without its result");
        let calls = message["tool_calls"].as_array();
        open = calls.into_iter().flatten().map(|call| call["id"].as_str().expect("an id").to_owned()).collect();
    }
    assert!(open.is_empty(), "a call without its result");
}
