//! What `RejectedResponseLayer` answers.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_aoai_core::{BoxError, ContextLength, Error, Reason, Rejected, RejectedResponseLayer, Timeout};

async fn answer(layer: RejectedResponseLayer, error: Error) -> Result<Response<Value>, Error> {
    let mut error = Some(error);
    let service = service_fn(move |_: Request<Full<Bytes>>| {
        let error = error.take().expect("one call");
        // Behind tower's own box, as a foreign layer in between would leave it.
        async move { Err::<Response<Full<Bytes>>, BoxError>(error.into()) }
    });
    let (parts, body) = layer.layer(service).oneshot(Request::default()).await?.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Ok(Response::from_parts(parts, serde_json::from_slice(&body).expect("JSON")))
}

#[tokio::test(start_paused = true)]
async fn a_refusal_with_an_instant_tells_sdks_when_to_come_back() {
    let until = Instant::now() + Duration::from_micros(1_500_200);
    let rejected = Rejected::new(Reason::QuotaSpent, "token bucket").until(until);
    let response = answer(RejectedResponseLayer::new(), rejected.into()).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after-ms"], "1501", "rounded up: never early");
    assert_eq!(response.headers()["retry-after"], "2");
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(
        response.body(),
        &json!({"error": {
            "message": "refused by the token bucket without asking the server: the quota is spent for now, and the call does not wait",
            "type": "too_many_requests",
            "param": null,
            "code": "rate_limit_exceeded",
        }})
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_waiting_does_not_help_says_so() {
    for (reason, status) in [
        (Reason::BodyTooLarge { limit: 5 }, 413),
        (Reason::ContextLength, 400),
        (Reason::TooLarge, 429),
        (Reason::BudgetSpent, 429),
        (Reason::Unsupported, 400),
        (Reason::Deadline, 504),
    ] {
        let error = Rejected::new(reason, "test").into();
        let response = answer(RejectedResponseLayer::new(), error).await.expect("an answer");
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["x-should-retry"], "false", "{reason:?}");
        assert!(!response.headers().contains_key("retry-after"));
        assert_eq!(response.body()["error"]["code"], reason.code());
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_refused_in_azures_words() {
    let window = ContextLength::prompt(128_000, 192_041);
    let output = ContextLength::prompt(4_096, 3_177).with_output(1_024);
    for (lengths, message) in [
        (
            window,
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 192041 tokens. Please reduce the length of the messages.",
        ),
        (
            window.or_more(),
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 192041 tokens or more. Please reduce the length of the messages.",
        ),
        (
            output,
            "This model's maximum context length is 4096 tokens. However, you requested 4201 tokens (3177 in the messages, 1024 in the completion). Please reduce the length of the messages or completion.",
        ),
    ] {
        let rejected = Rejected::new(Reason::ContextLength, "test").lengths(lengths);
        let response = answer(RejectedResponseLayer::new(), rejected.into()).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(
            response.body(),
            &json!({"error": {
                "message": message,
                "type": "invalid_request_error",
                "param": "messages",
                "code": "context_length_exceeded",
            }})
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_what_would_be_right_and_whether_to_come_back() {
    let rejected = Rejected::new(Reason::NoCredential, "endpoint").detail("try later");
    let response = answer(RejectedResponseLayer::new(), rejected.into()).await.expect("an answer");
    assert_eq!(response.status(), 503);
    assert!(!response.headers().contains_key("x-should-retry"));
    assert_eq!(
        response.body()["error"]["message"],
        "refused by the endpoint without asking the server: there is no credential for the endpoint: try later"
    );
}

#[tokio::test(start_paused = true)]
async fn other_errors_stay_errors_unless_asked_for() {
    let late = || Error::from(Timeout::FirstByte);
    assert!(matches!(answer(RejectedResponseLayer::new(), late()).await, Err(Error::Timeout(Timeout::FirstByte))));
    let every = RejectedResponseLayer::new().every_error();
    assert_eq!(answer(every, late()).await.expect("an answer").status(), 504);
    let own = answer(every, Timeout::Deadline.into()).await.expect("an answer");
    assert_eq!((own.status().as_u16(), &own.headers()["x-should-retry"]), (504, &"false".parse().expect("a value")));
    assert!(!answer(every, late()).await.expect("an answer").headers().contains_key("x-should-retry"));
    let secret = Error::flatten("the key is 1234");
    let response = answer(every, secret).await.expect("an answer");
    assert_eq!(response.status(), 502);
    assert!(!response.body().to_string().contains("1234"), "what a transport says stays here");
}

#[tokio::test(start_paused = true)]
async fn off_every_error_stays_one() {
    for layer in [RejectedResponseLayer::off(), RejectedResponseLayer::off().every_error()] {
        let rejected = Rejected::new(Reason::QueueFull, "test");
        let error = answer(layer, rejected.clone().into()).await.expect_err("off");
        assert_eq!(error.rejected(), Some(&rejected));
    }
}

#[tokio::test]
async fn an_answer_of_the_server_passes_unchanged() {
    let service = service_fn(|_: Request<Full<Bytes>>| async {
        let mut response = Response::new(Full::from("from the server"));
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        Ok::<_, BoxError>(response)
    });
    let response = RejectedResponseLayer::new().layer(service).oneshot(Request::default()).await.expect("passed");
    assert_eq!(response.status(), 429);
    assert_eq!(response.into_body().collect().await.expect("a body").to_bytes(), "from the server");
}

proptest! {
    #[test]
    fn r4_no_sdk_that_obeys_comes_back_early(micros in 0u64..200_000_000) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        runtime.block_on(async {
            let wait = Duration::from_micros(micros);
            let rejected = Rejected::new(Reason::QueueFull, "test").until(Instant::now() + wait);
            let response = answer(RejectedResponseLayer::new(), rejected.into()).await.expect("an answer");
            let number = |name: &str| -> u64 {
                response.headers()[name].to_str().ok().and_then(|value| value.parse().ok()).expect("a number")
            };
            assert!(Duration::from_millis(number("retry-after-ms")) >= wait);
            assert!(Duration::from_secs(number("retry-after")) >= wait);
            assert!(number("retry-after-ms") >= 1);
        });
    }
}
