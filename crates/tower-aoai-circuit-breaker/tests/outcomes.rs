//! What opens the circuit and what does not: alone, by heads; and above an observer, by outcomes.

use std::{convert::Infallible, future::pending, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::time::Instant;
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn, timeout::TimeoutLayer};
use tower_aoai_circuit_breaker::{CircuitBreakerHandle, CircuitPolicy, CircuitState, ProbeProof};
use tower_aoai_core::{
    Admission, Asked, AttemptTimeoutLayer, BoxError, Call, CallContext, Classify, DeadlineLayer, Error, ObserveLayer,
    Outcome, PrepareLayer, Reason, Rejected, RequestBody, Verdict,
    classify::{HeadVerdict, ResponseHead, StreamError},
};
use tower_aoai_simulator::{Scripted, Simulator};

mod support;

use support::{BREAK, Plain, answers, assert_nothing_is_held, call, chat, exact, half_open, layer, simulator, state};

/// The stack that a breaker belongs into.
macro_rules! observed {
    ($layer:expr, $leaf:expr) => {
        ServiceBuilder::new().layer(PrepareLayer::new()).layer($layer).layer(ObserveLayer::new()).service($leaf)
    };
}

fn scripted(count: usize, scripted: &Scripted) -> Simulator {
    let server = simulator();
    server.script("gpt-4o").times(count, scripted);
    server
}

/// 503 as `Ok` does not trip tower-resilience's breaker.
#[tokio::test(start_paused = true)]
async fn alone_it_judges_by_the_head() {
    for (status, opens) in [
        (200, false),
        (400, false),
        (401, false),
        (403, false),
        (404, false),
        (408, true),
        (409, true),
        (413, false),
        (424, true),
        (429, false),
        (499, false),
        (500, true),
        (502, true),
        (503, true),
        (504, true),
    ] {
        let layer = layer(exact());
        let service = layer.layer(answers(status));
        for _ in 0..5 {
            assert_eq!(call(&service, chat(false)).await.expect("the server's answer"), status);
        }
        assert_eq!(state(&layer.handle()) == "open", opens, "{status}");
        assert_nothing_is_held(&layer.handle(), "all answered");
    }
}

