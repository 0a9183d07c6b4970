//! What is read of a request is what a server reads of it.

mod support;

use std::ops::Range;

use http::{HeaderMap, Request, Uri};
use proptest::prelude::*;
use serde_json::Value;
use support::{object, parsed};
use tower_aoai_core::{Call, CallContext, Operation, RequestBody};

const CHAT: &str = "/openai/v1/chat/completions";
const COMPLETIONS: &str = "/openai/v1/completions";
const EMBEDDINGS: &str = "/openai/v1/embeddings";
const RESPONSES: &str = "/openai/v1/responses";
const OTHER: &str = "/openai/v1/images/generations";

fn read(path: &'static str, body: &[u8]) -> Call {
    Call::read(&Uri::from_static(path), &HeaderMap::new(), body)
}

/// Of several members, the first that is not null, else the first.
fn either<'a>(body: &'a Value, keys: &[&str]) -> Option<&'a Value> {
    let mut present = keys.iter().filter_map(|key| body.get(key));
    let first = present.clone().next();
    present.find(|value| !value.is_null()).or(first)
}

proptest! {
    #[test]
    fn spans_are_the_values_that_a_server_reads(text in object()) {
        let body = text.as_bytes();
        let server = parsed(body);
        let here = |span: &Option<Range<usize>>| span.clone().map(|span| parsed(&body[span]));
        for (path, prompt_keys, limit) in [
            (CHAT, &["messages"][..], &["max_completion_tokens", "max_tokens"][..]),
            (COMPLETIONS, &["prompt"], &["max_tokens"]),
            (EMBEDDINGS, &["input"], &[]),
            (RESPONSES, &["input"], &["max_output_tokens"]),
            (
                OTHER,
                &["messages", "prompt", "input"],
                &["max_completion_tokens", "max_output_tokens", "max_tokens"],
            ),
        ] {
            let call = read(path, body);
            prop_assert_eq!(here(&call.spans.model), server.get("model").cloned());
            prop_assert_eq!(here(&call.spans.temperature), server.get("temperature").cloned());
            prop_assert_eq!(call.service_tier.as_deref(), server.get("service_tier").and_then(Value::as_str));
            prop_assert_eq!(here(&call.spans.top_p), server.get("top_p").cloned());
            prop_assert_eq!(here(&call.spans.stream_options), server.get("stream_options").cloned());
            prop_assert_eq!(here(&call.spans.prompt), either(&server, prompt_keys).cloned());
            prop_assert_eq!(here(&call.spans.max_output_tokens), either(&server, limit).cloned());
            prop_assert_eq!(call.max_output_tokens, either(&server, limit).and_then(Value::as_u64));
            let prompt = call.spans.prompt.map_or(0, |span| span.len());
            let null = either(&server, prompt_keys).is_some_and(Value::is_null);
            prop_assert!(null || call.prompt_bytes >= prompt);
        }
    }

    #[test]
    fn facts_are_those_that_a_server_reads(text in object()) {
        let server = parsed(text.as_bytes());
        let call = read(CHAT, text.as_bytes());
        let is = |value: Option<&Value>| value == Some(&Value::Bool(true));
        let count = |key| server.get(key).and_then(Value::as_u64).unwrap_or(1);
        prop_assert_eq!(call.model.as_deref(), server.get("model").and_then(Value::as_str));
        prop_assert_eq!(call.stream, is(server.get("stream")));
        prop_assert_eq!(call.include_usage, is(server.pointer("/stream_options/include_usage")));
        prop_assert_eq!(call.choices, count("n").max(count("best_of")).max(1));
        prop_assert_eq!(call.body_bytes, text.len());
        prop_assert_eq!(call.spans.is_empty_object, server.as_object().is_some_and(serde_json::Map::is_empty));
        let first = call.spans.first_member.unwrap_or_default();
        prop_assert_eq!(text[..first].trim_start(), "{");
    }

    #[test]
    fn a_body_that_breaks_off_leaves_the_head(text in object(), cut in any::<prop::sample::Index>()) {
        let whole = text.trim_end().len();
        let cut = cut.index(whole);
        let call = read(CHAT, &text.as_bytes()[..cut]);
        let mut head = read(CHAT, b"");
        head.body_bytes = cut;
        prop_assert_eq!(call, head);
    }

    #[test]
    fn damage_never_panics(
        text in object(),
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let mut body = text.into_bytes();
        let at = at.index(body.len());
        body.splice(at..=at, with);
        let call = read(CHAT, &body);
        for span in [call.spans.model, call.spans.prompt, call.spans.stream_options, call.spans.max_output_tokens] {
            prop_assert!(span.is_none_or(|span| span.start < span.end && span.end <= body.len()));
        }
    }

    #[test]
    fn garbage_never_panics(body in prop::collection::vec(any::<u8>(), 0..200), path in "[/a-z%0-9]{0,40}") {
        let uri: Uri = format!("/{path}").parse().unwrap_or_default();
        let _ = Call::read(&uri, &HeaderMap::new(), &body);
    }

    #[test]
    fn any_deployment_comes_back(name in "\\PC{1,12}") {
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let uri: Uri = format!("/openai/deployments/{encoded}/chat/completions").parse().unwrap();
        let call = Call::from_head(&uri, &HeaderMap::new());
        prop_assert_eq!(call.deployment.as_deref(), Some(&name[..]));
        prop_assert_eq!(call.operation, Operation::Chat);
    }
}

