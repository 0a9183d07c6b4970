//! The contract of a tower service, and what every layer of the workspace promises.

mod support;

use std::{convert::Infallible, task::Poll, time::Duration};

use http::{Request, Response};
use support::{Plain, Scripted, authorization, request, sent, token};
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceExt};
use tower_aoai_core::{
    Admission, Asked, CallContext, DeadlineLayer, Error, IncludeUsageLayer, ObserveLayer, Operation, PrepareLayer,
    Reason, Rejected, RequestBody,
};
use tower_aoai_endpoint::{BaseUrl, Credential, Defaults, EndpointLayer, Token, TokenCache};
use tower_test::mock::{self, Mock};

const HOUR: Duration = Duration::from_secs(3_600);

fn azure() -> EndpointLayer {
    EndpointLayer::new("https://ours.openai.azure.com".parse::<BaseUrl>().expect("a base URL"))
}

fn chat() -> Request<RequestBody> {
    request("POST", "/v1/chat/completions", r#"{"model":"gpt"}"#)
}

type Inner = Mock<Request<RequestBody>, Response<Plain>>;

#[test]
fn t5_everything_is_send_sync_and_static() {
    fn all<T: Send + Sync + 'static>() {}
    fn future<T: Send + 'static>() {}
    all::<EndpointLayer>();
    all::<tower_aoai_endpoint::Endpoint<Inner>>();
    all::<TokenCache>();
    all::<Box<dyn Credential>>();
    all::<tower_aoai_endpoint::EndpointHandle>();
    future::<tower_aoai_endpoint::ResponseFuture<Inner>>();
}

#[tokio::test]
async fn t1_always_ready_and_calls_only_an_instance_that_got_ready() {
    let (inner, mut handle) = mock::pair::<Request<RequestBody>, Response<Plain>>();
    handle.allow(0);
    let mut service = azure().layer(inner);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))));
    let mut call = task::spawn(service.call(chat()));
    assert_pending!(call.poll());
    handle.allow(1);
    assert!(call.is_woken());
    assert_pending!(call.poll());
    let (_, respond) = handle.next_request().await.expect("a request");
    respond.send_response(Response::default());
    assert_eq!(assert_ready!(call.poll()).expect("an answer").status(), 200);
}

#[tokio::test]
async fn errors_of_the_inner_service_are_flattened() {
    for at_readiness in [true, false] {
        let (inner, mut handle) = mock::pair::<Request<RequestBody>, Response<Plain>>();
        let ours = Error::from(Rejected::new(Reason::QueueFull, "inner"));
        let mut call = task::spawn(azure().layer(inner).oneshot(chat()));
        if at_readiness {
            handle.send_error(ours);
        } else {
            assert_pending!(call.poll());
            handle.next_request().await.expect("a request").1.send_error(ours);
        }
        let error = assert_ready!(call.poll()).expect_err("an error");
        // A mock keeps the error of its readiness behind one of its own.
        assert!(at_readiness || error.rejected().is_some_and(|rejected| rejected.by() == "inner"), "{error:?}");
    }
}

#[tokio::test]
async fn a_layer_that_is_off_passes_everything_through() {
    let layer = EndpointLayer::off().credential(token(0)).deployment("d").defaults(Defaults::new().temperature(1.0));
    let mut call = chat();
    call.headers_mut().insert("api-key", "theirs".parse().expect("a value"));
    call.headers_mut().insert("connection", "close".parse().expect("a value"));
    let arrived = sent(&layer, call.clone()).await.expect("sent");
    assert_eq!((arrived.uri(), arrived.headers()), (call.uri(), call.headers()));
    assert_eq!(arrived.body().to_bytes(), call.body().to_bytes());
    assert_eq!(layer.handle().snapshot(), EndpointLayer::off().handle().snapshot());
    let now = Instant::now();
    let admission = layer.availability().admission(&CallContext::of(&mut chat()).clone(), now);
    assert_eq!(admission, Admission::At(now));
}

#[tokio::test(start_paused = true)]
async fn switched_off_it_refuses_nothing_however_long_readiness_took() {
    let (inner, mut handle) = mock::pair::<Request<RequestBody>, Response<Plain>>();
    handle.allow(0);
    let mut late = chat();
    CallContext::of(&mut late).tighten_deadline(Instant::now() + Duration::from_millis(1));
    let mut call = task::spawn(EndpointLayer::off().layer(inner).oneshot(late));
    assert_pending!(call.poll());
    tokio::time::advance(Duration::from_secs(1)).await;
    handle.allow(1);
    assert_pending!(call.poll(), "deadlines are for other layers to keep");
    handle.next_request().await.expect("a request").1.send_response(Response::default());
    assert_eq!(assert_ready!(call.poll()).expect("an answer").status(), 200);
}

