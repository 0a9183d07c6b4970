//! The invariants of retrying: R1 to R9.

mod support;

use std::{sync::Arc, thread, time::Duration};

use http::Request;
use parking_lot::Mutex;
use proptest::prelude::*;
use support::{
    Once, Plain, answer, answer_with, exact, layer, paused, polled_at_most, request, served, served_slowly, throttled,
    with_floor,
};
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_aoai_core::{CallContext, DeadlineLayer, Error, Outcome};
use tower_aoai_retry_after::{Backoff, RetryPolicy};
use tracing::{Level, Metadata, Subscriber, span};

#[test]
fn r1_no_call_is_sent_more_often_than_allowed_nor_than_the_budget_grants() {
    proptest!(|(max in 1u32..8, floor in 0u32..12, calls in 1usize..5)| {
        paused(async move {
            let (layer, _) = with_floor(exact(1).max_attempts(max), floor);
            let (service, sends) = served(&layer, |_| Ok(answer(503)));
            let mut before = 0;
            for _ in 0..calls {
                service.clone().oneshot(request()).await.unwrap();
                assert!(sends.count() - before <= max as usize);
                before = sends.count();
            }
            let wanted = calls * (max as usize - 1);
            assert_eq!(sends.count(), calls + wanted.min(floor as usize));
        });
    });
}

#[tokio::test(start_paused = true)]
async fn r1_a_send_that_a_layer_below_repeats_counts_too() {
    let sends = Arc::new(Mutex::new(0));
    let count = Arc::clone(&sends);
    // As an endpoint does whose token was refused: it sends once more, with another one.
    let repeating = service_fn(move |mut request: Request<Plain>| {
        let is_first = *count.lock() == 0;
        let context = CallContext::of(&mut request);
        if is_first && context.attempts_left() > Some(0) {
            *count.lock() += 1;
            context.attempt().judge_unobserved(Instant::now(), Outcome::Misconfigured.into());
            context.restart_attempt();
        }
        *count.lock() += 1;
        async { Ok::<_, Error>(answer(503)) }
    });
    let layer = layer(exact(1).max_attempts(3));
    layer.layer(repeating).oneshot(request()).await.unwrap();
    assert_eq!(*sends.lock(), 3);
    assert_eq!(layer.handle().snapshot().sends, 3);
}

