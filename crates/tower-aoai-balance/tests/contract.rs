//! What the layer promises to a stack: readiness, shared state, and that nothing is left behind wherever a call is dropped.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, advance, sleep};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer, service_fn, timeout::TimeoutLayer,
};
use tower_aoai_balance::{BalanceLayer, Member, Strategy};
use tower_aoai_circuit_breaker::CircuitBreakerLayer;
use tower_aoai_core::{CallContext, Error, ObserveLayer, PrepareLayer, Reason, Rejected, replay_with};
use tower_aoai_retry_after::{RetryAfterLayer, RetryPolicy};
use tower_aoai_simulator::{Deployment, Latency, Scripted, Simulator};
use tower_aoai_token_bucket::{Quota, TokenBucketLayer};
use tower_test::mock;

mod support;

use support::{
    Gate, Log, NameLayer, Plain, answer, answering, assert_nothing_is_held, chat, name_of, poll_times, start_within,
};

const MILLIS: Duration = Duration::from_millis(1);

fn stream() -> Request<Plain> {
    let mut request = chat();
    *request.body_mut() =
        Plain::from(r#"{"messages":[{"role":"user","content":"Say it."}],"max_tokens":20,"stream":true}"#);
    request
}

fn simulator() -> Simulator {
    Simulator::builder()
        .deployment(Deployment::standard("gpt-4o").tokens_per_minute(1_000_000))
        .latency(Latency::typical())
        .build()
}

#[test]
fn t1_it_is_always_ready_and_asks_nobody_until_it_is_polled() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _entered = runtime.enter();
    let (leaf, mut server) = mock::pair::<Request<Plain>, Response<Plain>>();
    server.allow(0);
    let gate = Gate::open();
    let layer = BalanceLayer::new([Member::new("a").asked(gate.clone()).layer(MapErr)]).expect("a member");
    let mut service = layer.layer(leaf);
    let mut context = Context::from_waker(std::task::Waker::noop());
    for _ in 0..3 {
        assert!(assert_ready!(Service::<Request<Plain>>::poll_ready(&mut service, &mut context)).is_ok());
    }
    let call = service.call(chat());
    assert_eq!(gate.asked(), 0);
    let mut call = task::spawn(call);
    assert_pending!(call.poll());
    assert!(gate.asked() > 0);
    drop(call);
    assert_nothing_is_held(&layer.handle(), "when it was not even ready");
}

/// Errors of a mock are errors of a transport.
#[derive(Clone, Copy)]
struct MapErr;

impl<S> Layer<S> for MapErr {
    type Service = tower::util::MapErr<S, fn(tower::BoxError) -> Error>;

    fn layer(&self, inner: S) -> Self::Service {
        tower::util::MapErr::new(inner, Error::Transport as _)
    }
}

/// Ready only on the instance that was asked; its clones are not.
#[derive(Debug, Default)]
struct OnlyWhenReady {
    is_ready: bool,
    calls: Arc<AtomicUsize>,
}

impl Clone for OnlyWhenReady {
    fn clone(&self) -> Self {
        Self { is_ready: false, calls: Arc::clone(&self.calls) }
    }
}

impl Service<Request<Plain>> for OnlyWhenReady {
    type Response = Response<Plain>;
    type Error = Error;
    type Future = std::future::Ready<Result<Response<Plain>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Plain>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called without being ready");
        self.calls.fetch_add(1, SeqCst);
        std::future::ready(Ok(answer(200)))
    }
}

#[tokio::test]
async fn t1_readiness_belongs_to_the_instance_that_is_called() {
    let leaf = OnlyWhenReady::default();
    let calls = Arc::clone(&leaf.calls);
    let service = BalanceLayer::new(["a", "b"].map(Member::new)).expect("members").layer(leaf);
    for _ in 0..10 {
        service.clone().oneshot(chat()).await.expect("an answer");
    }
    assert_eq!(calls.load(SeqCst), 10);
}

