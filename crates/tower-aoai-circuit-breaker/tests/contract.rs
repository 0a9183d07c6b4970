//! What the layer promises to a stack: readiness, clones, and that nothing is left behind wherever a call is dropped.

use std::{
    convert::Infallible,
    future::Future,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use tower_aoai_circuit_breaker::{CircuitBreakerLayer, CircuitPolicy, InvalidPolicy, ProbeProof};
use tower_aoai_core::{Admission, Asked, Call, CallContext, Error, ObserveLayer, PrepareLayer, Reason, Rejected};
use tower_aoai_simulator::Scripted;

mod support;

use support::{BREAK, Plain, answers, assert_nothing_is_held, call, chat, exact, half_open, layer, simulator, state};

/// Polls so many times, letting time pass in between.
async fn poll_times<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut call = task::spawn(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = call.poll() {
            return Some(output);
        }
        tokio::time::advance(Duration::from_millis(200)).await;
    }
    None
}

#[tokio::test(start_paused = true)]
async fn b10_t5_a_probe_dropped_at_any_point_decides_nothing_and_frees_its_place() {
    for whole_stream in [false, true] {
        for polls in 0.. {
            let layer = layer(exact().probe_proof(if whole_stream { ProbeProof::End } else { ProbeProof::FirstByte }));
            let handle = layer.handle();
            let server = simulator();
            server.script("gpt-4o").times(5, &Scripted::status(500));
            let service = ServiceBuilder::new()
                .layer(PrepareLayer::new())
                .layer(layer)
                .layer(ObserveLayer::new())
                .service(server);
            half_open(&handle, &service).await;
            let probe = async {
                let response = service.clone().oneshot(chat(true)).await.expect("an answer");
                if whole_stream {
                    response.into_body().collect().await.expect("a whole answer");
                }
            };
            let is_over = poll_times(probe, polls).await.is_some();
            assert_nothing_is_held(&handle, &format!("after {polls} polls"));
            assert_eq!(state(&handle), if is_over { "closed" } else { "half_open" }, "after {polls} polls");
            if is_over {
                assert!(polls > 2, "there were points to be dropped at");
                break;
            }
            assert_eq!(call(&service, chat(false)).await.expect("the next probe"), 200);
            assert_eq!(state(&handle), "closed");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t3_a_probes_place_is_taken_by_the_call_and_not_by_readiness() {
    let layer = layer(exact());
    let handle = layer.handle();
    half_open(&handle, &layer.layer(answers(500))).await;
    let mut idle = layer.layer(answers(200));
    idle.ready().await.expect("ready");
    assert_eq!(handle.snapshot().probes_under_way, 0);

    let never_polled = idle.call(chat(false));
    assert_eq!(handle.snapshot().probes_under_way, 1);
    drop(never_polled);
    assert_nothing_is_held(&handle, "dropped unpolled");
    assert_eq!(state(&handle), "half_open");
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
async fn t1_the_instance_that_was_ready_is_the_one_that_is_called() {
    let mut service = CircuitBreakerLayer::new().layer(Strict::default());
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        assert!(Service::<Request<Plain>>::poll_ready(&mut service, &mut context).is_ready());
        let clone = service.clone();
        service.call(chat(false)).await.expect("an answer");
        clone.oneshot(chat(false)).await.expect("an answer");
    }
}

#[tokio::test(start_paused = true)]
async fn t2_readiness_is_the_inner_services_and_wakes_with_it() {
    let (leaf, mut mock) = tower_test::mock::pair::<Request<Plain>, Response<Plain>>();
    let layer = CircuitBreakerLayer::new();
    let mut service = layer.layer(leaf);
    mock.allow(0);
    let mut ready = task::spawn(service.ready());
    assert_pending!(ready.poll());
    mock.allow(1);
    assert!(ready.is_woken());
    let call = assert_ready!(ready.poll()).expect("ready").call(chat(false));
    drop(ready);
    let mut call = task::spawn(call);
    assert_pending!(call.poll());
    let (_, respond) = assert_ready!(task::spawn(mock.next_request()).poll()).expect("a request");
    respond.send_response(Response::default());
    call.await.expect("an answer");

    mock.send_error("gone");
    let error = service.ready().await.map(drop).expect_err("a service that is gone says so");
    assert!(matches!(error, Error::Transport(_)));
}

#[tokio::test(start_paused = true)]
async fn alone_it_fails_fast_though_the_service_below_is_busy() {
    let layer = layer(exact());
    let handle = layer.handle();
    let hangs = service_fn(|_: Request<Plain>| std::future::pending::<Result<Response<Plain>, Infallible>>());
    let service = ServiceBuilder::new().layer(layer).layer(ConcurrencyLimitLayer::new(1)).service(hangs);
    let mut hanging = service.clone();
    let _hanging = hanging.ready().await.expect("ready").call(chat(false));
    assert_pending!(task::spawn(service.clone().oneshot(chat(false))).poll(), "closed: it waits like any other");

    handle.trip_for(BREAK);
    let until = Instant::now() + BREAK;
    let mut waiting = service.clone();
    let ready = assert_ready!(task::spawn(waiting.ready()).poll()).map(drop);
    ready.expect("ready to refuse");
    // Meanwhile the break is over, but the service below never said that it is ready.
    tokio::time::sleep_until(until).await;
    let refused = waiting.call(chat(false)).await.map(drop).expect_err("nothing was ready");
    assert_eq!(refused.rejected().map(Rejected::reason), Some(Reason::CircuitOpen));
    assert_eq!(handle.snapshot().probes, 0, "no probe was spent on it");
    assert_eq!(handle.snapshot().refused, 1, "counted like any other");
    assert_pending!(task::spawn(waiting.ready()).poll(), "now there is something to wait for");
}

#[tokio::test(start_paused = true)]
async fn t4_clones_and_services_share_one_circuit() {
    let layer = layer(exact());
    let [one, other] = [layer.layer(answers(503)), layer.clone().layer(answers(503))];
    for number in 0..5 {
        let service = if number % 2 == 0 { one.clone() } else { other.clone() };
        assert_eq!(call(&service, chat(false)).await.expect("the server's answer"), 503);
    }
    let context = CallContext::new(Call::default(), Instant::now());
    for service in [one.clone(), other] {
        let error = call(&service, chat(false)).await.expect_err("open");
        let rejected = error.rejected().expect("a refusal");
        assert_eq!((rejected.reason(), rejected.by()), (Reason::CircuitOpen, "circuit breaker"));
        assert_eq!(rejected.opens_at(), Some(context.now() + BREAK));
    }
    let gate = layer.availability();
    assert_eq!(gate.admission(&context, context.now()), Admission::Shut(Some(context.now() + BREAK)));
    assert_eq!(gate.admission(&context, context.now() + BREAK), Admission::At(context.now() + BREAK));
}

#[tokio::test(start_paused = true)]
async fn b1_the_balancer_is_told_of_free_probes_and_of_the_lease_of_those_that_are_not() {
    let lease = Duration::from_secs(7);
    let layer = layer(exact().probes(2).probe_lease(lease));
    half_open(&layer.handle(), &layer.layer(answers(500))).await;
    let gate = layer.availability();
    let now = Instant::now();
    let context = CallContext::new(Call::default(), now);
    let mut service = layer.layer(answers(200));
    for _ in 0..2 {
        assert_eq!(gate.admission(&context, now), Admission::At(now));
        drop(service.call(chat(false)));
    }
    let probes = [service.call(chat(false)), service.call(chat(false))];
    assert_eq!(gate.admission(&context, now), Admission::Shut(Some(now + lease)));
    assert_eq!(gate.admission(&context, now + lease), Admission::At(now + lease), "B2");
    assert_eq!(gate.load().in_flight, 2);
    drop(probes);
    assert_eq!(gate.admission(&context, now), Admission::At(now));
    layer.handle().trip();
    assert_eq!(gate.admission(&context, now + lease), Admission::Shut(None));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_no_attempt_and_sends_nothing() {
    let (leaf, mut mock) = tower_test::mock::pair::<Request<Plain>, Response<Plain>>();
    let layer = CircuitBreakerLayer::new();
    layer.handle().trip();
    let mut request = chat(false);
    let context = CallContext::of(&mut request).clone();
    let error = layer.layer(leaf).oneshot(request).await.map(drop).expect_err("open");
    assert_eq!(error.rejected().map(Rejected::opens_at), Some(None));
    assert_eq!((context.attempt_count(), context.last_attempt().is_some()), (0, false));
    assert!(task::spawn(mock.next_request()).poll().map(|request| request.is_none()) != Poll::Ready(false));
    assert_eq!(layer.handle().snapshot().refused, 1);
}

#[tokio::test(start_paused = true)]
async fn time_that_passed_above_the_layer_unnoticed_is_noticed_here() {
    let layer = layer(exact());
    let handle = layer.handle();
    let mut request = chat(false);
    CallContext::of(&mut request);
    half_open(&handle, &layer.layer(answers(500))).await;
    // As of a layer that is not ours and waited: the reading that travels with the call is old.
    assert_eq!(call(&layer.layer(answers(200)), request).await.expect("a probe"), 200);
    assert_eq!(state(&handle), "closed");
}

#[test]
fn t5_futures_and_bodies_are_send_and_sync() {
    fn check<T: Send + Sync + 'static>(_: &T) {}
    fn sent<T: Send>(_: T) {}
    fn body<S, B: Send + Sync + 'static>(_: &S)
    where
        S: Service<Request<Plain>, Response = Response<B>>,
    {
    }
    let layer = CircuitBreakerLayer::new();
    let mut service = layer.layer(simulator());
    let call = service.call(chat(false));
    check(&call);
    check(&service);
    let mut changes = layer.handle().changes();
    check(&changes);
    sent(changes.changed());
    body(&service);
}

#[tokio::test(start_paused = true)]
async fn switched_off_it_refuses_nobody_and_counts_nothing() {
    let layer = CircuitBreakerLayer::off();
    let service = layer.layer(answers(500));
    layer.handle().trip();
    for _ in 0..20 {
        assert_eq!(call(&service, chat(false)).await.expect("an answer"), 500);
    }
    let context = CallContext::new(Call::default(), Instant::now());
    assert_eq!(layer.availability().admission(&context, context.now()), Admission::At(context.now()));
    assert_eq!(layer.handle().snapshot().unhealthy, 0);
}

/// mcp-proxy's default window could never fill, and its breaker never opened.
#[test]
fn a_policy_that_could_never_work_is_refused_and_told_how_it_would() {
    let of = |policy| CircuitBreakerLayer::of(policy).map(drop).map_err(|error| error.to_string());
    let second = Duration::from_secs(1);
    let new = CircuitPolicy::new;
    for policy in [
        new(),
        CircuitPolicy::below_balancer(),
        new().min_calls(100_000).window(second),
        new().failure_ratio(1.0).jitter(1.0),
        new().failure_ratio(None).consecutive_failures(None).hold_throttled(),
        // What no rule looks at need not fit.
        new().failure_ratio(None).min_calls(0).window(Duration::ZERO),
    ] {
        assert_eq!(of(policy.clone()), Ok(()), "{policy:?}");
    }
    let error = CircuitBreakerLayer::of(new().min_calls(100_001).window(second)).map(drop);
    assert_eq!(error, Err(InvalidPolicy::NeverFills { min_calls: 100_001, window: second, most: 100_000 }));
    for (policy, setting, remedy) in [
        (new().min_calls(4_000_000), "min_calls is 4000000", "lower it"),
        (new().min_calls(0), "min_calls is 0", "above"),
        (new().window(Duration::from_millis(9)), "window is 9ms", "10ms or more"),
        (new().failure_ratio(0.0), "failure_ratio is 0", "above 0 and at most to 1"),
        (new().failure_ratio(50.0), "failure_ratio is 50", "above 0 and at most to 1"),
        (new().failure_ratio(f64::NAN), "failure_ratio is NaN", "above 0 and at most to 1"),
        (new().slow_first_bytes(second, 1.01), "slow_first_bytes is 1.01", "above 0 and at most to 1"),
        (new().slow_first_bytes(Duration::ZERO, 0.5), "slow_first_bytes is 0", "above"),
        (new().consecutive_failures(0), "consecutive_failures is 0", "above"),
        (new().probes(0), "probes is 0", "above"),
        (new().successes_to_close(0), "successes_to_close is 0", "above"),
        (new().probe_lease(Duration::ZERO), "probe_lease is 0", "above"),
        (new().break_time(Duration::ZERO), "break_time is 0", "above"),
        (new().hold_throttled_for(Duration::ZERO), "hold_throttled_for is 0", "above"),
        (new().break_time(61 * second), "break_time is 61s", "raise break_cap"),
        (new().jitter(-0.1), "jitter is -0.1", "from 0"),
        (new().jitter(f64::NAN), "jitter is NaN", "from 0"),
        (new().failure_ratio(None).consecutive_failures(None), "all off", "CircuitBreakerLayer::off"),
    ] {
        let error = of(policy).expect_err(setting);
        assert!(error.contains(setting) && error.contains(remedy), "{error}");
    }
}