#[test]
fn what_is_no_json_object_leaves_the_head() {
    for body in ["", " ", "null", "[]", "{} {}", "--boundary\r\n", "\u{1f}\u{8b}"] {
        let call = read(CHAT, body.as_bytes());
        assert_eq!(call.operation, Operation::Chat);
        assert_eq!(call.spans.first_member, None, "{body:?}");
        assert_eq!(call.prompt_bytes, 0, "{body:?}");
    }
}

#[test]
fn a_member_of_the_wrong_type_is_not_known_but_has_its_place() {
    let body = br#"{"model":7,"stream":"yes","n":"2","max_tokens":null,"stream_options":[]}"#;
    let call = read(CHAT, body);
    assert_eq!((call.model.as_deref(), call.stream, call.choices), (None, false, 1));
    assert_eq!(call.spans.model.map(|span| &body[span]), Some(&b"7"[..]));
    assert_eq!(call.spans.max_output_tokens.map(|span| &body[span]), Some(&b"null"[..]));
    assert_eq!(call.max_output_tokens, None);
}

#[test]
fn a_model_may_be_written_with_escapes() {
    let call = read(CHAT, br#"{"mod\u0065l":"gpt\u002d4o \"x\" \ud83d\ude00"}"#);
    assert_eq!(call.model.as_deref(), Some("gpt-4o \"x\" \u{1f600}"));
    let broken = read(CHAT, br#"{"model":"\ud83d","stream":true}"#);
    assert_eq!((broken.model, broken.stream), (None, true));
}

#[test]
fn a_context_that_knows_another_body_is_not_believed() {
    let body = r#"{"model":"a","temperature":0.5}"#;
    let mut request = Request::post(CHAT).body(RequestBody::from(body)).unwrap();
    assert_eq!(Call::of(&request).model.as_deref(), Some("a"));
    CallContext::of(&mut request);
    let head_only = Call::of(&request).into_owned();
    assert_eq!(head_only.spans.temperature.map(|span| &body[span]), Some("0.5"));
    let known = read(CHAT, body.as_bytes());
    CallContext::of(&mut request).amend_call(|call| *call = known.clone());
    assert!(matches!(Call::of(&request), std::borrow::Cow::Borrowed(call) if *call == known));
    *request.body_mut() = RequestBody::from(r#"{"model":"b"}"#);
    assert_eq!(Call::of(&request).model.as_deref(), Some("b"));
}

#[test]
fn the_prompt_is_counted_with_its_tools() {
    let body = br#"{"messages":["abcd"],"tools":[1],"functions":null,"instructions":"x","user":"y"}"#;
    assert_eq!(read(CHAT, body).prompt_bytes, 8 + 3 + 3);
}

#[test]
fn the_service_tier_is_read_where_it_is_a_word() {
    for (body, tier) in [
        (r#"{"service_tier":"priority"}"#, Some("priority")),
        (r#"{"service_tier":null}"#, None),
        (r#"{"service_tier":1}"#, None),
        ("{}", None),
    ] {
        assert_eq!(read(CHAT, body.as_bytes()).service_tier.as_deref(), tier, "{body}");
    }
}
