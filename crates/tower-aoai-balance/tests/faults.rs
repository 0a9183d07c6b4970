//! What goes wrong with other balancers, and does not here.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use tokio::time::sleep;
use tower::{
    BoxError, Layer, Service, ServiceExt,
    balance::p2c,
    discover::ServiceList,
    limit::ConcurrencyLimitLayer,
    load::{CompleteOnResponse, PeakEwma},
    service_fn,
};
use tower_aoai_balance::{BalanceLayer, Member, Strategy};
use tower_aoai_core::{Error, Reason, Rejected};

mod support;

use support::{Log, NameLayer, Plain, answer, answering, assert_nothing_is_held, chat, name_of};

/// Fails to get ready while it is told to; an instance that failed once stays broken, as a dead connection does.
#[derive(Clone)]
struct Fragile {
    log: Log,
    name: &'static str,
    fails: Arc<AtomicBool>,
    is_broken: bool,
    made: Arc<AtomicUsize>,
}

impl Service<Request<Plain>> for Fragile {
    type Response = Response<Plain>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Response<Plain>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.is_broken |= self.fails.load(SeqCst);
        Poll::Ready(if self.is_broken { Err("the connection is gone".into()) } else { Ok(()) })
    }

    fn call(&mut self, _: Request<Plain>) -> Self::Future {
        self.log.add(self.name);
        std::future::ready(Ok(answer(200)))
    }
}

/// Makes a [`Fragile`] in front of whatever the client is.
#[derive(Clone)]
struct FragileLayer(Fragile);

impl<S> Layer<S> for FragileLayer {
    type Service = Fragile;

    fn layer(&self, _: S) -> Fragile {
        self.0.made.fetch_add(1, SeqCst);
        self.0.clone()
    }
}

fn fragile(log: &Log, name: &'static str, fails: &Arc<AtomicBool>) -> Fragile {
    let made = Arc::new(AtomicUsize::new(0));
    Fragile { log: log.clone(), name, fails: Arc::clone(fails), is_broken: false, made }
}

/// tower's `p2c::Balance` drops an endpoint whose `poll_ready` failed once, and with a static list waits for ever.
#[tokio::test(start_paused = true)]
async fn a_readiness_that_fails_once_costs_no_member_and_no_call() {
    let (log, fails) = (Log::default(), Arc::new(AtomicBool::new(true)));
    let steady = Arc::new(AtomicBool::new(false));
    let towers = ServiceList::new([fragile(&log, "a", &fails)].map(|endpoint| tower::load::Constant::new(endpoint, 1)));
    let mut towers = p2c::Balance::new(towers);
    let _ = tokio::time::timeout(Duration::from_secs(1), towers.ready()).await;
    fails.store(false, SeqCst);
    let waited = tokio::time::timeout(Duration::from_secs(3_600), towers.ready()).await;
    assert!(waited.is_err(), "it is fixed upstream: then this comparison is out of date");

    fails.store(true, SeqCst);
    let stacks = [fragile(&log, "a", &fails), fragile(&log, "b", &steady)];
    let made = Arc::clone(&stacks[0].made);
    let members = stacks.map(|stack| Member::new(stack.name).layer(FragileLayer(stack)));
    let layer = BalanceLayer::new(members).expect("members").strategy(Strategy::RoundRobin);
    let service = layer.layer(());
    for _ in 0..4 {
        assert_eq!(service.clone().oneshot(chat()).await.expect("the other one").status(), 200);
    }
    assert_eq!((log.count("a"), log.count("b")), (0, 4));
    fails.store(false, SeqCst);
    for _ in 0..10 {
        service.clone().oneshot(chat()).await.expect("an answer");
    }
    assert_eq!(log.count("a"), 5, "it is back with a new stack");
    assert!(made.load(SeqCst) >= 2);
    assert_nothing_is_held(&layer.handle(), "in the end");
}

/// A static list whose only endpoint is gone makes tower's balancer wait for ever; here the call ends, and says why.
#[tokio::test(start_paused = true)]
async fn with_nobody_ready_any_more_a_call_ends_with_the_reason() {
    let (log, fails) = (Log::default(), Arc::new(AtomicBool::new(true)));
    let stack = fragile(&log, "a", &fails);
    let service = BalanceLayer::new([Member::new("a").layer(FragileLayer(stack))]).expect("a member").layer(());
    let call = tokio::time::timeout(Duration::from_secs(60), service.oneshot(chat()));
    match call.await.expect("it does not wait") {
        Err(Error::Transport(error)) => assert_eq!(error.to_string(), "the connection is gone"),
        other => panic!("{other:?}"),
    }
}

