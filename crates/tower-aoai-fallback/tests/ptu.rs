//! A provisioned leg first: waiting while that is worth it, then spilling, in paused time.

use std::time::Duration;

use http::Response;
use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, task};
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_aoai_core::{CallContext, LegFailure};
use tower_aoai_fallback::{Leg, Patience, TokenPrice};
use tower_aoai_retry_after::{RetryAfterLayer, RetryPolicy};
use tower_aoai_token_bucket::{Charge, Quota, TokenBucketLayer};

mod support;

use support::{answer, fallback, is_idle, leg, next, ready, request, throttled, watched};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A leg whose hints are obeyed to the millisecond.
fn retried(name: &str) -> (Leg<support::Place>, support::Requests) {
    let (server, requests) = tower_test::mock::pair();
    let retry = RetryAfterLayer::new(RetryPolicy::new().max_attempts(10).no_jitter());
    let layer = tower::layer::layer_fn(move |()| retry.layer(server.clone()));
    let layer = ServiceBuilder::new().map_err(Into::into).layer(layer).into_inner();
    (Leg::new(name, tower::util::BoxCloneSyncServiceLayer::new(layer)), requests)
}

#[tokio::test(start_paused = true)]
async fn the_smart_retry_recipe_tries_the_ptu_at_0_400_and_800_ms_and_then_standard_not_later() {
    let start = Instant::now();
    let ((ptu, mut ptu_requests), (standard, mut standard_requests)) = (retried("ptu"), retried("standard"));
    let (service, handle) = fallback([ptu.provisioned().max_wait(millis(1_000)), standard]);
    let (request, context) = watched();
    let mut call = task::spawn(service.oneshot(request));
    for at in [0, 400, 800] {
        assert_eq!((Instant::now() - start), millis(at));
        next(&mut call, &mut ptu_requests).await.1.send_response(throttled(400));
        if at < 800 {
            assert_pending!(call.poll());
            advance(millis(399)).await;
            assert_pending!(call.poll());
            assert!(is_idle(&mut ptu_requests), "not before the hint is over");
            advance(millis(1)).await;
        }
    }
    let (_, reply) = next(&mut call, &mut standard_requests).await;
    assert_eq!((Instant::now() - start), millis(800), "1,200 ms would be too late: standard, at once");
    reply.send_response(answer(200, "yes"));
    ready(call.poll()).expect("an answer");
    assert!(is_idle(&mut ptu_requests));
    let served = context.served();
    assert_eq!((served.leg.as_deref(), served.spilled_from.as_deref()), (Some("standard"), Some("ptu")));
    let counts = handle.snapshot();
    assert_eq!((counts.legs[0].left.hint, counts.legs[1].spills, counts.legs[1].waited), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_leg_to_be_ready_stays_whatever_is_heard_of_the_leg_meanwhile() {
    let ((ptu, mut ptu_requests), (standard, mut standard_requests)) = (leg("ptu"), leg("standard"));
    let (service, handle) = fallback([ptu.provisioned(), standard]);
    let mut other = task::spawn(service.clone().oneshot(request()));
    let (_, reply) = next(&mut other, &mut ptu_requests).await;

    ptu_requests.allow(0);
    let (request, context) = watched();
    let mut waiting = task::spawn(service.oneshot(request));
    assert_pending!(waiting.poll());
    // Longer than any call may wait.
    reply.send_response(throttled(5_000));
    next(&mut other, &mut standard_requests).await.1.send_response(answer(200, "yes"));
    ready(other.poll()).expect("an answer");

    ptu_requests.allow(1);
    next(&mut waiting, &mut ptu_requests).await.1.send_response(answer(200, "yes"));
    ready(waiting.poll()).expect("an answer");
    assert_eq!((context.served().leg.as_deref(), context.served().failed_legs.len()), (Some("ptu"), 0));
    let counts = handle.snapshot();
    assert_eq!((counts.legs[0].answered, counts.legs[0].not_asked, counts.legs[1].spills), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_hint_within_the_patience_is_waited_for() {
    let ((ptu, mut ptu_requests), (standard, mut standard_requests)) = (retried("ptu"), retried("standard"));
    let (service, handle) = fallback([ptu.provisioned(), standard]);
    let mut call = task::spawn(service.oneshot(request()));
    next(&mut call, &mut ptu_requests).await.1.send_response(throttled(43));
    assert_pending!(call.poll());
    advance(millis(43)).await;
    next(&mut call, &mut ptu_requests).await.1.send_response(answer(200, "yes"));
    ready(call.poll()).expect("an answer");
    assert!(is_idle(&mut standard_requests));
    let ptu = &handle.snapshot().legs[0];
    assert_eq!((ptu.answered, ptu.waited, ptu.waited_for), (1, 1, millis(43)));
}

#[tokio::test(start_paused = true)]
async fn a_calls_own_patience_goes_before_the_legs() {
    for (patience, spills) in [(Patience::Unlimited, false), (Patience::AtMost(millis(10)), true)] {
        let ((ptu, mut ptu_requests), (standard, mut standard_requests)) = (retried("ptu"), retried("standard"));
        let (service, _) = fallback([ptu.provisioned(), standard]);
        let mut request = request();
        request.extensions_mut().insert(patience);
        let mut call = task::spawn(service.oneshot(request));
        next(&mut call, &mut ptu_requests).await.1.send_response(throttled(20_000));
        assert_pending!(call.poll());
        assert_eq!(!is_idle(&mut standard_requests), spills, "{patience:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn f4_a_call_spills_at_the_last_moment_at_which_standard_is_in_time() {
    let start = Instant::now();
    let ((ptu, mut ptu_requests), (standard, mut standard_requests)) = (retried("ptu"), retried("standard"));
    let expected = Duration::from_secs(3);
    let legs = [
        ptu.provisioned().patience(Patience::Unlimited).expected_service(expected),
        standard.expected_service(expected),
    ];
    let (service, handle) = fallback(legs);
    let mut request = request();
    CallContext::of(&mut request).tighten_deadline(start + Duration::from_secs(10));
    let mut call = task::spawn(service.oneshot(request));
    // 10 s, less 3 for the answer, less the margin of a quarter.
    next(&mut call, &mut ptu_requests).await.1.send_response(throttled(6_750));
    assert_pending!(call.poll());
    assert!(is_idle(&mut standard_requests), "6.75 s are just in time");
    advance(millis(6_750)).await;
    next(&mut call, &mut ptu_requests).await.1.send_response(throttled(1));
    next(&mut call, &mut standard_requests).await.1.send_response(answer(200, "yes"));
    assert_eq!((Instant::now() - start), millis(6_750));
    ready(call.poll()).expect("an answer");
    assert_eq!(handle.snapshot().legs[0].left.deadline, 1);
}

#[tokio::test(start_paused = true)]
async fn waiting_is_weighed_with_what_a_spill_costs() {
    let ((ptu, mut ptu_requests), (standard, mut standard_requests)) = (retried("ptu"), retried("standard"));
    // Nothing is known of the body here: 20 tokens of output are the cost, 200,000 nano-dollars, or two seconds.
    let worth = Patience::Worth { nano_dollars_per_second: 100_000 };
    let legs = [ptu.provisioned().patience(worth), standard.price(TokenPrice::new(2_500, 10_000))];
    let (service, handle) = fallback(legs);
    for (hint, spills) in [(1_990, false), (2_010, true)] {
        let mut request = request();
        CallContext::of(&mut request).amend_call(|call| call.max_output_tokens = Some(20));
        let mut call = task::spawn(service.clone().oneshot(request));
        let (mut request, reply) = next(&mut call, &mut ptu_requests).await;
        assert_eq!(CallContext::of(&mut request).spill_cost(), Some(200_000));
        reply.send_response(throttled(hint));
        assert_pending!(call.poll());
        assert_eq!(!is_idle(&mut standard_requests), spills, "{hint} ms");
    }
    assert_eq!(handle.snapshot().legs[0].left.price, 1);
    let mut call = task::spawn(service.oneshot(request()));
    next(&mut call, &mut ptu_requests).await.1.send_response(throttled(30_000));
    let (mut request, _) = next(&mut call, &mut standard_requests).await;
    assert_eq!(CallContext::of(&mut request).spill_cost(), None, "there is nowhere to spill to");
}

#[tokio::test(start_paused = true)]
async fn while_the_ptu_is_known_to_be_full_who_would_spill_anyway_does_not_knock() {
    let ((ptu, mut ptu_requests), (standard, mut standard_requests)) = (leg("ptu"), leg("standard"));
    let (service, handle) = fallback([ptu.provisioned(), standard]);
    let mut first = task::spawn(service.clone().oneshot(request()));
    next(&mut first, &mut ptu_requests).await.1.send_response(throttled(10_000));
    next(&mut first, &mut standard_requests).await.1.send_response(answer(200, "yes"));
    ready(first.poll()).expect("an answer");

    advance(millis(7_000)).await;
    let (request, context) = watched();
    let mut second = task::spawn(service.clone().oneshot(request));
    next(&mut second, &mut standard_requests).await.1.send_response(answer(200, "yes"));
    ready(second.poll()).expect("an answer");
    assert!(is_idle(&mut ptu_requests), "full for 3 s more, and patience is 2 s");
    let cause = context.served().failed_legs[0].cause;
    assert!(matches!(cause, LegFailure::KnownFull { until } if until == Instant::now() + millis(3_000)), "{cause:?}");
    let counts = handle.snapshot();
    assert_eq!((counts.legs[0].not_asked, counts.legs[0].entered, counts.legs[0].left.hint), (1, 1, 2));

    advance(millis(1_000)).await;
    let mut third = task::spawn(service.clone().oneshot(support::request()));
    next(&mut third, &mut ptu_requests).await.1.send_response(answer(200, "yes"));
    ready(third.poll()).expect("an answer of the PTU, which the call would have waited for");
}

#[tokio::test(start_paused = true)]
async fn where_there_is_nowhere_else_to_go_a_full_leg_is_asked_all_the_same() {
    let (ptu, mut requests) = leg("ptu");
    let (service, _) = fallback([ptu.provisioned()]);
    for _ in 0..2 {
        let mut call = task::spawn(service.clone().oneshot(request()));
        next(&mut call, &mut requests).await.1.send_response(throttled(10_000));
        assert_eq!(ready(call.poll()).expect("the answer").status(), 429);
    }
}

#[tokio::test(start_paused = true)]
async fn the_buckets_queue_spills_who_would_start_too_late_and_nothing_is_sent() {
    let (server, mut ptu_requests) = tower_test::mock::pair();
    let bucket = TokenBucketLayer::of(Quota::standard(60_000));
    let limiter = bucket.handle();
    let layer = tower::layer::layer_fn(move |()| bucket.layer(server.clone()));
    let layer = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(|_| support::Plain::default()))
        .map_err(Into::into)
        .layer(layer)
        .into_inner();
    let ptu = Leg::new("ptu", tower::util::BoxCloneSyncServiceLayer::new(layer));
    let (standard, mut standard_requests) = leg("standard");
    let (service, handle) = fallback([ptu.provisioned(), standard]);
    let mut permit = limiter.acquire(Charge::tokens(60_000)).await.expect("an empty window");
    permit.sent();
    let mut call = task::spawn(service.oneshot(request()));
    next(&mut call, &mut standard_requests).await.1.send_response(answer(200, "yes"));
    ready(call.poll()).expect("an answer");
    assert!(is_idle(&mut ptu_requests));
    assert_eq!(handle.snapshot().legs[0].left.queue, 1);
}

#[tokio::test(start_paused = true)]
async fn azures_own_spillover_is_told_and_counted() {
    let ((ptu, mut ptu_requests), (standard, mut standard_requests)) = (leg("ptu"), leg("standard"));
    let (service, handle) = fallback([ptu.provisioned(), standard]);
    let told = [("x-ms-spillover-from-deployment", "gpt-4o-ptu", "gpt-4o-ptu"), ("x-ms-is-spilled-over", "true", "")];
    for (spilled, (header, value, from)) in (1..).zip(told) {
        let (request, context) = watched();
        let mut call = task::spawn(service.clone().oneshot(request));
        let mut response = answer(200, "yes");
        response.headers_mut().insert(header, value.parse().expect("a value"));
        next(&mut call, &mut ptu_requests).await.1.send_response(response);
        drop(ready(call.poll()).expect("an answer"));
        assert_eq!(context.served().spilled_from.as_deref(), Some(from));
        assert_eq!(handle.snapshot().legs[0].spilled_by_azure, spilled);
    }

    let mut call = task::spawn(service.oneshot(request()));
    let mut both_failed = throttled(5_000);
    both_failed.headers_mut().insert("x-ms-spillover-error", "429".parse().expect("a value"));
    next(&mut call, &mut ptu_requests).await.1.send_response(both_failed);
    next(&mut call, &mut standard_requests).await.1.send_response(answer(200, "elsewhere"));
    ready(call.poll()).expect("a deployment elsewhere may serve what Azure's own could not");
}
