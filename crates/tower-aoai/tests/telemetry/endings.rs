//! How calls end, and what is told of each.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_aoai::{
    circuit_breaker::CircuitBreakerLayer,
    core::{
        AttemptTimeoutLayer, DeadlineLayer, Error, IncludeUsageLayer, ObserveLayer, Operation, Outcome, PrepareLayer,
        Reason, Timeout, Usage,
    },
    retry_after::{RetryAfterLayer, RetryPolicy},
    telemetry::{AttemptTelemetryLayer, CallEnding, CallTelemetryLayer},
    token_bucket::{Quota, TokenBucketLayer},
};
use tower_aoai_simulator::{Scripted, Simulator};

use crate::support::{Kept, Plain, call, chat, simulator};

/// A stack of everything that can say no.
fn stack(
    kept: &Arc<Kept>,
    retries: u32,
    breaker: CircuitBreakerLayer,
    bucket: TokenBucketLayer,
    server: &Simulator,
) -> impl Service<
    Request<Plain>,
    Response = Response<impl http_body::Body<Data = Bytes, Error = Error> + use<>>,
    Error = Error,
> + Clone
+ use<> {
    ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(CallTelemetryLayer::new().recorder(kept.clone()))
        .layer(DeadlineLayer::new(Duration::from_secs(90)))
        .layer(RetryAfterLayer::new(RetryPolicy::new().max_retries(retries)))
        .layer(breaker)
        .layer(bucket)
        .layer(AttemptTelemetryLayer::new("eastus").recorder(kept.clone()))
        .layer(IncludeUsageLayer::new())
        .layer(ObserveLayer::new())
        .layer(AttemptTimeoutLayer::new().first_byte(Duration::from_secs(60)).idle(Duration::from_secs(30)))
        .service(server.clone())
}

fn plain(
    kept: &Arc<Kept>,
    retries: u32,
    server: &Simulator,
) -> impl Service<
    Request<Plain>,
    Response = Response<impl http_body::Body<Data = Bytes, Error = Error> + use<>>,
    Error = Error,
> + Clone
+ use<> {
    stack(kept, retries, CircuitBreakerLayer::off(), TokenBucketLayer::off(), server)
}

const TRANSIENT: &str = "transient";

/// What was scripted, whether it streams, how often it may be tried again; how it ends, and what the attempts come to.
type Case = (Scripted, bool, u32, CallEnding, &'static [&'static str]);

