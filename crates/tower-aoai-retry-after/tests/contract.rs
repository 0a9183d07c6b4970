//! What tower asks of every service: T1 to T5.

mod support;

use std::{
    future::{Ready, pending, ready},
    mem,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use support::{Plain, answer, exact, layer, polled_at_most, request, served, throttled, with_floor};
use tokio::{
    sync::Notify,
    time::{Instant, advance, sleep},
};
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer};
use tower_aoai_core::Error;
use tower_aoai_retry_after::{ResponseFuture, RetryAfter, RetryAfterLayer};
use tower_test::mock;

/// Becomes ready at the second look, is as unready as new after each call and in each clone, and panics when it is
/// called unready.
#[derive(Debug, Default)]
struct Probe {
    looks: u32,
    is_ready: bool,
    calls: u32,
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<Plain>> for Probe {
    type Response = Response<Plain>;
    type Error = Error;
    type Future = Ready<Result<Response<Plain>, Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.looks += 1;
        self.is_ready = self.looks.is_multiple_of(2);
        if self.is_ready {
            Poll::Ready(Ok(()))
        } else {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }

    fn call(&mut self, _: Request<Plain>) -> Self::Future {
        assert!(mem::take(&mut self.is_ready), "called without being ready");
        self.calls += 1;
        let status = if self.calls < 3 { 503 } else { 200 };
        ready(Ok(answer(status)))
    }
}

#[tokio::test(start_paused = true)]
async fn t1_each_attempt_is_called_on_the_instance_that_was_ready_for_it() {
    let mut service = layer(exact(1)).layer(Probe::default());
    for _ in 0..3 {
        let response = service.ready().await.unwrap().call(request());
        assert_eq!(response.await.unwrap().status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn t1_a_readiness_error_ends_the_call() {
    let (mock, mut handle) = mock::pair::<Request<Plain>, Response<Plain>>();
    let layer = layer(exact(1));
    handle.send_error("worn out");
    let error = layer.layer(mock).oneshot(request()).await.unwrap_err();
    assert!(matches!(error, Error::Transport(_)));
    let counts = layer.handle().snapshot();
    assert_eq!((counts.calls, counts.sends, counts.final_outcomes), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn t1_a_readiness_error_in_a_layer_that_is_off_is_handed_on_and_not_counted() {
    let (mock, mut handle) = mock::pair::<Request<Plain>, Response<Plain>>();
    let layer = RetryAfterLayer::off();
    handle.send_error("worn out");
    layer.layer(mock).oneshot(request()).await.unwrap_err();
    assert_eq!(layer.handle().snapshot().calls, 0);
}

#[tokio::test(start_paused = true)]
async fn t2_whatever_it_waits_for_wakes_it() {
    let hook = Arc::new(Notify::new());
    let waited_for = Arc::clone(&hook);
    let layer = layer(exact(1)).on_retry(move |_| {
        let hook = Arc::clone(&waited_for);
        async move { hook.notified().await }
    });
    let (mock, mut handle) = mock::pair::<Request<Plain>, Response<Plain>>();
    handle.allow(0);
    let mut call = task::spawn(layer.layer(mock).call(request()));

    assert_pending!(call.poll(), "not ready");
    handle.allow(2);
    assert!(call.is_woken());
    assert_pending!(call.poll(), "sent");
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_response(answer(503));
    assert!(call.is_woken());
    assert_pending!(call.poll(), "waits for its instant and for the hook");
    advance(Duration::from_secs(1)).await;
    assert!(call.is_woken());
    assert_pending!(call.poll(), "waits for the hook alone");
    hook.notify_one();
    assert!(call.is_woken());
    assert_pending!(call.poll(), "sent again");
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_response(answer(200));
    assert!(call.is_woken());
    assert_ready_ok!(call.poll());
}

#[tokio::test(start_paused = true)]
async fn t2_it_is_always_ready() {
    let (mock, mut handle) = mock::pair::<Request<Plain>, Response<Plain>>();
    handle.allow(0);
    let mut service = mock::Spawn::new(layer(exact(1)).layer(mock));
    assert_ready_ok!(service.poll_ready::<Request<Plain>>());
}

#[tokio::test(start_paused = true)]
async fn t3_nothing_of_the_inner_service_is_held_by_a_ready_service_or_a_waiting_call() {
    let layer = layer(exact(5));
    let (limited, _) =
        served(&ConcurrencyLimitLayer::new(1), |n| Ok(if n == 0 { throttled("60") } else { answer(200) }));
    let mut one = layer.layer(limited);
    let mut other = one.clone();
    one.ready().await.unwrap();
    let mut waits = task::spawn(one.call(request()));
    for _ in 0..3 {
        assert_pending!(waits.poll());
        tokio::task::yield_now().await;
    }
    assert_eq!(layer.handle().snapshot().retries_by_hint, 1);

    let start = Instant::now();
    other.ready().await.unwrap().call(request()).await.unwrap();
    assert_eq!(Instant::now(), start);

    // A call that is given up while it queues for the inner service leaves the queue.
    let mut queued = task::spawn(other.call(request()));
    assert_pending!(queued.poll());
    drop(queued);
    other.ready().await.unwrap().call(request()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn t4_clones_and_services_of_a_layer_share_its_budget_and_its_counts() {
    let (layer, budget) = with_floor(exact(1), 3);
    let (one, sends_of_one) = served(&layer, |_| Ok(answer(503)));
    let (other, sends_of_other) = served(&layer, |_| Ok(answer(503)));
    one.clone().oneshot(request()).await.unwrap();
    assert_eq!(sends_of_one.count(), 4, "three retries, and they are all there were");
    other.clone().oneshot(request()).await.unwrap();
    one.clone().oneshot(request()).await.unwrap();
    assert_eq!((sends_of_one.count(), sends_of_other.count()), (5, 1));
    assert_eq!(budget.balance(Instant::now()), 0);

    let counts = layer.clone().handle().snapshot();
    assert_eq!((counts.calls, counts.sends, counts.out_of_budget), (3, 6, 2));
    assert_eq!(counts.out_of_attempts, 1);
    layer.handle().reset();
    assert_eq!(layer.handle().snapshot(), Default::default());
}

#[test]
fn t5_services_and_futures_are_send_sync_and_static() {
    fn holds<T: Send + Sync + 'static>() {}
    fn clones<T: Clone + Send + Sync + 'static>() {}
    clones::<RetryAfterLayer>();
    clones::<RetryAfter<Probe>>();
    holds::<ResponseFuture<Probe, Plain, Plain>>();
}

#[tokio::test(start_paused = true)]
async fn t5_a_call_dropped_at_any_point_sends_nothing_more_and_gives_back_what_it_held() {
    for polls in 0.. {
        let (layer, budget) = with_floor(exact(1), 5);
        let layer = layer.on_retry(|_| tokio::task::yield_now());
        let (service, sends) = served(&layer, |n| Ok(answer(if n < 2 { 503 } else { 200 })));
        let ended = polled_at_most(polls, service.oneshot(request())).await;
        let at_drop = sends.count();
        // Sent from here, but not seen by the server yet when the call was dropped.
        tokio::task::yield_now().await;
        let seen = sends.count();
        assert!(seen <= at_drop + 1);
        let spent = 5 - budget.balance(Instant::now());
        assert_eq!(spent, seen.saturating_sub(1) as u64, "after {polls} polls");
        sleep(Duration::from_secs(100)).await;
        assert_eq!(sends.count(), seen, "sent after it was dropped");
        if ended.is_some() {
            assert_eq!(seen, 3);
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t5_a_call_without_an_answer_can_be_dropped() {
    let layer = layer(exact(1));
    let never = tower::service_fn(|_: Request<Plain>| pending::<Result<Response<Plain>, Error>>());
    let mut call = task::spawn(layer.layer(never).oneshot(request()));
    assert_pending!(call.poll());
    drop(call);
    assert_eq!(layer.handle().snapshot().cancelled, 1);
}
