//! Who is asked for their usage, and what else changes: nothing.

mod support;

use bytes::Bytes;
use http::{Request, Response};
use proptest::prelude::*;
use support::{object, parsed};
use tokio::time::Instant;
use tokio_test::{assert_pending, task};
use tower::{Layer, Service};
use tower_aoai_core::{Call, CallContext, IncludeUsage, IncludeUsageLayer, RequestBody};
use tower_test::mock::{Spawn, spawn_layer};

const CHAT: &str = "/openai/deployments/d/chat/completions";

/// Only takes down what it is given.
#[derive(Clone)]
struct Bottom;

impl Service<Request<RequestBody>> for Bottom {
    type Response = Request<RequestBody>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        std::future::ready(Ok(request))
    }
}

fn below(layer: IncludeUsageLayer, request: Request<RequestBody>) -> Request<RequestBody> {
    let mut service = layer.layer(Bottom);
    service.call(request).into_inner().unwrap()
}

fn request(path: &str, body: &str) -> Request<RequestBody> {
    Request::post(path).body(RequestBody::from(body.to_owned())).expect("a request")
}

/// The body that is sent, and whether the call is marked.
fn sent(path: &str, body: &str) -> (Bytes, bool) {
    let request = below(IncludeUsageLayer::new(), request(path, body));
    let added = request.extensions().get::<CallContext>().is_some_and(CallContext::usage_added);
    (request.body().to_bytes(), added)
}

#[test]
fn who_did_not_ask_is_asked_for() {
    for (body, expected) in [
        (r#"{"stream":true}"#, r#"{"stream_options":{"include_usage":true},"stream":true}"#),
        (r#"{"stream":true,"stream_options":null}"#, r#"{"stream":true,"stream_options":{"include_usage":true}}"#),
        (r#"{"stream":true,"stream_options":{ }}"#, r#"{"stream":true,"stream_options":{"include_usage":true }}"#),
        (
            r#"{"stream":true,"stream_options":{"include_usage" : false, "x":1}}"#,
            r#"{"stream":true,"stream_options":{"include_usage" : true, "x":1}}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{"include_usage":true,"include\u005fusage":null}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true,"include\u005fusage":true}}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{"include_obfuscation":false}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}"#,
        ),
    ] {
        assert_eq!(sent(CHAT, body), (Bytes::from(expected), true));
        assert_eq!(sent("/v1/completions", body), (Bytes::from(expected), true));
    }
}

#[test]
fn everyone_else_is_left_alone() {
    for (path, body) in [
        (CHAT, r#"{"stream":false}"#),
        (CHAT, r#"{"messages":[]}"#),
        (CHAT, r#"{"stream":true,"stream_options":{"include_usage":true}}"#),
        (CHAT, r#"{"stream":true,"stream_options":{"include_usage":"yes"}}"#),
        (CHAT, r#"{"stream":true,"stream_options":[]}"#),
        (CHAT, r#"{"stream":true"#),
        (CHAT, ""),
        ("/openai/v1/responses", r#"{"stream":true}"#),
        ("/openai/v1/embeddings", r#"{"stream":true}"#),
        ("/openai/v1/audio/speech", r#"{"stream":true}"#),
        ("/models/chat/completions", r#"{"stream":true}"#),
    ] {
        assert_eq!(sent(path, body), (Bytes::from(body.to_owned()), false), "{path}");
    }
}

#[test]
fn switched_off_it_touches_nothing() {
    let layer = IncludeUsageLayer::off();
    let request = below(layer, request(CHAT, r#"{"stream":true}"#));
    assert_eq!(request.body().to_bytes(), r#"{"stream":true}"#);
    assert!(request.extensions().is_empty());
    let same_type: [IncludeUsage<Bottom>; 2] = [layer, IncludeUsageLayer::default()].map(|layer| layer.layer(Bottom));
    assert_eq!(same_type.len(), 2);
}

#[test]
fn twice_is_once() {
    let once = below(IncludeUsageLayer::new(), request(CHAT, r#"{"stream":true}"#));
    let whole = once.body().to_bytes();
    let twice = below(IncludeUsageLayer::new(), once);
    assert_eq!(twice.body().to_bytes(), whole);
}

#[test]
fn a_context_that_knows_only_the_head_keeps_its_record() {
    let mut request = request(CHAT, r#"{"stream":true}"#);
    let mut context = CallContext::of(&mut request).clone();
    let request = below(IncludeUsageLayer::new(), request);
    let found = request.extensions().get::<CallContext>().unwrap();
    assert!(found.usage_added() && !context.usage_added());
    context.attempt().mark_sent(Instant::now());
    assert_eq!(found.attempt_count(), 1);
}

#[test]
fn a_context_of_another_body_does_no_harm() {
    let long = br#"{"stream":true,"padding":"................","stream_options":{}}"#;
    let mut request = request(CHAT, r#"{"stream":false}"#);
    let call = Call::read(request.uri(), request.headers(), long);
    request.extensions_mut().insert(CallContext::new(call, Instant::now()));
    let request = below(IncludeUsageLayer::new(), request);
    assert_eq!(request.body().to_bytes(), r#"{"stream":false}"#);
}

#[tokio::test]
async fn t1_readiness_is_that_of_the_inner_service() {
    let (mut service, mut below) = spawn_layer::<_, Response<()>, _>(IncludeUsageLayer::new());
    let service: &mut Spawn<IncludeUsage<_>> = &mut service;
    below.allow(0);
    assert_pending!(service.poll_ready::<Request<RequestBody>>());
    below.allow(1);
    assert!(service.poll_ready::<Request<RequestBody>>().is_ready());
    let mut answer = task::spawn(service.call(request(CHAT, r#"{"stream":true}"#)));
    assert_pending!(answer.poll());
    let (request, _) = below.next_request().await.unwrap();
    assert!(request.extensions().get::<CallContext>().unwrap().usage_added());
    assert_pending!(service.poll_ready::<Request<RequestBody>>());
}

proptest! {
    #[test]
    fn an_asking_body_is_the_same_otherwise(text in object()) {
        let (body, added) = sent(CHAT, &text);
        let mut server = parsed(text.as_bytes());
        if added {
            prop_assert_eq!(&server["stream"], true);
            if server["stream_options"].is_null() {
                server["stream_options"] = serde_json::json!({});
            }
            server["stream_options"]["include_usage"] = true.into();
            prop_assert_eq!(parsed(&body), server);
        } else {
            prop_assert_eq!(body, text);
        }
    }
}