#[tokio::test(start_paused = true)]
async fn every_ending_is_told_of_once_with_what_the_attempts_came_to() {
    let transient = CallEnding::Failed(Outcome::Transient { hint: None });
    let cases: [Case; 13] = [
        (Scripted::ok(), false, 0, CallEnding::Answered, &["success"]),
        (Scripted::ok(), true, 0, CallEnding::Answered, &["success"]),
        (Scripted::filtered_after(3), false, 0, CallEnding::Answered, &["success"]),
        (Scripted::rate_limited(Duration::from_secs(2)), false, 1, CallEnding::Answered, &["throttled", "success"]),
        (Scripted::refused_stream(Duration::from_secs(1)), true, 1, CallEnding::Answered, &["throttled", "success"]),
        (Scripted::status(500), false, 0, transient, &[TRANSIENT]),
        (Scripted::reset(), false, 0, transient, &[TRANSIENT]),
        (Scripted::content_filter(), false, 2, CallEnding::Failed(Outcome::Refused), &["refused"]),
        (Scripted::context_length(), false, 2, CallEnding::Failed(Outcome::ContextLength), &["context_length"]),
        (Scripted::status(401), false, 0, CallEnding::Failed(Outcome::Misconfigured), &["misconfigured"]),
        (Scripted::cut_after(3), true, 2, CallEnding::BrokenOff, &["broken"]),
        (Scripted::error_after(3), true, 2, CallEnding::BrokenOff, &["broken"]),
        (Scripted::hang(), false, 1, CallEnding::TimedOut(Timeout::Deadline), &[TRANSIENT, "cancelled"]),
    ];
    for (scripted, stream, retries, ending, outcomes) in cases {
        let name = format!("{scripted:?} {stream}");
        let (kept, server) = (Arc::new(Kept::default()), simulator());
        server
            .script("gpt-4o")
            .times(if outcomes.len() > 1 && retries == 1 && outcomes[1] == "cancelled" { 2 } else { 1 }, &scripted);
        let result = call(&plain(&kept, retries, &server), chat(stream)).await;
        kept.assert_all_told(1, &name);
        let record = kept.call();
        assert_eq!(record.ending, ending, "{name} {result:?}");
        let attempts = kept.attempts();
        assert_eq!(attempts.iter().map(|attempt| attempt.outcome.name()).collect::<Vec<_>>(), outcomes, "{name}");
        assert_eq!(record.attempts as usize, outcomes.len(), "{name}");
        assert_eq!(record.retries as usize, outcomes.len() - 1, "{name}");
        assert_eq!(record.is_streamed, stream && record.status.is_some(), "{name}");
        assert_eq!((record.operation, record.asked.as_deref()), (Operation::Chat, Some("gpt-4o")), "{name}");
        assert_eq!(record.reserved_output, Some(40), "two choices of 20: {name}");
        assert_eq!(record.status, result.ok().or(record.status), "{name}");
        assert!(attempts.iter().all(|attempt| attempt.is_sent && &*attempt.endpoint == "eastus"), "{name}");
        let error = record.ending.error_type();
        assert_eq!(error.is_some(), ending != CallEnding::Answered, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_tried_again_tells_why_and_what_it_took() {
    let (kept, server) = (Arc::new(Kept::default()), simulator());
    server.script("gpt-4o").then(Scripted::rate_limited(Duration::from_secs(2)));
    call(&plain(&kept, 1, &server), chat(true)).await.expect("an answer");

    let record = kept.call();
    let attempts = kept.attempts();
    let [first, second] = &attempts[..] else { panic!("{attempts:#?}") };
    assert_eq!((first.resends, first.resent_after), (0, None));
    assert_eq!((second.resends, second.resent_after), (1, Some(first.outcome)));
    assert!(first.outcome.hint().is_some_and(|hint| hint.after == Duration::from_secs(2)));
    assert_eq!((first.status.map(|status| status.as_u16()), first.is_streamed), (Some(429), false));
    assert!((Duration::from_secs(2)..Duration::from_secs(3)).contains(&record.waited), "{record:#?}");

    assert!(second.is_streamed && second.first_byte <= second.first_content, "{second:#?}");
    assert!(second.first_content.is_some_and(|time| !time.is_zero() && time < second.duration), "{second:#?}");
    assert_eq!(record.duration, record.ended.saturating_duration_since(first.ended) + first.duration);
    let first_content = record.first_content.expect("content came");
    assert!(first_content > record.waited && first_content < record.duration);
    let usage = record.usage.expect("asked for on the caller's behalf");
    assert_eq!((second.usage, usage.output > 0), (Some(usage), true));
    assert_eq!(record.answer_model, second.answer_model);
    assert!(record.model.as_deref().is_some_and(|model| model.starts_with("gpt-4o-")), "{:?}", record.model);
    assert_eq!(record.model, record.answer_model);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_here_is_no_attempt() {
    let full = TokenBucketLayer::of(Quota::standard(1).never_wait());
    let tripped = CircuitBreakerLayer::new();
    tripped.handle().trip();
    for (breaker, bucket, reason, by) in [
        (CircuitBreakerLayer::off(), full, Reason::TooLarge, "token-bucket"),
        (tripped, TokenBucketLayer::off(), Reason::CircuitOpen, "circuit-breaker"),
    ] {
        let (kept, server) = (Arc::new(Kept::default()), simulator());
        call(&stack(&kept, 0, breaker, bucket, &server), chat(false)).await.expect_err("refused");
        let record = kept.call();
        let CallEnding::Refused { reason: told, by: who } = record.ending else { panic!("{record:#?}") };
        assert_eq!((told, record.attempts, record.status), (reason, 0, None));
        assert!(who.replace(' ', "-").contains(by), "{who}");
        assert_eq!(kept.begun_and_told(), [(1, 1), (0, 0)]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_stops_reading_behind_the_last_event_was_answered_and_who_stops_before_has_left() {
    for (frames, ending, outcome) in
        [(3, CallEnding::Cancelled, "cancelled"), (usize::MAX, CallEnding::Answered, "success")]
    {
        let (kept, server) = (Arc::new(Kept::default()), simulator());
        let response = plain(&kept, 0, &server).oneshot(chat(true)).await.expect("an answer");
        let mut body = Box::pin(response.into_body());
        for _ in 0..frames {
            let frame = body.frame().await.expect("more").expect("a frame");
            if frame.data_ref().is_some_and(|data| data.starts_with(b"data: [DONE]")) {
                break;
            }
        }
        assert_eq!(kept.calls().len(), usize::from(frames == usize::MAX && http_body::Body::is_end_stream(&*body)));
        drop(body);
        kept.assert_all_told(1, outcome);
        assert_eq!((kept.call().ending, kept.attempts()[0].outcome.name()), (ending, outcome));
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_nobody_reads_is_still_what_it_is() {
    let (kept, server) = (Arc::new(Kept::default()), simulator());
    server.script("gpt-4o").then(Scripted::status(503));
    let response = plain(&kept, 0, &server).oneshot(chat(false)).await.expect("an answer");
    assert_eq!(kept.attempts().len(), 1, "its head says it all");
    assert_eq!(kept.begun_and_told()[0], (1, 0));
    drop(response);
    assert!(matches!(kept.call().ending, CallEnding::Failed(Outcome::Transient { .. })));
}

#[tokio::test(start_paused = true)]
async fn without_a_door_and_an_observer_the_head_tells() {
    let kept = Arc::new(Kept::default());
    let server = simulator();
    let service = ServiceBuilder::new()
        .layer(CallTelemetryLayer::new().recorder(kept.clone()))
        .layer(AttemptTelemetryLayer::new("eastus").recorder(kept.clone()))
        .service(server.clone());
    let endings = [
        (Scripted::ok(), CallEnding::Answered, "success"),
        (Scripted::status(500), CallEnding::Failed(Outcome::Transient { hint: None }), TRANSIENT),
        (Scripted::reset(), CallEnding::Failed(Outcome::Transient { hint: None }), TRANSIENT),
    ];
    for (count, (scripted, ending, outcome)) in endings.into_iter().enumerate() {
        server.script("gpt-4o").then(scripted);
        let _ = call(&service, chat(false)).await;
        kept.assert_all_told(count + 1, outcome);
        let (record, attempt) = (kept.calls().remove(count), kept.attempts().remove(count));
        assert_eq!((record.ending, attempt.outcome.name(), attempt.is_sent), (ending, outcome, true));
        assert_eq!((record.asked.as_deref(), record.usage), (Some("gpt-4o"), None::<Usage>), "from the address");
        assert!(ending != CallEnding::Answered || attempt.duration > Duration::ZERO);
    }
    drop(service.clone().oneshot(chat(false)));
    kept.assert_all_told(3, "nothing was begun");
    let mut service = service;
    drop(ServiceExt::<Request<Plain>>::ready(&mut service).await.expect("ready").call(chat(false)));
    kept.assert_all_told(4, "begun, and dropped unpolled");
    assert_eq!((kept.calls()[3].ending, kept.attempts()[3].is_sent), (CallEnding::Cancelled, false));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_a_layer_in_between_has_made_is_judged_by_its_own_head() {
    let (kept, server) = (Arc::new(Kept::default()), simulator());
    server.script("gpt-4o").then(Scripted::status(503));
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(CallTelemetryLayer::new().recorder(kept.clone()))
        .map_response(|mut response: Response<_>| {
            *response.status_mut() = StatusCode::OK;
            response
        })
        .layer(AttemptTelemetryLayer::new("eastus").recorder(kept.clone()))
        .layer(ObserveLayer::new())
        .service(server);
    call(&service, chat(false)).await.expect("an answer");
    assert_eq!((kept.call().ending, kept.attempts()[0].outcome.name()), (CallEnding::Answered, TRANSIENT));
}