#[tokio::test(start_paused = true)]
async fn t2_a_member_that_is_not_ready_is_passed_over_and_wakes_the_call_when_nobody_is() {
    // Each member has a place of its own; the endpoints never answer.
    let log = Log::default();
    let sent = log.clone();
    let leaf = service_fn(move |request: Request<Plain>| {
        sent.add(name_of(&request));
        async {
            sleep(Duration::from_secs(10)).await;
            Ok::<_, Error>(answer(200))
        }
    });
    let members = ["a", "b"].map(|name| Member::new(name).layer(ConcurrencyLimitLayer::new(1)).layer(NameLayer(name)));
    let layer = BalanceLayer::new(members).expect("members").strategy(Strategy::RoundRobin);
    let service = layer.layer(leaf);
    let mut calls: Vec<_> = (0..3).map(|_| task::spawn(service.clone().oneshot(chat()))).collect();
    for call in &mut calls {
        assert_pending!(call.poll());
    }
    assert_eq!(log.all(), ["a", "b"], "the third has no place yet");
    let [_, _, third] = &mut calls[..] else { panic!("three calls") };
    assert!(!third.is_woken());
    advance(10_001 * MILLIS).await;
    let mut calls = calls.into_iter();
    calls.next().expect("a call").await.expect("an answer");
    let third = calls.nth(1).expect("the third");
    assert!(third.is_woken(), "a place is free");
    third.await.expect("an answer");
    assert_eq!(log.all().len(), 3);
    assert_nothing_is_held(&layer.handle(), "in the end");
}

#[tokio::test(start_paused = true)]
async fn t2_a_call_that_waits_for_readiness_notices_a_member_that_opens_and_its_own_start_by() {
    let log = Log::default();
    let hangs = |gate: Gate| {
        // Of two members, one is never ready again and one is shut for three seconds.
        let members = [("full", Gate::open()), ("shut", gate)].map(|(name, gate)| {
            Member::new(name)
                .asked(gate)
                .layer(ConcurrencyLimitLayer::new(usize::from(name == "shut")))
                .layer(NameLayer(name))
        });
        BalanceLayer::new(members).expect("members").layer(answering(&log, |_| answer(200)))
    };
    let gate = || Gate::new(tower_aoai_core::Admission::Shut(Some(Instant::now() + 3_000 * MILLIS)));
    let error = hangs(gate()).oneshot(start_within(2_000 * MILLIS)).await.expect_err("too late");
    assert_eq!(error.rejected().map(Rejected::reason), Some(Reason::StartBy));

    let (start, shut) = (Instant::now(), gate());
    let opens = shut.clone();
    tokio::spawn(async move {
        sleep(3_000 * MILLIS).await;
        opens.set(tower_aoai_core::Admission::At(start));
    });
    let response = tokio::time::timeout(10_000 * MILLIS, hangs(shut).oneshot(chat())).await;
    assert_eq!(response.expect("in time").expect("an answer").status(), 200);
    assert!(Instant::now() - start < 3_010 * MILLIS);
}