/// What fails fast looks fast, and little busy: with tower's `PeakEwma` it draws the traffic.
#[tokio::test(start_paused = true)]
async fn f6_a_fast_503_or_429_is_no_black_hole() {
    for status in [503, 429] {
        // tower's, for comparison.
        let log = Log::default();
        let leaf = |name: &'static str, log: &Log| {
            let log = log.clone();
            service_fn(move |_: Request<Plain>| {
                log.add(name);
                async move {
                    sleep(Duration::from_millis(if name == "bad" { 5 } else { 500 })).await;
                    Ok::<_, Error>(answer(if name == "bad" { status } else { 200 }))
                }
            })
        };
        let ewma = |endpoint| PeakEwma::new(endpoint, Duration::from_millis(300), 1e10, CompleteOnResponse::default());
        let list = ServiceList::new([ewma(leaf("good", &log)), ewma(leaf("bad", &log)), ewma(leaf("good", &log))]);
        let mut towers = p2c::Balance::new(list);
        for _ in 0..200 {
            drop(towers.ready().await.expect("ready").call(chat()).await.expect("an answer"));
        }
        assert!(log.count("bad") > 67, "more than its share: {}", log.count("bad"));

        for strategy in [Strategy::ExpectedFinish, Strategy::LeastInFlight] {
            let log = Log::default();
            let sent = log.clone();
            let endpoints = service_fn(move |request: Request<Plain>| {
                let name = name_of(&request);
                sent.add(name);
                async move {
                    sleep(Duration::from_millis(if name == "bad" { 5 } else { 500 })).await;
                    Ok::<_, Error>(answer(if name == "bad" { status } else { 200 }))
                }
            });
            let members = ["one", "bad", "two"].map(|name| Member::new(name).layer(NameLayer(name)));
            let service = BalanceLayer::new(members).expect("members").strategy(strategy).seed(1).layer(endpoints);
            for _ in 0..200 {
                service.clone().oneshot(chat()).await.expect("an answer");
            }
            assert!(log.count("bad") <= 67, "{strategy:?}, {status}: {}", log.count("bad"));
            if status == 503 {
                assert!(log.count("bad") <= 15, "{strategy:?}: a try in eight seconds: {}", log.count("bad"));
            }
        }
    }
}

/// `Steer::clone` over a service that holds readiness panics when the clone is called.
#[tokio::test(start_paused = true)]
async fn clones_over_services_that_hold_a_permit_when_ready_do_not_panic() {
    let log = Log::default();
    let members = ["a", "b"].map(|name| Member::new(name).layer(ConcurrencyLimitLayer::new(2)).layer(NameLayer(name)));
    let layer = BalanceLayer::new(members).expect("members");
    let mut service = layer.layer(answering(&log, |_| answer(200)));
    Service::<Request<Plain>>::poll_ready(&mut service, &mut Context::from_waker(std::task::Waker::noop()))
        .map_err(|error| panic!("{error}"))
        .is_ready();
    let mut clone = service.clone();
    let calls = [service.call(chat()), clone.call(chat()), clone.call(chat()), service.call(chat())];
    for call in calls {
        assert_eq!(call.await.expect("an answer").status(), 200);
    }
}

/// tower#856: a removal between the choice and the call sends the call to another endpoint than the one that was chosen.
#[tokio::test(start_paused = true)]
async fn a_change_between_choice_and_send_sends_nothing_astray() {
    let log = Log::default();
    // Not ready when it is chosen.
    let members =
        ["a", "b", "c"].map(|name| Member::new(name).layer(ConcurrencyLimitLayer::new(1)).layer(NameLayer(name)));
    let layer = BalanceLayer::new(members).expect("members").strategy(Strategy::RoundRobin);
    let (handle, sent) = (layer.handle(), log.clone());
    let service = layer.layer(service_fn(move |request: Request<Plain>| {
        let name = name_of(&request);
        sent.add(name);
        async move {
            sleep(Duration::from_secs(1)).await;
            Ok::<_, Error>(Response::builder().header("served-by", name).body(Plain::default()).expect("a response"))
        }
    }));
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let mut request = chat();
            let context = tower_aoai_core::CallContext::of(&mut request).clone();
            let mut call = tokio_test::task::spawn(service.clone().oneshot(request));
            assert!(call.poll().is_pending());
            (call, context)
        })
        .collect();
    assert_eq!(log.all(), ["a", "b", "c"], "three calls wait for a place");
    let _ = handle.remove("a").expect("it is there");
    for (call, context) in calls {
        let response = call.await.expect("an answer");
        let endpoint = context.served().endpoint.expect("an endpoint");
        assert_eq!(response.headers()["served-by"], *endpoint, "who is said to have served it has");
    }
    assert_nothing_is_held(&handle, "in the end");
}

/// `Err` from a closed gate evicts for ever in tower; here a gate's refusal, from readiness too, is only a refusal.
#[tokio::test(start_paused = true)]
async fn a_refusal_from_readiness_is_a_lost_race_and_the_member_stays() {
    #[derive(Clone)]
    struct Shut(Arc<AtomicBool>);
    impl<S> Layer<S> for Shut {
        type Service = Guarded<S>;
        fn layer(&self, inner: S) -> Guarded<S> {
            Guarded(inner, self.clone())
        }
    }
    #[derive(Clone)]
    struct Guarded<S>(S, Shut);
    impl<S: Service<Request<Plain>, Error = Error>> Service<Request<Plain>> for Guarded<S> {
        type Response = S::Response;
        type Error = Error;
        type Future = S::Future;
        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
            if self.1.0.load(SeqCst) {
                return Poll::Ready(Err(Rejected::new(Reason::CircuitOpen, "gate").into()));
            }
            self.0.poll_ready(cx)
        }
        fn call(&mut self, request: Request<Plain>) -> S::Future {
            self.0.call(request)
        }
    }
    let (log, shut) = (Log::default(), Arc::new(AtomicBool::new(true)));
    let members = [("a", Arc::clone(&shut)), ("b", Arc::default())]
        .map(|(name, shut)| Member::new(name).layer(Shut(shut)).layer(NameLayer(name)));
    let layer = BalanceLayer::new(members).expect("members").strategy(Strategy::RoundRobin);
    let service = layer.layer(answering(&log, |_| answer(200)));
    for _ in 0..4 {
        service.clone().oneshot(chat()).await.expect("the other one");
    }
    assert_eq!(log.count("b"), 4);
    shut.store(false, SeqCst);
    for _ in 0..4 {
        service.clone().oneshot(chat()).await.expect("an answer");
    }
    assert_eq!(log.count("a"), 2, "as soon as the gate is open");
    let snapshot = layer.handle().snapshot();
    let a = snapshot.member("a").expect("a member");
    assert!(a.races_lost >= 2 && a.failed == 0, "no failure: {a:?}");
}
