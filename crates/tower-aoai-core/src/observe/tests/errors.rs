//! Answers that are errors, and calls without an answer.

use super::*;

const LENGTH: &str = r#"{"error":{"code":"context_length_exceeded"}}"#;

#[tokio::test(start_paused = true)]
async fn an_error_is_judged_by_its_body_and_handed_on_whole() {
    let frames = [&LENGTH[..10], &LENGTH[10..]].map(data);
    let body = Script::new(frames.into_iter().chain([Part::Trailers]));
    let (answer, attempt) = send(&layer(), response(400, "application/json", body)).await;
    assert_eq!(outcome(&attempt), Some(Outcome::ContextLength));
    assert_eq!(attempt.deployment().as_deref(), Some("gpt"));
    assert_eq!(attempt.status(), Some(http::StatusCode::BAD_REQUEST));
    let response = answer.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(response.body().size_hint().exact(), Some(LENGTH.len() as u64));
    let collected = response.into_body().collect().await.unwrap();
    assert!(collected.trailers().is_some());
    assert_eq!(collected.to_bytes(), LENGTH);
}

#[tokio::test(start_paused = true)]
async fn the_head_is_judged_where_the_body_does_not_matter() {
    let body = Script::new([Part::Wait(SECOND), data("no")]);
    let start = Instant::now();
    let (answer, attempt) = send(&layer(), response(404, "text/plain", body)).await;
    assert_eq!((outcome(&attempt), Instant::now()), (Some(Outcome::Misconfigured), start));
    assert_eq!(read(answer.unwrap().into_body()).await, ("no".into(), false));
}

#[tokio::test(start_paused = true)]
async fn a_slow_error_body_is_judged_when_its_time_is_over() {
    let start = Instant::now();
    let body = Script::new([data("{"), Part::Wait(5 * SECOND), data("}")]);
    let (answer, attempt) = send(&layer(), response(429, "application/json", body)).await;
    assert_eq!((outcome(&attempt), Instant::now()), (Some(throttled(7)), start + 2 * SECOND));
    assert_eq!(read(answer.unwrap().into_body()).await, ("{}".into(), false));
}

#[tokio::test(start_paused = true)]
async fn of_a_large_error_body_no_more_than_the_bound_is_read() {
    let parts = (0..100).map(|_| data("x".repeat(1000))).chain([data("context_length")]);
    let (answer, attempt) = send(&layer(), response(400, "text/plain", Script::new(parts))).await;
    assert_eq!(outcome(&attempt), Some(Outcome::Refused));
    let body = answer.unwrap().into_body();
    assert_eq!(body.read().count(), 66);
    assert_eq!(read(body).await.0.len(), 100_014);
    let one = Script::new([data("x".repeat(64 << 10) + "context_length")]);
    let (_, attempt) = send(&layer(), response(400, "text/plain", one)).await;
    assert_eq!(outcome(&attempt), Some(Outcome::Refused), "one large frame is cut, too");
}

#[tokio::test(start_paused = true)]
async fn an_error_body_that_fails_is_judged_and_fails_for_the_caller_as_well() {
    let body = Script::new([data("{"), Part::Fail]);
    let (answer, attempt) = send(&layer(), response(500, "text/plain", body)).await;
    assert_eq!(outcome(&attempt), Some(TRANSIENT));
    assert_eq!(read(answer.unwrap().into_body()).await, ("{".into(), true));
}

#[tokio::test(start_paused = true)]
async fn reading_errors_can_be_switched_off() {
    for layer in [layer().read_errors(Duration::ZERO, 1000), layer().read_errors(SECOND, 0)] {
        let start = Instant::now();
        let body = Script::new([data(LENGTH), Part::Wait(SECOND)]);
        let (answer, attempt) = send(&layer, response(400, "application/json", body)).await;
        assert_eq!((outcome(&attempt), Instant::now()), (Some(Outcome::Refused), start));
        assert_eq!(read(answer.unwrap().into_body()).await.0, LENGTH);
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_error_is_flattened_and_judged() {
    let service = service_fn(|_: Request<()>| async { Err::<Response<Script>, BoxError>("refused".into()) });
    let (request, attempt) = request(Call::default(), false);
    let answer = layer().layer(service).oneshot(request).await;
    assert!(matches!(answer, Err(Error::Transport(_))));
    assert_eq!(outcome(&attempt), Some(TRANSIENT));
}