/// Who polls once too often must not send with our credential what was refused.
#[tokio::test]
async fn a_refused_call_is_never_sent() {
    let leaf = support::Leaf::default();
    let foreign = request("POST", "https://elsewhere.example/healthz", "{}");
    let mut call = task::spawn(azure().credential(token(0)).layer(leaf.clone()).call(foreign));
    assert_ready!(call.poll()).expect_err("refused");
    assert_pending!(call.poll());
    assert!(leaf.taken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn t5_dropped_at_any_await_point_it_holds_nothing_back() {
    // Waiting for a token, for readiness, for the answer, for another token, for the second answer.
    for polls in 0..12 {
        let credential = Scripted::living(HOUR, Duration::from_millis(20));
        let layer = azure().token_cache(TokenCache::new(credential.clone()).seed(1));
        let refuses = tower::service_fn(|request: Request<RequestBody>| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let status = if authorization(&request) == Some("Bearer t0") { 401 } else { 200 };
            Ok::<_, Infallible>(Response::builder().status(status).body(Plain::default()).expect("a response"))
        });
        let service = layer.layer(refuses);
        let mut call = task::spawn(service.clone().oneshot(chat()));
        for _ in 0..polls {
            if call.poll().is_ready() {
                break;
            }
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        drop(call);
        let answer = service.oneshot(chat()).await.expect("an answer");
        assert_eq!(answer.status(), 200, "after {polls} polls");
        assert!(credential.asked() <= 2, "after {polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_for_a_token() {
    let layer = azure().token_cache(TokenCache::new(Scripted::living(HOUR, HOUR)).patience(HOUR));
    let service = tower::ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(DeadlineLayer::new(Duration::from_secs(3)))
        .layer(layer)
        .layer(ObserveLayer::new())
        .service(support::Leaf::default());
    let start = Instant::now();
    let mut call = Request::post("/v1/chat/completions").body(Plain::from(r#"{"model":"gpt"}"#)).expect("a request");
    let context = CallContext::of(&mut call).clone();
    let error = service.oneshot(call).await.expect_err("too late");
    assert_eq!(error.status(), 504);
    assert_eq!((Instant::now() - start, context.attempt_count()), (Duration::from_secs(3), 0));
}

#[tokio::test]
async fn defaults_are_added_where_they_belong_and_never_in_place_of_the_callers() {
    let defaults = Defaults::new().temperature(0.2).top_p(1.0).max_completion_tokens(100);
    let layer = azure().defaults(defaults);
    for (path, given, expected) in [
        (
            "chat/completions",
            r#"{"model":"g"}"#,
            r#"{"temperature":0.2,"top_p":1,"max_completion_tokens":100,"model":"g"}"#,
        ),
        ("completions", r#"{"model":"g"}"#, r#"{"temperature":0.2,"top_p":1,"max_tokens":100,"model":"g"}"#),
        ("responses", r#"{"model":"g"}"#, r#"{"temperature":0.2,"top_p":1,"max_output_tokens":100,"model":"g"}"#),
        ("embeddings", r#"{"model":"g"}"#, r#"{"model":"g"}"#),
        ("images/generations", r#"{"model":"g"}"#, r#"{"model":"g"}"#),
        ("responses/r/cancel", "{}", "{}"),
        (
            "chat/completions",
            r#"{"model":"g","max_tokens":7,"temperature":null}"#,
            r#"{"top_p":1,"model":"g","max_tokens":7,"temperature":null}"#,
        ),
        (
            "chat/completions",
            r#"{"top_p":0.5,"t\u0065mperature":1,"max_completion_tokens":1}"#,
            r#"{"top_p":0.5,"t\u0065mperature":1,"max_completion_tokens":1}"#,
        ),
        ("chat/completions", "{}", r#"{"temperature":0.2,"top_p":1,"max_completion_tokens":100}"#),
        ("chat/completions", "[1]", "[1]"),
    ] {
        let arrived = sent(&layer, request("POST", &format!("/v1/{path}"), given)).await.expect(path);
        assert_eq!(arrived.body().to_bytes(), expected, "{path} {given}");
    }
    let old =
        azure().classic("2024-02-01").expect("classic").defaults(Defaults::new().max_tokens(9).temperature(f64::NAN));
    let arrived = sent(&old, chat()).await.expect("sent");
    assert_eq!(arrived.body().to_bytes(), r#"{"max_tokens":9,"model":"gpt"}"#);
    let call = arrived.extensions().get::<CallContext>().expect("a context").call();
    assert_eq!((call.max_output_tokens, call.operation), (Some(9), Operation::Chat));
}

/// Every one of them splices the same body: none loses another's edit, and none asks an inference route for usage.
#[tokio::test]
async fn layers_below_splice_the_same_body() {
    for (layer, expected) in [
        (
            azure().deployment("d").defaults(Defaults::new().temperature(0.5)),
            r#"{"temperature":0.5,"stream_options":{"include_usage":true},"stream":true,"model":"d"}"#,
        ),
        (
            EndpointLayer::new("https://c.services.ai.azure.com/models".parse::<BaseUrl>().expect("a base URL"))
                .deployment("d"),
            r#"{"stream":true,"model":"d"}"#,
        ),
    ] {
        let leaf = support::Leaf::default();
        let service = tower::ServiceBuilder::new()
            .layer(PrepareLayer::new())
            .layer(layer)
            .layer(IncludeUsageLayer::new())
            .service(leaf.clone());
        let body = Plain::from(r#"{"stream":true,"model":"gpt"}"#);
        service.oneshot(Request::post("/v1/chat/completions").body(body).expect("a request")).await.expect("sent");
        assert_eq!(leaf.taken()[0].body().to_bytes(), expected);
    }
}

#[tokio::test]
async fn a_refused_call_is_counted_and_reset_forgets_counts_but_not_the_token() {
    let layer = azure().credential(Token::api_key("k").expect("a key"));
    let handle = layer.handle();
    sent(&layer, chat()).await.expect("sent");
    sent(&layer, request("GET", "/healthz", "")).await.expect_err("none of Azure's");
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.unsupported, snapshot.base_url.as_deref()), (1, Some("https://ours.openai.azure.com")));
    handle.reset();
    let snapshot = handle.snapshot();
    assert_eq!(snapshot.unsupported, 0);
    assert!(snapshot.token.is_some_and(|token| token.is_good && token.obtained == 0));
}