#[tokio::test(start_paused = true)]
async fn t3_t5_dropped_at_every_await_point_it_holds_nothing() {
    for polls in 0.. {
        let simulator = simulator();
        simulator.script("gpt-4o").then(Scripted::rate_limited(100 * MILLIS)).then(Scripted::status(503));
        let members = ["a", "b", "c"].map(|name| {
            let bucket = TokenBucketLayer::of(Quota::standard(1_000_000));
            Member::new(name).asked(CircuitBreakerLayer::new()).asked(bucket).layer(ObserveLayer::new())
        });
        let layer = BalanceLayer::new(members).expect("members").seed(1);
        let retry = RetryAfterLayer::new(RetryPolicy::new().no_jitter());
        let service =
            ServiceBuilder::new().layer(PrepareLayer::new()).layer(retry).layer(layer.clone()).service(simulator);
        let answered = poll_times(service.oneshot(stream()), polls, 20 * MILLIS).await;
        let in_flight = || layer.handle().snapshot().members.iter().map(|member| member.in_flight).sum::<usize>();
        let is_over = answered.is_some();
        assert!(!is_over || in_flight() == 1, "a streamed call is in flight until its last byte");
        drop(answered);
        assert_nothing_is_held(&layer.handle(), &format!("after {polls} polls"));
        if is_over {
            assert!(polls > 3, "there were points to be dropped at");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t5_a_body_dropped_anywhere_counts_its_call_out_once() {
    for frames in 0.. {
        let layer = BalanceLayer::new([Member::new("a").layer(ObserveLayer::new())]).expect("a member");
        let handle = layer.handle();
        let service = ServiceBuilder::new().layer(PrepareLayer::new()).layer(layer).service(simulator());
        let mut body = service.clone().oneshot(stream()).await.expect("an answer").into_body();
        let mut is_over = false;
        for _ in 0..frames {
            is_over = body.frame().await.is_none() || body.is_end_stream();
        }
        assert_eq!(handle.snapshot().members[0].in_flight, usize::from(!is_over));
        drop(body);
        assert_nothing_is_held(&handle, &format!("after {frames} frames"));
        if is_over {
            let snapshot = handle.snapshot();
            let a = &snapshot.members[0];
            assert!(a.time_to_first_token.is_some() && a.time_per_token.is_some(), "learned from the stream");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t3_a_call_that_was_never_polled_or_lost_every_race_holds_nothing() {
    let gate = || Gate::liar(Rejected::new(Reason::QueueFull, "gate"));
    let layer = BalanceLayer::new(["a", "b"].map(|name| Member::new(name).asked(gate()))).expect("members");
    let leaf = service_fn(|_: Request<Plain>| pending::<Result<Response<Plain>, Error>>());
    let mut service = layer.layer(leaf);
    drop(service.call(chat()));
    service.oneshot(chat()).await.expect_err("refused");
    assert_nothing_is_held(&layer.handle(), "in the end");
}

#[test]
fn t4_clones_and_services_share_what_is_known() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let log = Log::default();
        let members = ["a", "b", "c"].map(|name| Member::new(name).layer(NameLayer(name)));
        let layer = BalanceLayer::new(members).expect("members").strategy(Strategy::RoundRobin);
        let services = [(); 3].map(|()| layer.clone().layer(answering(&log, |_| answer(200))));
        for _ in 0..10 {
            for service in &services {
                service.clone().oneshot(chat()).await.expect("an answer");
            }
        }
        let counts = ["a", "b", "c"].map(|name| log.count(name));
        assert_eq!(counts, [10; 3], "turns go on from service to service");
        assert_eq!(layer.handle().snapshot().members[0].entered, 10);
    });
}

#[test]
fn t5_services_futures_and_bodies_are_send_sync_and_static() {
    fn all<T: Send + Sync + 'static>(_: &T) {}
    let layer = BalanceLayer::new([Member::new("a").layer(ObserveLayer::new())]).expect("a member");
    let mut service = layer.layer(simulator());
    all(&layer);
    all(&layer.handle());
    all(&service);
    fn send<T: Send + 'static>(_: &T) {}
    send(&Service::<Request<Plain>>::call(&mut service, chat()));
    fn body<S, B>(_: &S)
    where
        S: Service<Request<Plain>, Response = Response<B>>,
        B: Send + Sync + 'static,
    {
    }
    body(&service);
}

#[test]
fn round_robin_from_eight_threads_is_even_within_one_in_a_hundred() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(8).enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let log = Log::default();
        let names = ["a", "b", "c", "d", "e"];
        let members = names.map(|name| Member::new(name).asked(CircuitBreakerLayer::new()).layer(NameLayer(name)));
        let layer = BalanceLayer::new(members).expect("members").strategy(Strategy::RoundRobin);
        let sent = log.clone();
        let leaf = service_fn(move |request: Request<Plain>| {
            sent.add(name_of(&request));
            std::future::ready(Ok::<_, Error>(answer(200)))
        });
        let service = layer.layer(leaf);
        let tasks = (0..8).map(|_| {
            let service = service.clone();
            tokio::spawn(async move {
                for _ in 0..2_000 {
                    service.clone().oneshot(chat()).await.expect("an answer");
                    tokio::task::yield_now().await;
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("no panic");
        }
        for name in names {
            let count = log.count(name);
            assert!(count.abs_diff(3_200) <= 32, "{name}: {count} of 16,000");
        }
        assert_nothing_is_held(&layer.handle(), "in the end");
    });
}

#[tokio::test(start_paused = true)]
async fn a_body_that_can_be_sent_only_once_is_not_offered_to_a_second_member() {
    let gate = Gate::liar(Rejected::new(Reason::QueueFull, "gate"));
    let members = [("a", gate), ("b", Gate::open())].map(|(name, gate)| Member::new(name).asked(gate));
    let layer = BalanceLayer::new(members).expect("members").strategy(Strategy::RoundRobin);
    let service = layer.layer(service_fn(|_: Request<_>| async { Ok::<_, Error>(answer(200)) }));
    let once = || chat().map(|body| replay_with(body, |_| None));
    let error = service.clone().oneshot(once()).await.expect_err("refused");
    assert_eq!(error.rejected().map(Rejected::by), Some("gate"));
    assert_eq!(service.oneshot(once()).await.expect("b's turn").status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_time_limit_inside_a_member_is_its_failure_and_the_retry_goes_elsewhere() {
    let simulator = simulator();
    simulator.script("gpt-4o").then(Scripted::hang());
    let member = |name| Member::new(name).layer(TimeoutLayer::new(1_000 * MILLIS)).layer(ObserveLayer::new());
    let layer = BalanceLayer::new(["a", "b"].map(member)).expect("members").strategy(Strategy::RoundRobin);
    let retry = RetryAfterLayer::new(RetryPolicy::new().no_jitter());
    let service = ServiceBuilder::new().layer(PrepareLayer::new()).layer(retry).layer(layer.clone()).service(simulator);
    let mut request = chat();
    let context = CallContext::of(&mut request).clone();
    assert_eq!(service.oneshot(request).await.expect("an answer").status(), 200);
    let endpoints: Vec<_> = context.attempts().iter().filter_map(|attempt| attempt.endpoint()).collect();
    assert_eq!(endpoints.iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "b"]);
    let snapshot = layer.handle().snapshot();
    assert_eq!(snapshot.member("a").map(|member| member.failed), Some(1), "not a caller who left");
}

#[tokio::test(start_paused = true)]
async fn off_it_sends_everything_to_one_member_asks_nothing_and_counts_nothing() {
    let log = Log::default();
    let gate = Gate::shut(None);
    let member = |gate: &Gate| Member::new("a").asked(gate.clone()).layer(NameLayer("a"));
    let on = BalanceLayer::new([member(&gate)]).expect("a member").layer(answering(&log, |_| answer(503)));
    on.oneshot(chat()).await.expect_err("it is shut");
    let off = BalanceLayer::off(member(&gate)).expect("a member");
    let asked = gate.asked();
    let service = off.layer(answering(&log, |_| answer(503)));
    for _ in 0..3 {
        assert_eq!(service.clone().oneshot(chat()).await.expect("an answer").status(), 503);
    }
    assert_eq!((gate.asked(), log.count("a")), (asked, 3));
    assert_eq!(off.handle().snapshot().members[0].entered, 0);

    let full = Member::new("a").layer(ConcurrencyLimitLayer::new(1)).layer(NameLayer("a"));
    let service = BalanceLayer::off(full).expect("a member").layer(answering(&log, |_| answer(200)));
    let mut first = service.clone();
    let place = first.ready().await.map(|_| ());
    assert!(place.is_ok(), "it is always ready, and takes no place by that");
    let late = start_within(Duration::ZERO);
    assert_eq!(service.oneshot(late).await.expect("start-by is not its business").status(), 200);
}
