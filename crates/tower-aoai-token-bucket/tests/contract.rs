//! What the layer promises to a stack: readiness, order, and that nothing is left behind wherever a call is dropped.

use std::{
    convert::Infallible,
    future::{Future, pending},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_aoai_core::{
    Admission, Asked, Call, CallContext, Error, Generator, ObserveLayer, PrepareLayer, Reason, Rejected, Usage,
};
use tower_aoai_simulator::{Deployment, Latency, Scripted, Simulator};
use tower_aoai_token_bucket::{
    Accounting, Charge, Limits, Quota, Risk, TokenBucketHandle, TokenBucketLayer, WindowModel,
};

type Plain = Full<Bytes>;

fn chat(max_tokens: u64, stream: bool) -> Request<Plain> {
    let options = if stream { r#","stream":true,"stream_options":{"include_usage":true}"# } else { "" };
    let body = format!(r#"{{"messages":[{{"role":"user","content":"Say it."}}],"max_tokens":{max_tokens}{options}}}"#);
    Request::post("http://localhost/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
        .body(Full::from(body))
        .expect("a valid request")
}

fn simulator() -> Simulator {
    Simulator::builder()
        .deployment(Deployment::standard("gpt-4o").tokens_per_minute(1_000_000))
        .latency(Latency::typical())
        .build()
}

macro_rules! stack {
    ($bucket:expr, $leaf:expr) => {
        ServiceBuilder::new().layer(PrepareLayer::new()).layer($bucket).layer(ObserveLayer::new()).service($leaf)
    };
}

fn assert_nothing_is_held(handle: &TokenBucketHandle, when: &str) {
    let now = handle.snapshot();
    assert_eq!((now.in_flight, now.queued, now.outstanding_tokens), (0, 0, 0), "{when}");
}

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
async fn a_charge_ages_from_its_send() {
    let bucket = TokenBucketLayer::of(Quota::standard(1_000).guard(Duration::ZERO));
    let handle = bucket.handle();
    let start = Instant::now();
    let delayed = service_fn(move |request: Request<_>| async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        ServiceBuilder::new().layer(ObserveLayer::new()).service(simulator()).oneshot(request).await
    });
    let service = ServiceBuilder::new().layer(PrepareLayer::new()).layer(bucket).service(delayed);
    let response = service.oneshot(chat(950, false)).await.expect("an answer");
    drop(response);
    let permit = handle.acquire(Charge::tokens(500)).await.expect("a permit");
    assert_eq!(Instant::now() - start, Duration::from_secs(80), "20 s late, a minute after that");
    drop(permit);
}

#[tokio::test(start_paused = true)]
async fn a_hint_shuts_the_gate_for_everyone_and_the_pace_is_kept_after_it() {
    for observed in [true, false] {
        let simulator = simulator();
        simulator.script("gpt-4o").then(Scripted::rate_limited(Duration::from_secs(7)));
        let bucket = TokenBucketLayer::of(Quota::standard(60_000));
        let handle = bucket.handle();
        let start = Instant::now();
        let status = if observed {
            stack!(bucket.clone(), simulator.clone()).oneshot(chat(980, false)).await.expect("an answer").status()
        } else {
            let service = ServiceBuilder::new().layer(PrepareLayer::new()).layer(bucket.clone());
            service.service(simulator.clone()).oneshot(chat(980, false)).await.expect("an answer").status()
        };
        assert_eq!(status, 429);
        assert_eq!(handle.snapshot().throttled, 1);
        let passed = Instant::now() - start;
        let mut granted = Vec::new();
        let waiters = (0..3).map(|_| handle.acquire(Charge::tokens(1_000)));
        for mut permit in futures(waiters).await {
            permit.sent();
            granted.push(permit.waited() + passed);
        }
        assert_eq!(granted, [7, 8, 9].map(Duration::from_secs), "1,000 of 60,000 a minute each");
    }
}

/// Waits for all of them at once.
async fn futures(all: impl Iterator<Item = tower_aoai_token_bucket::Acquire>) -> Vec<tower_aoai_token_bucket::Permit> {
    let tasks: Vec<_> = all.map(tokio::spawn).collect();
    let mut permits = Vec::new();
    for task in tasks {
        permits.push(task.await.expect("no panic").expect("a permit"));
    }
    permits
}

#[tokio::test(start_paused = true)]
async fn deadlines_and_try_mode_refuse_with_nothing_sent() {
    let bucket = TokenBucketLayer::of(Quota::standard(1_000));
    let handle = bucket.handle();
    let mut permit = handle.acquire(Charge::tokens(1_000)).await.expect("a permit");
    permit.sent();
    drop(permit);
    let full_again = Instant::now() + Duration::from_millis(60_100);

    let simulator = simulator();
    let mut request = chat(100, false);
    let mut context = CallContext::new(Call::default(), Instant::now());
    context.tighten_deadline(Instant::now() + Duration::from_secs(60));
    request.extensions_mut().insert(context);
    let error = stack!(bucket.clone(), simulator.clone()).oneshot(request).await.expect_err("too late");
    let rejected = error.rejected().expect("refused here");
    assert_eq!((rejected.reason(), rejected.opens_at()), (Reason::Deadline, Some(full_again)));

    let error = stack!(bucket, simulator.clone()).oneshot(chat(1_000, false)).await.expect_err("larger than all");
    assert_eq!(error.rejected().map(Rejected::reason), Some(Reason::TooLarge));

    let tries = TokenBucketLayer::of(Quota::standard(1_000).never_wait());
    tries.handle().acquire(Charge::tokens(990)).await.expect("a permit").sent();
    let error = stack!(tries.clone(), simulator.clone()).oneshot(chat(100, false)).await.expect_err("not now");
    let rejected = error.rejected().expect("refused here");
    assert_eq!((rejected.reason(), rejected.opens_at()), (Reason::QuotaSpent, Some(full_again)));
    let mut call = Call::default();
    call.max_output_tokens = Some(100);
    let call = CallContext::new(call, Instant::now());
    assert_eq!(tries.availability().admission(&call, Instant::now()), Admission::Shut(Some(full_again)));
    assert!(simulator.journal().is_empty(), "nothing was sent");
}

#[tokio::test(start_paused = true)]
async fn availability_and_risk_say_what_then_happens() {
    let bucket = TokenBucketLayer::of(Quota::standard(1_000));
    let handle = bucket.handle();
    let now = Instant::now();
    assert_eq!(handle.risk(Charge::tokens(1_000)), Risk::Now);
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut acquire = task::spawn(handle.acquire(Charge::tokens(600)));
        if let Poll::Ready(permit) = acquire.poll() {
            permit.expect("a permit").sent();
        } else {
            waiting.push(acquire);
        }
    }
    let third_minute = now + 3 * Duration::from_millis(60_100);
    let mut call = Call::default();
    call.max_output_tokens = Some(600);
    let context = CallContext::new(call, now);
    assert_eq!(bucket.availability().admission(&context, now), Admission::At(third_minute));
    assert_eq!((bucket.availability().load().in_flight, bucket.availability().load().queued), (0, 2));
    assert!(matches!(handle.risk(Charge::tokens(600)), Risk::Waits { until, .. } if until == third_minute));
    assert!(matches!(handle.risk(Charge::tokens(1_001)), Risk::Refused { reason: Reason::TooLarge, until: None }));
    drop(waiting);
    assert_nothing_is_held(&handle, "all have gone");
}

#[tokio::test(start_paused = true)]
async fn usage_is_settled_where_the_accounting_corrects() {
    let quota = Quota::standard(10_000).accounting(Accounting::CorrectOnCompletion);
    for stream in [false, true] {
        let bucket = TokenBucketLayer::of(quota.clone());
        let handle = bucket.handle();
        let answer = stack!(bucket, simulator()).oneshot(chat(5_000, stream)).await.expect("an answer");
        assert!(handle.snapshot().tokens_used >= 5_000);
        let context = answer.into_body().collect().await.expect("a whole body");
        drop(context);
        let used = handle.snapshot().tokens_used;
        assert!(used < 1_000, "{used} is what it really used, streamed: {stream}");
    }
    let handle = TokenBucketLayer::of(quota.model(WindowModel::Bucket { capacity: 10_000 })).handle();
    let mut permit = handle.acquire(Charge::tokens(5_000)).await.expect("a permit");
    permit.sent();
    permit.used(Usage::new(100, 20).total());
    drop(permit);
    assert_eq!(handle.snapshot().tokens_used, 120);
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

#[test]
fn l3_l5_eight_tasks_flood_one_quota_and_a_third_goes_away() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let limits = Limits::new().tokens_per_minute(60_000_000).max_in_flight(16);
        let bucket = TokenBucketLayer::of(Quota::new(limits).guard(Duration::ZERO));
        let handle = bucket.handle();
        let served = Arc::new(AtomicU64::new(0));
        let tasks = (0..8u64).map(|number| {
            let (handle, served) = (handle.clone(), Arc::clone(&served));
            tokio::spawn(async move {
                let dice = Generator::seeded(number);
                for _ in 0..1_000 {
                    let acquire = handle.acquire(Charge::tokens((dice.fraction() * 100.0) as u64));
                    if dice.fraction() < 0.33 {
                        let mut acquire = task::spawn(acquire);
                        let _ = acquire.poll();
                        tokio::task::yield_now().await;
                    } else {
                        let mut permit = acquire.await.expect("a permit");
                        permit.sent();
                        tokio::task::yield_now().await;
                        served.fetch_add(1, SeqCst);
                    }
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            tokio::time::timeout(Duration::from_secs(60), task)
                .await
                .expect("nobody waits for ever")
                .expect("no panic");
        }
        assert!(served.load(SeqCst) > 4_000);
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
