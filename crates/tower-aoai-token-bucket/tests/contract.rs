//! What the layer promises to a stack: readiness, order, and that nothing is left behind wherever a call is dropped.

use std::{
    convert::Infallible,
    future::{Future, pending},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{Request, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_aoai_core::{Error, Generator, PrepareLayer};
use tower_aoai_token_bucket::{Charge, Limits, Quota, TokenBucketLayer};

#[macro_use]
mod common;

use common::{Plain, assert_nothing_is_held, chat, simulator};

/// Polls so many times, letting time pass in between.
async fn poll_times<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut call = task::spawn(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = call.poll() {
            return Some(output);
        }
        tokio::time::advance(Duration::from_millis(2_100)).await;
    }
    None
}

#[tokio::test(start_paused = true)]
async fn l4_dropped_at_every_await_point_it_holds_nothing() {
    for polls in 0.. {
        let bucket = TokenBucketLayer::of(Quota::standard(1_000));
        let handle = bucket.handle();
        drop(handle.acquire(Charge::tokens(990)).await.map(|mut permit| permit.sent()));
        let call = stack!(bucket, simulator()).oneshot(chat(20, true));
        let answered = poll_times(call, polls).await;
        let is_over = answered.is_some();
        assert!(!is_over || handle.snapshot().in_flight == 1, "until the body's end");
        drop(answered);
        assert_nothing_is_held(&handle, &format!("after {polls} polls"));
        if is_over {
            assert!(polls > 3, "there were points to be dropped at");
            break;
        }
    }
    for frames in 0.. {
        let bucket = TokenBucketLayer::of(Quota::standard(1_000));
        let handle = bucket.handle();
        let mut body = stack!(bucket, simulator()).oneshot(chat(20, true)).await.expect("an answer").into_body();
        assert_eq!(handle.snapshot().in_flight, 1);
        let mut is_over = false;
        for _ in 0..frames {
            is_over = body.frame().await.is_none();
        }
        drop(body);
        assert_nothing_is_held(&handle, &format!("after {frames} frames"));
        assert!(handle.snapshot().tokens_used >= 20, "it was sent, and a standard deployment gives nothing back");
        if is_over {
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_never_sent_is_given_back_and_what_was_is_not() {
    let bucket = TokenBucketLayer::of(Quota::standard(1_000));
    let handle = bucket.handle();
    // Seen once that sends are stamped, so that what has no stamp was not sent.
    stack!(bucket.clone(), simulator()).oneshot(chat(10, false)).await.expect("an answer");
    let used = handle.snapshot().tokens_used;

    let never_sent = service_fn(|_: Request<_>| pending::<Result<Response<Plain>, Error>>());
    let below_the_bucket = ServiceBuilder::new().layer(PrepareLayer::new()).layer(bucket.clone()).service(never_sent);
    let mut call = task::spawn(below_the_bucket.oneshot(chat(100, false)));
    assert_pending!(call.poll());
    assert!(handle.snapshot().tokens_used > used + 100);
    drop(call);
    assert_eq!(handle.snapshot().tokens_used, used, "as if it had waited for a credential");

    let hangs = service_fn(|_: Request<_>| pending::<Result<Response<Plain>, Error>>());
    let mut call = task::spawn(stack!(bucket, hangs).oneshot(chat(100, false)));
    assert_pending!(call.poll());
    drop(call);
    assert!(handle.snapshot().tokens_used > used + 100, "the server had it");
    assert_nothing_is_held(&handle, "in the end");
}

#[tokio::test(start_paused = true)]
async fn c1_c2_calls_in_flight_are_never_more_than_allowed() {
    let bucket = TokenBucketLayer::of(Quota::new(Limits::new().max_in_flight(3)));
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let leaf = service_fn(move |_: Request<_>| {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        async move {
            most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
            tokio::time::sleep(Duration::from_millis(30)).await;
            running.fetch_sub(1, SeqCst);
            assert!(most.load(SeqCst) <= 3);
            Ok::<_, Infallible>(Response::new(Plain::default()))
        }
    });
    let handle = bucket.handle();
    let service = stack!(bucket, leaf);
    let calls: Vec<_> = (0..20).map(|_| tokio::spawn(service.clone().oneshot(chat(1, false)))).collect();
    tokio::time::sleep(Duration::from_millis(45)).await;
    // A limit that shrinks admits nobody until there are fewer.
    handle.set_limits(Limits::new().max_in_flight(1));
    calls[4].abort();
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.is_ok(), number != 4);
    }
    assert_nothing_is_held(&handle, "all is over");
    assert_eq!(handle.snapshot().granted, 20);
}

/// One place, so that whoever holds it is alone with it: the order in which they do is the order of the grants.
#[test]
fn l3_l5_l6_eight_tasks_flood_one_quota_a_third_goes_away_and_who_came_first_is_served_first() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let limits = Limits::new().tokens_per_minute(60_000_000).max_in_flight(1);
        let bucket = TokenBucketLayer::of(Quota::new(limits).guard(Duration::ZERO));
        let handle = bucket.handle();
        let (arrivals, served) = (Arc::new(Mutex::new(0u64)), Arc::new(Mutex::new(Vec::new())));
        let tasks = (0..8u64).map(|number| {
            let (handle, arrivals, served) = (handle.clone(), Arc::clone(&arrivals), Arc::clone(&served));
            tokio::spawn(async move {
                let dice = Generator::seeded(number);
                for _ in 0..1_000 {
                    let mut acquire = handle.clone().acquire(Charge::tokens((dice.fraction() * 100.0) as u64));
                    let (place, polled) = {
                        let mut arrived = arrivals.lock();
                        *arrived += 1;
                        (*arrived, Pin::new(&mut acquire).poll(&mut Context::from_waker(Waker::noop())))
                    };
                    if dice.fraction() < 0.33 {
                        tokio::task::yield_now().await;
                        continue;
                    }
                    let permit = match polled {
                        Poll::Ready(permit) => permit,
                        Poll::Pending => acquire.await,
                    };
                    let mut permit = permit.expect("a permit");
                    permit.sent();
                    served.lock().push(place);
                    tokio::task::yield_now().await;
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            tokio::time::timeout(Duration::from_secs(60), task)
                .await
                .expect("nobody waits for ever")
                .expect("no panic");
        }
        let served = served.lock();
        assert!(served.len() > 4_000, "{}", served.len());
        assert!(served.is_sorted(), "first come, first served");
        assert_nothing_is_held(&handle, "the flood is over");
    });
}

#[tokio::test(start_paused = true)]
async fn t4_clones_and_services_share_one_quota_in_order() {
    let bucket = TokenBucketLayer::of(Quota::standard(1_000).guard(Duration::ZERO));
    let services = [stack!(bucket.clone(), simulator()), stack!(bucket.clone(), simulator())];
    let mut calls: Vec<_> =
        (0..6).map(|number| task::spawn(services[number % 2].clone().oneshot(chat(950, false)))).collect();
    let start = Instant::now();
    for call in &mut calls {
        assert_pending!(call.poll());
    }
    assert_eq!(bucket.handle().snapshot().queued, 5);
    for (minute, call) in calls.into_iter().enumerate() {
        call.await.expect("an answer");
        assert_eq!((Instant::now() - start).as_secs() / 60, minute as u64, "first come, first served");
    }
}

/// Panics unless it is called when, and only when, this very instance was ready.
#[derive(Debug, Default)]
struct Strict(bool);

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self(false)
    }
}

impl<B> Service<Request<B>> for Strict {
    type Response = Response<Plain>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0 = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        assert!(std::mem::take(&mut self.0), "called without being ready");
        std::future::ready(Ok(Response::default()))
    }
}