#[tokio::test(start_paused = true)]
async fn r1_a_retry_that_a_layer_below_refuses_costs_no_budget() {
    let (layer, budget) = with_floor(exact(1), 1);
    let (service, sends) = served(&layer, |n| match n {
        0 => Ok(answer(503)),
        1..4 => Err(support::refusal_for(Duration::from_secs(1)).into()),
        _ => Err(support::refusal().into()),
    });
    let error = service.oneshot(request()).await.unwrap_err();
    assert!(error.rejected().is_some());
    assert_eq!(sends.seconds(), [0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(budget.balance(Instant::now()), 1);
}

#[tokio::test(start_paused = true)]
async fn r2_a_stream_that_was_handed_on_is_never_sent_again() {
    let layer = layer(exact(1));
    let (service, sends) = served(&layer, |_| Ok(answer_with(200, &[("retry-after", "1")])));
    let response = service.oneshot(request()).await.unwrap();
    drop(response.into_body());
    sleep(Duration::from_secs(10)).await;
    assert_eq!(sends.count(), 1);
    assert_eq!(layer.handle().snapshot().answered, 1);
}

#[tokio::test(start_paused = true)]
async fn r2_an_attempt_that_broke_after_its_first_content_is_never_sent_again() {
    let layer = layer(exact(1).retry_if(|_| true));
    let (service, sends) = served_slowly(&layer, Duration::ZERO, |_, request| {
        let mut context = request.extensions().get::<CallContext>().unwrap().clone();
        let attempt = context.attempt();
        attempt.judge_unobserved(Instant::now(), Outcome::Broken.into());
        Ok(answer(503))
    });
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(sends.count(), 1);
    assert_eq!(layer.handle().snapshot().final_outcomes, 1);
}

#[tokio::test(start_paused = true)]
async fn r3_a_body_that_cannot_be_sent_again_is_sent_once_and_that_is_said_once() {
    let warnings = Warnings::default();
    let _listening = tracing::subscriber::set_default(warnings.clone());
    let layer = layer(exact(1));
    let sends = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&sends);
    let service = layer.layer(service_fn(move |_: Request<Once>| {
        *counted.lock() += 1;
        async { Ok::<_, Error>(throttled("1")) }
    }));
    for call in 1..=3 {
        let response = service.clone().oneshot(Request::new(Once::default()));
        let response = response.await.unwrap();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(support::text(response).await, "the body");
        assert_eq!((*sends.lock(), layer.handle().snapshot().unreplayable), (call, call));
    }
    assert_eq!(*warnings.count.lock(), 1);
}

#[test]
fn r4_no_attempt_starts_before_the_hint_is_over() {
    let hint = prop_oneof![1u64..120_000, Just(1), Just(120_000)];
    proptest!(|(hints in prop::collection::vec(hint, 1..5), jitter in 0.0f64..2.0, seed: u64)| {
        let policy = RetryPolicy::new().hint_jitter(jitter).max_attempts(9).elapsed_limit(None);
        let (asked, most) = (hints.clone(), 1.0 + jitter);
        let waits = paused(async move {
            let (service, sends) = served(&layer(policy).seed(seed), move |n| {
                Ok(match asked.get(n) {
                    Some(ms) => answer_with(429, &[("retry-after-ms", &ms.to_string())]),
                    None => answer(200),
                })
            });
            service.oneshot(request()).await.unwrap();
            sends.waits()
        });
        prop_assert_eq!(waits.len(), hints.len());
        for (wait, hint) in waits.iter().zip(hints) {
            let hint = hint as f64 / 1e3;
            prop_assert!(*wait > hint - 1e-6 && *wait <= hint * most + 2e-3, "{} for {}", wait, hint);
        }
    });
}

#[tokio::test(start_paused = true)]
async fn r4_a_hint_counts_from_the_answer_and_not_from_the_send() {
    let layer = layer(exact(1));
    let (service, sends) =
        served_slowly(&layer, Duration::from_secs(30), |n, _| Ok(if n == 0 { throttled("5") } else { answer(200) }));
    service.oneshot(request()).await.unwrap();
    assert_eq!(sends.seconds(), [0.0, 35.0]);
}

#[test]
fn r5_no_attempt_starts_that_cannot_end_in_time_and_no_call_outlives_its_deadline() {
    proptest!(|(
        deadline in 1u64..60_000,
        takes in 0u64..10_000,
        expected in 0u64..20_000,
        hint in 1u64..20_000,
        seed: u64,
    )| {
        let policy = RetryPolicy::new()
            .max_attempts(20)
            .expected_service(Duration::from_millis(expected));
        let (ended, sends) = paused(async move {
            let layers = tower::layer::util::Stack::new(
                layer(policy).seed(seed),
                DeadlineLayer::new(Duration::from_millis(deadline)),
            );
            let start = Instant::now();
            let (service, sends) = served_slowly(&layers, Duration::from_millis(takes), move |n, _| {
                Ok(match n % 3 {
                    0 => answer_with(429, &[("retry-after-ms", &hint.to_string())]),
                    1 => answer(503),
                    _ => answer_with(503, &[("retry-after-ms", &hint.to_string())]),
                })
            });
            let _ = service.oneshot(request()).await;
            (start.elapsed_ms(), sends.seconds())
        });
        prop_assert!(ended <= deadline + 1, "returned after {} ms", ended);
        for at in sends {
            prop_assert!(at * 1e3 + expected as f64 <= deadline as f64 + 1e-6, "sent at {} s", at);
        }
    });
}

#[tokio::test(start_paused = true)]
async fn r5_an_attempt_that_waited_too_long_for_readiness_does_not_start() {
    let layer = layer(exact(1));
    let (mock, mut handle) = tower_test::mock::pair::<Request<Plain>, _>();
    handle.allow(0);
    let call = tokio::spawn(layer.layer(mock).oneshot(support::due_in(3)));
    sleep(Duration::from_secs(4)).await;
    handle.allow(1);
    let error = call.await.unwrap().map(|response: http::Response<Plain>| response).unwrap_err();
    assert_eq!(error.rejected().map(|rejected| rejected.reason().code()), Some("deadline_exceeded"));
    assert!(timeout(Duration::from_secs(1), handle.next_request()).await.is_ok_and(|none| none.is_none()));
    let counts = layer.handle().snapshot();
    assert_eq!((counts.calls, counts.sends, counts.out_of_time), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn r5_a_hook_that_takes_too_long_lets_no_attempt_start_after_deadline_or_start_by() {
    for (within, code) in
        [(support::due_in as fn(u64) -> _, "deadline_exceeded"), (support::start_within, "rate_limit_exceeded")]
    {
        let layer = layer(exact(1)).on_retry(|_| sleep(Duration::from_secs(4)));
        let (service, sends) = served(&layer, |_| Ok(answer(503)));
        let error = service.oneshot(within(3)).await.unwrap_err();
        assert_eq!(error.rejected().map(|rejected| rejected.reason().code()), Some(code));
        assert_eq!(sends.count(), 1);
        assert_eq!(layer.handle().snapshot().out_of_time, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn r6_a_call_has_at_most_one_attempt_in_flight() {
    let in_flight = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&in_flight);
    let policy = exact(0).max_attempts(20);
    let mut service = layer(policy).layer(service_fn(move |_: Request<Plain>| {
        *counter.lock() += 1;
        assert_eq!(*counter.lock(), 1);
        let ends = Ends(Arc::clone(&counter));
        async move {
            sleep(Duration::from_millis(7)).await;
            drop(ends);
            Ok::<_, Error>(answer(503))
        }
    }));
    service.ready().await.unwrap().call(request()).await.unwrap();
    assert_eq!(*in_flight.lock(), 0);
}

struct Ends(Arc<Mutex<u32>>);

impl Drop for Ends {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
    }
}

/// 2,000 calls over five minutes against a server that always fails: in no minute are more retries sent than the
/// budget's floor, however many calls ask.
#[tokio::test(start_paused = true)]
async fn r7_under_total_failure_any_minute_has_only_the_floor_of_retries() {
    let policy = RetryPolicy::new().max_attempts(10).backoff(Backoff::constant(Duration::from_secs(2)));
    let (layer, _) = with_floor(policy, 30);
    let (service, sends) = served(&layer, |_| Ok(answer(503)));
    let start = Instant::now();
    let mut firsts = Vec::new();
    let mut calls = Vec::new();
    for _ in 0..2000 {
        firsts.push(start.elapsed_ms());
        calls.push(tokio::spawn(service.clone().oneshot(request())));
        sleep(Duration::from_millis(150)).await;
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let all: Vec<u64> = sends.seconds().iter().map(|at| (at * 1e3).round() as u64).collect();
    assert!(all.len() > 2000 + 4 * 30);
    for end in &all {
        let within = |at: &&u64| **at <= *end && **at + 60_000 > *end;
        let (sent, began) = (all.iter().filter(within).count(), firsts.iter().filter(within).count());
        assert!(sent <= began + 30, "{sent} sends for {began} calls in the minute up to {end} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn r8_each_call_is_counted_once_wherever_it_ends() {
    let (layer, _) = with_floor(exact(1).max_attempts(4), 1_000);
    let layer = layer.on_retry(|_| tokio::task::yield_now());
    let mut calls = 0;
    for answers in [[200; 4], [503, 429, 503, 200], [503, 500, 429, 503], [503, 400, 200, 200]] {
        for polls in 0.. {
            let (mut service, _) = served(&layer, move |n| Ok(answer(answers[n])));
            let call = service.ready().await.unwrap().call(request());
            let ended = polled_at_most(polls, call).await;
            calls += 1;
            let counts = layer.handle().snapshot();
            assert_eq!(counts.calls, calls);
            assert_eq!(counts.answered + counts.gave_up() + counts.cancelled, calls);
            if ended.is_some() {
                break;
            }
        }
    }
    let counts = layer.handle().snapshot();
    assert_eq!((counts.answered, counts.out_of_attempts, counts.final_outcomes), (2, 1, 1));
}

#[test]
fn r9_threads_that_share_a_layer_spend_exactly_the_budget() {
    let (layer, budget) = with_floor(exact(0), 500);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                paused(async {
                    let (service, _) = served(&layer, |_| Ok(answer(503)));
                    for _ in 0..100 {
                        service.clone().oneshot(request()).await.unwrap();
                    }
                });
            });
        }
    });
    let counts = layer.handle().snapshot();
    assert_eq!((counts.calls, counts.sends), (800, 1300));
    assert_eq!(counts.retries_by_backoff, 500);
    assert_eq!(budget.balance(Instant::now()), 0);
}

/// Counts warnings.
#[derive(Debug, Clone, Default)]
struct Warnings {
    count: Arc<Mutex<u32>>,
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        *self.count.lock() += 1;
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Milliseconds since an instant of a paused clock.
trait ElapsedMs {
    fn elapsed_ms(&self) -> u64;
}

impl ElapsedMs for Instant {
    fn elapsed_ms(&self) -> u64 {
        Instant::now().saturating_duration_since(*self).as_millis() as u64
    }
}