#[tokio::test(start_paused = true)]
async fn alone_it_opens_for_transports_that_fail_and_bodies_that_break() {
    for fault in [Scripted::reset(), Scripted::cut_after(3)] {
        let layer = layer(exact());
        let service = layer.layer(scripted(5, &fault));
        for _ in 0..5 {
            call(&service, chat(true)).await.expect_err("broken");
        }
        assert_eq!(state(&layer.handle()), "open", "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_counts_when_its_head_comes_however_long_its_body_is_kept() {
    for service_is_observed in [false, true] {
        let layer = layer(exact());
        let handle = layer.handle();
        let bare = layer.layer(answers(500));
        let observed = observed!(layer.clone(), answers(500));
        let mut kept = (Vec::new(), Vec::new());
        for _ in 0..5 {
            if service_is_observed {
                kept.0.push(observed.clone().oneshot(chat(false)).await.expect("an answer"));
            } else {
                kept.1.push(bare.clone().oneshot(chat(false)).await.expect("an answer"));
            }
        }
        assert_eq!(state(&handle), "open");
        drop(kept);
        assert_eq!(handle.snapshot().unhealthy, 5, "and once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_whose_body_nobody_reads_is_one_all_the_same() {
    for stream in [false, true] {
        let layer = layer(exact().hold_throttled());
        let service = observed!(layer.clone(), scripted(1, &Scripted::rate_limited(BREAK)));
        let now = Instant::now();
        let response = service.oneshot(chat(stream)).await.expect("an answer");
        assert_eq!(response.status(), 429);
        drop(response);
        assert_eq!(layer.handle().snapshot().state, CircuitState::Throttled { until: now + BREAK });
    }
}

#[tokio::test(start_paused = true)]
async fn above_an_observer_streams_are_judged_at_their_end() {
    for (fault, opens) in [
        (Scripted::ok(), false),
        (Scripted::cut_after(3), true),
        (Scripted::error_after(3), true),
        (Scripted::end_after(3), true),
        (Scripted::cut_after(0), true),
        (Scripted::refused_stream(Duration::from_secs(9)), false),
        (Scripted::filtered_after(3), false),
        (Scripted::content_filter(), false),
        (Scripted::context_length(), false),
        (Scripted::rate_limited(BREAK), false),
        (Scripted::too_large(), false),
        (Scripted::permission_denied(), false),
        (Scripted::virtual_network(), false),
        (Scripted::status(404), false),
        (Scripted::plain_text_503(), true),
        (Scripted::status(500), true),
        (Scripted::reset(), true),
    ] {
        let layer = layer(exact().hold_throttled_for(Duration::from_millis(1)));
        let service = observed!(layer.clone(), scripted(5, &fault));
        for _ in 0..5 {
            let _ = call(&service, chat(true)).await;
            let CircuitState::Throttled { until } = layer.handle().snapshot().state else { continue };
            tokio::time::sleep_until(until).await;
        }
        assert_eq!(state(&layer.handle()) == "open", opens, "{fault:?}: {:?}", layer.handle());
        assert_nothing_is_held(&layer.handle(), "all over");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_a_stream_speaks_neither_for_nor_against_the_endpoint() {
    let layer = layer(exact());
    let service = observed!(layer.clone(), simulator());
    for _ in 0..10 {
        let mut body = service.clone().oneshot(chat(true)).await.expect("an answer").into_body();
        body.frame().await.expect("a frame").expect("content");
    }
    let now = layer.handle().snapshot();
    assert_eq!((now.healthy, now.unhealthy, now.in_flight), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_200_that_is_a_429_neither_opens_nor_closes() {
    let layer = layer(exact().hold_throttled());
    let handle = layer.handle();
    let server = simulator();
    let service = observed!(layer, server.clone());
    server.script("gpt-4o").times(5, &Scripted::status(500)).then(Scripted::refused_stream(Duration::from_secs(9)));
    half_open(&handle, &service).await;
    let head = Instant::now();
    let response = service.clone().oneshot(chat(true)).await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(handle.snapshot().state, CircuitState::Throttled { until: head + Duration::from_secs(9) });
    drop(response);
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(state(&handle), "half_open");
    assert_eq!(call(&service, chat(true)).await.expect("a probe"), 200);
    assert_eq!(state(&handle), "closed");
}

/// Waits for as long as the stack does, and says what the breaker counted.
async fn counted<S, B>(handle: &CircuitBreakerHandle, service: &S) -> (u64, u64)
where
    S: Service<Request<Plain>, Response = Response<B>, Error = Error> + Clone,
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    call(service, chat(false)).await.expect_err("it hangs");
    assert_nothing_is_held(handle, "it is over");
    let now = handle.snapshot();
    (now.healthy, now.unhealthy)
}

#[tokio::test(start_paused = true)]
async fn a_foreign_timeout_below_is_the_endpoints_failure_and_a_deadline_above_is_not() {
    let hangs = || service_fn(|_: Request<RequestBody>| pending::<Result<Response<Plain>, Infallible>>());
    let limit = Duration::from_secs(3);
    let stack = |layer| ServiceBuilder::new().layer(PrepareLayer::new()).layer(layer);

    // Drops what was observed, so that the attempt looks cancelled; but an error comes up.
    let below = layer(exact());
    let service = stack(below.clone()).layer(TimeoutLayer::new(limit)).layer(ObserveLayer::new()).service(hangs());
    assert_eq!(counted(&below.handle(), &service).await, (0, 1), "tower's timeout");

    let ours = layer(exact());
    let limits = AttemptTimeoutLayer::new().first_byte(limit);
    let service = stack(ours.clone()).layer(ObserveLayer::new()).layer(limits).service(hangs());
    assert_eq!(counted(&ours.handle(), &service).await, (0, 1), "our own");

    let above = layer(exact());
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(DeadlineLayer::new(limit))
        .layer(above.clone())
        .layer(ObserveLayer::new())
        .service(hangs());
    assert_eq!(counted(&above.handle(), &service).await, (0, 0), "the caller's deadline");

    let between = layer(exact());
    let service = stack(between.clone()).layer(DeadlineLayer::new(limit)).layer(ObserveLayer::new()).service(hangs());
    assert_eq!(counted(&between.handle(), &service).await, (0, 0), "also where it is kept below");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_from_below_is_no_result_and_frees_a_probe() {
    let layer = layer(exact());
    let handle = layer.handle();
    half_open(&handle, &layer.layer(answers(500))).await;
    let refuses = service_fn(|_: Request<Plain>| async {
        Err::<Response<Plain>, _>(Error::from(Rejected::new(Reason::QueueFull, "token bucket")))
    });
    let service = layer.layer(refuses);
    for _ in 0..3 {
        let error = call(&service, chat(false)).await.expect_err("refused");
        assert_eq!(error.rejected().map(Rejected::reason), Some(Reason::QueueFull));
        assert_nothing_is_held(&handle, "refused");
        assert_eq!(state(&handle), "half_open");
    }
    let now = handle.snapshot();
    assert_eq!((now.healthy, now.unhealthy, now.throttled, now.probes), (0, 5, 0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_probes_stream_closes_the_circuit_with_its_head_or_its_end() {
    for (proof, during, after) in [(ProbeProof::FirstByte, "closed", "closed"), (ProbeProof::End, "half_open", "open")]
    {
        let layer = layer(exact().probe_proof(proof));
        let handle = layer.handle();
        let server = simulator();
        server.script("gpt-4o").times(5, &Scripted::status(500)).then(Scripted::cut_after(3));
        let service = observed!(layer, server);
        half_open(&handle, &service).await;
        let response = service.clone().oneshot(chat(true)).await.expect("a stream");
        assert_eq!(state(&handle), during);
        response.into_body().collect().await.expect_err("cut");
        assert_eq!((state(&handle), handle.snapshot().unhealthy), (after, 6));
    }
}

/// resilience4j, linkerd and others were stuck half-open by probes of which nothing was ever heard again.
#[tokio::test(start_paused = true)]
async fn b2_half_open_ends_whatever_becomes_of_its_probes() {
    let layer = layer(exact().probe_lease(Duration::from_secs(30)));
    let handle = layer.handle();
    half_open(&handle, &layer.layer(answers(500))).await;
    // Classified as neither, over and over.
    for status in [400, 401, 404, 413, 499] {
        assert_eq!(call(&layer.layer(answers(status)), chat(false)).await.expect("a probe"), status);
    }
    // Cancelled before its head, as linkerd's.
    let hangs = service_fn(|_: Request<Plain>| pending::<Result<Response<Plain>, Infallible>>());
    assert_pending!(task::spawn(layer.layer(hangs).oneshot(chat(false))).poll());
    // Kept for ever.
    let mut kept = task::spawn(layer.layer(hangs).oneshot(chat(false)));
    assert_pending!(kept.poll());
    let service = layer.layer(answers(200));
    let begun = Instant::now();
    while let Err(error) = call(&service, chat(false)).await {
        let until = error.rejected().and_then(Rejected::opens_at).expect("one probe at a time, and an instant");
        tokio::time::sleep_until(until).await;
        assert!(Instant::now() - begun <= Duration::from_secs(30), "no longer than its lease");
    }
    assert_eq!(state(&handle), "closed");
}

/// tower-resilience's and Polly's late results decide; its `std` clock does not even see paused time.
#[tokio::test(start_paused = true)]
async fn b3_answers_of_calls_from_before_the_break_decide_nothing() {
    for (late, name) in [(200, "success"), (500, "failure")] {
        let (leaf, mut mock) = tower_test::mock::pair::<Request<Plain>, Response<Plain>>();
        let layer = layer(exact());
        let handle = layer.handle();
        let service = layer.layer(leaf);
        let mut early = task::spawn(service.clone().oneshot(chat(false)));
        assert_pending!(early.poll());
        let (_, early_answer) = mock.next_request().await.expect("a request");
        half_open(&handle, &layer.layer(answers(500))).await;
        let mut probe = task::spawn(service.clone().oneshot(chat(false)));
        assert_pending!(probe.poll());
        let (_, probe_answer) = mock.next_request().await.expect("the probe");

        early_answer.send_response(support::status(late));
        drop(early.await.expect("an answer"));
        assert_eq!(state(&handle), "half_open", "a late {name}");
        assert_eq!(handle.snapshot().probes_under_way, 1);
        probe_answer.send_response(support::status(200));
        drop(probe.await.expect("an answer"));
        assert_eq!((state(&handle), handle.snapshot().stale), ("closed", 1));
    }
}

#[tokio::test(start_paused = true)]
async fn b5_b6_alone_it_holds_the_gate_that_a_429_asks_for() {
    let layer = layer(exact().hold_throttled());
    let server = simulator();
    let [short, long] = [Duration::from_secs(2), Duration::from_secs(20)];
    server.script("gpt-4o").then(Scripted::rate_limited(long)).then(Scripted::rate_limited(short));
    let service = layer.layer(server.clone());
    let now = Instant::now();
    // Both are let through before either is answered.
    let both = [service.clone().call(chat(false)), service.clone().call(chat(false))];
    for call in both {
        assert_eq!(call.await.expect("an answer").status(), 429);
    }
    let error = call(&service, chat(false)).await.expect_err("shut");
    let rejected = error.rejected().expect("a refusal");
    assert_eq!((rejected.reason(), rejected.opens_at()), (Reason::QuotaSpent, Some(now + long)));
    let context = CallContext::new(Call::default(), now);
    assert_eq!(layer.availability().admission(&context, now), Admission::Shut(Some(now + long)));
    tokio::time::sleep(long).await;
    assert_eq!(call(&service, chat(false)).await.expect("through at once"), 200);
    assert_eq!((server.journal().len(), layer.handle().snapshot().opened), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_break_waits_for_the_retry_after_of_the_failures() {
    let layer = layer(exact());
    let down = service_fn(|_: Request<Plain>| async {
        let mut response = support::status(503);
        response.headers_mut().insert("retry-after", 42.into());
        Ok::<_, Infallible>(response)
    });
    let service = layer.layer(down);
    let now = Instant::now();
    for _ in 0..5 {
        call(&service, chat(false)).await.expect("an answer");
    }
    assert_eq!(layer.handle().snapshot().state, CircuitState::Open { until: Some(now + Duration::from_secs(42)) });
}

#[tokio::test(start_paused = true)]
async fn slow_first_bytes_open_it_from_the_send_or_from_the_call() {
    let slow = Scripted::ok().after(Duration::from_secs(4));
    let policy = || exact().slow_first_bytes(Duration::from_secs(3), 0.5).min_calls(4);
    for is_observed in [true, false] {
        let layer = layer(policy());
        let handle = layer.handle();
        let server = scripted(4, &slow);
        for number in 0..4 {
            assert_eq!(state(&handle), "closed", "after {number}");
            if is_observed {
                call(&observed!(layer.clone(), server.clone()), chat(true)).await.expect("an answer");
            } else {
                call(&layer.layer(server.clone()), chat(true)).await.expect("an answer");
            }
        }
        assert_eq!(state(&handle), "open");
        assert_eq!(handle.snapshot().unhealthy, 0, "they were good answers");
    }
    let layer = layer(policy());
    for _ in 0..20 {
        call(&layer.layer(simulator()), chat(true)).await.expect("an answer");
    }
    assert_eq!(state(&layer.handle()), "closed");
}

/// Takes every refusal of credentials for the endpoint's failure.
#[derive(Debug)]
struct Strict;

impl Classify for Strict {
    fn head(&self, _: &Call, head: ResponseHead<'_>) -> HeadVerdict {
        match head.status.as_u16() {
            401 => HeadVerdict::Known(Outcome::Transient { hint: None }.into()),
            _ => HeadVerdict::Open,
        }
    }

    fn error_body(&self, _: &Call, _: ResponseHead<'_>, _: &[u8]) -> Verdict {
        Outcome::Refused.into()
    }

    fn stream_error(&self, _: &Call, _: ResponseHead<'_>, _: StreamError<'_>, _: bool) -> Verdict {
        Outcome::Refused.into()
    }

    fn failure(&self, _: &Error, _: bool) -> Verdict {
        Outcome::Refused.into()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_a_failure_is_the_classifiers_to_say() {
    let layer = layer(CircuitPolicy::new()).classify(std::sync::Arc::new(Strict));
    let service = layer.layer(answers(401));
    for _ in 0..5 {
        call(&service, chat(false)).await.expect("an answer");
    }
    assert_eq!(state(&layer.handle()), "open");
}