#[tokio::test(start_paused = true)]
async fn t1_t2_t3_ready_itself_it_takes_the_inner_readiness_when_a_call_goes() {
    let mut service = TokenBucketLayer::new().layer(Strict::default());
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        assert!(Service::<Request<Plain>>::poll_ready(&mut service, &mut context).is_ready());
        service.clone().call(chat(1, false)).await.expect("an answer");
    }

    let (leaf, mut mock) = tower_test::mock::pair::<Request<Plain>, Response<Plain>>();
    let bucket = TokenBucketLayer::of(Quota::new(Limits::new().max_in_flight(1)));
    let mut service = bucket.layer(leaf);
    mock.allow(0);
    let mut call = task::spawn(service.call(chat(1, false)));
    assert_pending!(call.poll());
    assert_eq!(bucket.handle().snapshot().in_flight, 1);
    mock.allow(1);
    assert!(call.is_woken());
    assert_pending!(call.poll());
    let (_, respond) = assert_ready!(task::spawn(mock.next_request()).poll()).expect("a request");
    respond.send_response(Response::default());
    call.await.expect("an answer");
    drop(service);
    assert_nothing_is_held(&bucket.handle(), "dropped");
}

#[test]
fn t5_futures_and_bodies_are_send_and_sync() {
    fn check<T: Send + Sync + 'static>(_: &T) {}
    let mut service = stack!(TokenBucketLayer::new(), simulator());
    let call = service.call(chat(1, false));
    check(&call);
    check(&service);
    let handle = TokenBucketLayer::off().handle();
    check(&handle.acquire(Charge::tokens(1)));
    fn body<S, B: Send + Sync + 'static>(_: &S)
    where
        S: Service<Request<Plain>, Response = Response<B>>,
    {
    }
    body(&service);
}

#[tokio::test(start_paused = true)]
async fn switched_off_it_counts_nothing() {
    let bucket = TokenBucketLayer::off();
    stack!(bucket.clone(), simulator()).oneshot(chat(1, false)).await.expect("an answer");
    assert_eq!(bucket.handle().snapshot().granted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_fits_shuts_no_gate_though_nobody_observes() {
    let bucket = TokenBucketLayer::of(Quota::standard(1_000_000));
    let server = service_fn(|_: Request<Plain>| async {
        let mut answer = Response::new(Plain::default());
        *answer.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
        answer.headers_mut().insert("retry-after", 86_400.into());
        Ok::<_, Infallible>(answer)
    });
    let service = bucket.layer(server);
    let start = Instant::now();
    for _ in 0..2 {
        let answer = service.clone().oneshot(chat(20, false)).await.expect("the server's own answer");
        assert_eq!(answer.status(), 429);
    }
    assert!(Instant::now() < start + Duration::from_secs(60), "a day's wait is one request's, not the quota's");
}
