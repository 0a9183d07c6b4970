//! The layer among others, above and below: refusals, hooks, nested retries, bodies left over.

mod support;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use support::{
    Plain, answer, answer_with, exact, layer, refusal, refusal_for, request, served, served_slowly, throttled,
};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_aoai_core::{CallContext, Error, Outcome, Reason, Rejected};
use tower_aoai_retry_after::{RetryAfterLayer, RetryPolicy, RetryReason};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_refusal_with_an_instant_is_waited_out_and_is_no_attempt() {
    let layer = layer(exact(60).max_attempts(2));
    let (service, sends) = served(&layer, |n| match n {
        0..5 => Err(refusal_for(3 * SECOND).into()),
        5 => Ok(throttled("7")),
        _ => Ok(answer(200)),
    });
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(sends.seconds(), [0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 22.0]);
    let counts = layer.handle().snapshot();
    assert_eq!((counts.sends, counts.refusals_waited, counts.retries_by_hint), (2, 5, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_last_attempt_is_waited_out_too() {
    let layer = layer(exact(1).max_attempts(2));
    let (service, sends) = served(&layer, |n| match n {
        0 => Ok(answer(503)),
        1 => Err(refusal_for(3 * SECOND).into()),
        _ => Ok(answer(200)),
    });
    let response = tokio::time::timeout(60 * SECOND, service.oneshot(request())).await;
    assert_eq!(response.expect("no hang").unwrap().status(), 200);
    assert_eq!(sends.seconds(), [0.0, 1.0, 4.0]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_an_instant_comes_back() {
    let layer = layer(exact(1));
    let (service, sends) = served(&layer, |_| Err(refusal().into()));
    let error = service.oneshot(request()).await.unwrap_err();
    assert_eq!(error.rejected().map(Rejected::by), Some("breaker"));
    assert_eq!(sends.count(), 1);
    let counts = layer.handle().snapshot();
    assert_eq!((counts.sends, counts.final_outcomes), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_beyond_the_cap_or_under_a_policy_of_one_send_comes_back() {
    for policy in [exact(1).hint_cap(2 * SECOND), RetryPolicy::never()] {
        let (service, sends) = served(&layer(policy), |_| Err(refusal_for(3 * SECOND).into()));
        service.oneshot(request()).await.unwrap_err();
        assert_eq!(sends.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_below_that_knows_better_is_waited_for_and_the_cap_holds_for_it_too() {
    for (named, sent) in [(0, vec![0.0, 0.0]), (9, vec![0.0, 9.0]), (121, vec![0.0])] {
        let layer = layer(exact(1));
        let (service, sends) = served_slowly(&layer, Duration::ZERO, move |n, request| {
            let context = request.extensions().get::<CallContext>().unwrap();
            context.note_retry_at(Instant::now() + named * SECOND);
            Ok(if n == 0 { throttled("60") } else { answer(200) })
        });
        service.oneshot(request()).await.unwrap();
        assert_eq!(sends.seconds(), sent);
    }
}

#[tokio::test(start_paused = true)]
async fn what_this_endpoint_will_never_serve_is_tried_again_only_where_a_balancer_knows_another() {
    let sends_after = async |first: fn() -> Response<Plain>, knows_another: bool, policy: RetryPolicy| {
        let (service, sends) = served_slowly(&layer(policy), Duration::ZERO, move |n, request| {
            let context = request.extensions().get::<CallContext>().unwrap();
            if knows_another {
                context.note_retry_at(Instant::now());
            }
            Ok(if n == 0 { first() } else { answer(200) })
        });
        service.oneshot(request()).await.unwrap();
        sends.count()
    };
    let firsts: [fn() -> Response<Plain>; 4] =
        [|| answer(401), || throttled("86400"), || answer(400), || answer_with(401, &[("x-should-retry", "false")])];
    for (first, sends) in firsts.into_iter().zip([2, 2, 1, 1]) {
        assert_eq!(sends_after(first, true, exact(1)).await, sends);
        assert_eq!(sends_after(first, false, exact(1)).await, 1, "there is no other endpoint");
        assert_eq!(sends_after(first, true, exact(1).retry_if(|_| false)).await, 1, "the predicate decides");
    }
}

#[tokio::test(start_paused = true)]
async fn the_hook_is_told_of_each_retry() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let layer = layer(exact(2)).on_retry(move |event| {
        told.lock().push(event);
        async {}
    });
    let (service, sends) = served(&layer, |n| match n {
        0 => Ok(throttled("5")),
        1 => Err(refusal_for(3 * SECOND).into()),
        2 => Ok(answer(500)),
        _ => Ok(answer(200)),
    });
    service.oneshot(request()).await.unwrap();
    assert_eq!(sends.seconds(), [0.0, 5.0, 8.0, 10.0]);
    let events = events.lock();
    let told: Vec<_> = events
        .iter()
        .map(|event| (event.attempt, event.delay.as_secs(), event.outcome.as_ref().map(Outcome::name)))
        .collect();
    assert_eq!(told, [(1, 5, Some("throttled")), (1, 3, None), (2, 2, Some("transient"))]);
    assert!(matches!(events[0].reason, RetryReason::Hint(_)));
    assert_eq!(events[1].reason, RetryReason::Refusal(Reason::CircuitOpen));
    assert_eq!(events[2].reason, RetryReason::Backoff);
}

#[tokio::test(start_paused = true)]
async fn a_slow_hook_delays_the_attempt_and_that_counts_as_waited() {
    let layer = layer(exact(2)).on_retry(|_| sleep(7 * SECOND));
    let (service, sends) = served(&layer, |n| Ok(answer(if n == 0 { 503 } else { 200 })));
    service.oneshot(request()).await.unwrap();
    assert_eq!(sends.seconds(), [0.0, 7.0]);
    assert_eq!(layer.handle().snapshot().waited, 7 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn of_nested_retry_layers_only_the_outer_one_retries() {
    let outer = layer(exact(1).max_attempts(3));
    let inner = layer(exact(1).max_attempts(5));
    let layers = tower::layer::util::Stack::new(inner.clone(), outer.clone());
    let (service, sends) = served(&layers, |_| Ok(answer(503)));
    service.oneshot(request()).await.unwrap();
    assert_eq!(sends.seconds(), [0.0, 1.0, 2.0]);
    assert_eq!(outer.handle().snapshot().sends, 3);
    assert_eq!(inner.handle().snapshot().calls, 0);
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_is_off_passes_through_and_leaves_the_retries_to_an_inner_one() {
    let off = RetryAfterLayer::off();
    let inner = layer(exact(1));
    let (service, sends) = served(&off, |_| Ok(answer(503)));
    let mut with_policy = request();
    with_policy.extensions_mut().insert(exact(1));
    service.oneshot(with_policy).await.unwrap();
    assert_eq!(sends.count(), 1);
    assert_eq!(off.handle().snapshot().calls, 0);

    let layers = tower::layer::util::Stack::new(inner, off);
    let (service, sends) = served(&layers, |_| Ok(answer(503)));
    service.oneshot(request()).await.unwrap();
    assert_eq!(sends.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn attempts_count_up_in_the_context_and_the_layers_below_know_what_is_left() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let saw = Arc::clone(&seen);
    let mut call = request();
    let context = CallContext::of(&mut call).clone();
    let (service, _) = served_slowly(&layer(exact(2)), Duration::ZERO, move |_, request| {
        let below = request.extensions().get::<CallContext>().unwrap();
        saw.lock().push((below.attempts_left(), below.attempt_count(), below.now()));
        assert!(below.retries_owned());
        Ok(answer(503))
    });
    let start = Instant::now();
    service.oneshot(call).await.unwrap();
    let at = |seconds| start + seconds * SECOND;
    let expected = [(Some(3), 0, at(0)), (Some(2), 1, at(2)), (Some(1), 2, at(4)), (Some(0), 3, at(6))];
    assert_eq!(*seen.lock(), expected);
    assert_eq!(context.attempt_count(), 4);
    assert_eq!(context.served().waited, 6 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_marked_as_sent_but_not_observed_is_judged_by_its_head() {
    let layer = layer(exact(1));
    let (service, sends) = served_slowly(&layer, Duration::ZERO, |n, request| {
        let mut context = request.extensions().get::<CallContext>().unwrap().clone();
        context.attempt().mark_sent(Instant::now());
        Ok(if n == 0 { throttled("5") } else { answer(200) })
    });
    service.oneshot(request()).await.unwrap();
    assert_eq!(sends.seconds(), [0.0, 5.0]);
}

#[tokio::test(start_paused = true)]
async fn small_error_bodies_are_read_to_their_end_and_large_or_endless_ones_dropped() {
    // Frames, bytes of each, how soon each comes, and how many are read.
    let cases = [
        (3, 1000, 1, 3),
        (3, 0, 1, 3),
        (3, 1000, 400, 2),
        (64, 1024, 0, 64),
        (65, 1024, 0, 65),
        (1000, 1024, 0, 65),
        (usize::MAX, 0, 0, 64 * 1024 + 1),
    ];
    for (frames, bytes, every, read) in cases {
        let record = Arc::new(Mutex::new(None));
        let mut bodies =
            vec![Trickle::new(0, 0, 0, Arc::default()), Trickle::new(frames, bytes, every, Arc::clone(&record))];
        let layer = layer(exact(1));
        let (mock, mut handle) = tower_test::mock::pair::<Request<Plain>, Response<Trickle>>();
        tokio::spawn(async move {
            while let Some((_, reply)) = handle.next_request().await {
                let status = if bodies.len() == 2 { 503 } else { 200 };
                let mut response = Response::new(bodies.pop().unwrap());
                *response.status_mut() = status.try_into().unwrap();
                reply.send_response(response);
            }
        });
        let response = layer.layer(mock).oneshot(request()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(*record.lock(), Some(read), "{frames} frames of {bytes} bytes");
    }
}

/// A body of `left` frames, each `every` so often; says when it is dropped how many it gave.
struct Trickle {
    left: usize,
    bytes: usize,
    every: Duration,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
    given: usize,
    record: Arc<Mutex<Option<usize>>>,
}

impl Trickle {
    fn new(frames: usize, bytes: usize, every: u64, record: Arc<Mutex<Option<usize>>>) -> Self {
        Self { left: frames, bytes, every: Duration::from_millis(every), timer: None, given: 0, record }
    }
}

impl Body for Trickle {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if !self.every.is_zero() {
            let every = self.every;
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(every)));
            ready!(timer.as_mut().poll(cx));
            self.timer = None;
        }
        self.left -= 1;
        self.given += 1;
        let data = Bytes::from(vec![b'x'; self.bytes]);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}

impl Drop for Trickle {
    fn drop(&mut self) {
        *self.record.lock() = Some(self.given);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_says_it_is_large_is_not_read_at_all() {
    struct Large(Arc<Mutex<u32>>);

    impl Body for Large {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            *self.0.lock() += 1;
            Poll::Ready(None)
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(1 << 20)
        }
    }

    let polls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&polls);
    let service = service_fn(move |_: Request<Plain>| {
        let mut response = Response::new(Large(Arc::clone(&counted)));
        *response.status_mut() = http::StatusCode::BAD_GATEWAY;
        async { Ok::<_, Error>(response) }
    });
    layer(exact(1)).layer(service).oneshot(request()).await.unwrap();
    assert_eq!(*polls.lock(), 0);
}
