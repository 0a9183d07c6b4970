//! Every kind of alert, by a stack over the simulator: once when it begins, once when it is over.
#![cfg(feature = "statistics")]

mod one_endpoint;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use one_endpoint::{Layers, chat, cost, message, small};
use parking_lot::Mutex;
use tokio::time::Instant;
use tower_aoai::{
    circuit_breaker::{CircuitBreakerHandle, CircuitBreakerLayer, CircuitPolicy, CircuitState},
    context_window::{ContextWindowLayer, Model, Models, Policy},
    core::Outcome,
    cost::{Budget, Money, Period},
    statistics::{
        EndpointHandles, LegHandles, ModelHandles, Settings, StackHandles, Statistics,
        alerts::{AlertKind, Phase, Severity},
    },
    telemetry::{AttemptRecord, CallEnding, CallRecord},
    token_bucket::{Quota, TokenBucketLayer},
};
use tower_aoai_simulator::{Deployment, Latency, Scripted, Simulator, SimulatorBuilder};

use Phase::{Raised, Resolved};

fn simulator() -> Simulator {
    Simulator::builder().deployment(Deployment::unlimited("gpt-4o")).build()
}

fn seconds(from: u64, until: u64) -> (Instant, Instant) {
    let now = Instant::now();
    (now + Duration::from_secs(from), now + Duration::from_secs(until))
}

#[tokio::test(start_paused = true)]
async fn without_a_cause_there_is_no_alert() {
    let mut bench = Layers::default().over(&simulator());
    bench.calls(600, small).await;
    assert_eq!(bench.turns(), []);
    assert_eq!(bench.statistics.snapshot().total.answered, 600);
}

#[tokio::test(start_paused = true)]
async fn breaker_open_once_for_each_outage_however_often_it_is_probed() {
    let simulator = simulator();
    for outage in [10, 400] {
        let (from, until) = seconds(outage, outage + 90);
        simulator.script("gpt-4o").during(from, until, Scripted::plain_text_503());
    }
    let mut bench = Layers::default().over(&simulator);
    bench.calls(300, small).await;
    let told = bench.told();
    assert_eq!(
        told.iter().map(|alert| (alert.kind, alert.phase, alert.episode)).collect::<Vec<_>>(),
        [(AlertKind::BreakerOpen, Raised, 1), (AlertKind::BreakerOpen, Resolved, 1)]
    );
    assert_eq!((&*told[0].subject, told[0].severity), ("eastus", Severity::Warning));
    assert!(told[0].words.contains("failures"), "{}", told[0].words);
    let lasted = told[1].figures["lasted_seconds"];
    assert!((145.0..200.0).contains(&lasted), "the outage, a break, and a minute of calm: {lasted}");
    bench.calls(300, small).await;
    assert_eq!(bench.turns(), [(AlertKind::BreakerOpen, Raised), (AlertKind::BreakerOpen, Resolved)]);
    assert!(bench.statistics.snapshot().endpoints[0].breaker.as_ref().is_some_and(|breaker| breaker.opened > 4));
}

#[tokio::test(start_paused = true)]
async fn breaker_open_is_told_also_where_it_closed_before_anybody_looked() {
    let simulator = simulator();
    simulator.script("gpt-4o").times(5, &Scripted::plain_text_503());
    let policy = CircuitPolicy::new().fixed_break(Duration::from_millis(100)).successes_to_close(1);
    let breaker = CircuitBreakerLayer::of(policy).expect("a valid policy");
    let handle = breaker.handle();
    let mut bench = Layers { breaker, ..Layers::default() }.over(&simulator);
    for _ in 0..5 {
        assert!(!bench.call(small()).await);
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(bench.call(small()).await);
    assert_eq!((handle.snapshot().opened, handle.snapshot().state), (1, CircuitState::Closed));
    assert_eq!(bench.turns(), []);
    bench.quiet(1).await;
    assert_eq!(bench.turns(), [(AlertKind::BreakerOpen, Raised)]);
    bench.quiet(60).await;
    assert_eq!(bench.turns(), [(AlertKind::BreakerOpen, Resolved)]);
}

#[tokio::test(start_paused = true)]
async fn breaker_open_by_hand_is_told_if_it_lasts() {
    let breaker = CircuitBreakerLayer::new();
    let handle = breaker.handle();
    let mut bench = Layers { breaker, ..Layers::default() }.over(&simulator());
    handle.trip();
    handle.reset();
    bench.quiet(1).await;
    assert_eq!(bench.turns(), []);
    handle.trip();
    bench.quiet(10).await;
    handle.reset();
    bench.quiet(120).await;
    assert_eq!(bench.turns(), [(AlertKind::BreakerOpen, Raised), (AlertKind::BreakerOpen, Resolved)]);
}

#[tokio::test(start_paused = true)]
async fn budget_threshold_once_for_each_share_in_each_period() {
    let budget = Budget::new("all of us", Money::nano_dollars(10_000_000), Period::Hour).alert_at([500, 1_000]);
    let mut bench = Layers { cost: cost().budget(budget), ..Layers::default() }.over(&simulator());
    // Some tenths of a cent each.
    bench.calls(60, small).await;
    let told = bench.told();
    let shares: Vec<_> = told.iter().map(|alert| (alert.kind, alert.phase, alert.severity)).collect();
    assert_eq!(
        shares,
        [
            (AlertKind::BudgetThreshold, Raised, Severity::Warning),
            (AlertKind::BudgetThreshold, Raised, Severity::Critical)
        ]
    );
    assert!(told[1].words.contains("100 % spent"), "{}", told[1].words);
    bench.quiet(3_600).await;
    let over = bench.turns();
    assert_eq!(over, [(AlertKind::BudgetThreshold, Resolved); 2], "with the hour");
    bench.calls(60, small).await;
    assert_eq!(bench.turns(), [(AlertKind::BudgetThreshold, Raised); 2], "and in the next one again");
}

#[tokio::test(start_paused = true)]
async fn budget_refusing_once_however_many_are_refused() {
    let budget = Budget::new("little", Money::nano_dollars(5_000_000), Period::Day).alert_at([]).enforce();
    let mut bench = Layers { cost: cost().budget(budget), ..Layers::default() }.over(&simulator());
    bench.calls(120, small).await;
    assert_eq!(bench.turns(), [(AlertKind::BudgetRefusing, Raised)]);
    assert!(bench.statistics.snapshot().total.refused > 50);
    assert!(bench.statistics.health().reasons.iter().any(|reason| reason.code == "budget_spent"));
    bench.quiet(290).await;
    assert_eq!(bench.turns(), [], "somebody may yet be refused");
    bench.quiet(20).await;
    assert_eq!(bench.turns(), [(AlertKind::BudgetRefusing, Resolved)]);
}

#[tokio::test(start_paused = true)]
async fn unknown_price_once_for_each_model() {
    let deployments = ["one", "two"].map(|name| Deployment::unlimited(name).model(&format!("unheard-of-{name}")));
    let simulator = deployments.into_iter().fold(Simulator::builder(), SimulatorBuilder::deployment).build();
    let mut bench = Layers::default().over(&simulator);
    bench.calls(30, || chat("one", &message(10), 10)).await;
    bench.calls(30, || chat("two", &message(10), 10)).await;
    bench.calls(30, || chat("one", &message(10), 10)).await;
    let told = bench.told();
    let subjects: Vec<_> = told.iter().map(|alert| (alert.kind, alert.phase, &*alert.subject)).collect();
    assert_eq!(
        subjects,
        [(AlertKind::UnknownPrice, Raised, "unheard-of-one"), (AlertKind::UnknownPrice, Raised, "unheard-of-two")]
    );
    bench.quiet(3_700).await;
    assert_eq!(bench.turns(), [(AlertKind::UnknownPrice, Resolved); 2]);
}

#[tokio::test(start_paused = true)]
async fn truncation_above_a_fifth_and_not_again_while_it_swings() {
    let models = Models::empty().insert("gpt-4o", Model::new(1_000));
    let window = ContextWindowLayer::new().models(models).policy(Policy::truncate());
    let mut bench = Layers { window, ..Layers::default() }.over(&simulator());
    let long = || chat("gpt-4o", &vec![message(200); 10].join(","), 100);
    for call in 0..200 {
        bench.call(if call % 10 == 0 { long() } else { small() }).await;
        bench.quiet(1).await;
    }
    assert_eq!(bench.turns(), [], "a tenth");
    for call in 0..600 {
        // From 18 % to 22 %, and back.
        let every = if call / 100 % 2 == 0 { 9 } else { 11 };
        bench.call(if call * 2 % every < 2 { long() } else { small() }).await;
        bench.quiet(1).await;
    }
    assert_eq!(bench.turns(), [(AlertKind::Truncation, Raised)]);
    assert!(bench.statistics.insights().recommendations.iter().all(|advice| advice.code != "fix_configuration"));
    bench.calls(400, small).await;
    assert_eq!(bench.turns(), [(AlertKind::Truncation, Resolved)]);
}

#[tokio::test(start_paused = true)]
async fn queue_wait_once_while_calls_wait_longer_than_ten_seconds() {
    let bucket = TokenBucketLayer::of(Quota::standard(2_000));
    let mut bench = Layers { bucket, ..Layers::default() }.over(&simulator());
    let client = bench.client.clone();
    for _ in 0..60 {
        let client = client.clone();
        tokio::spawn(async move { tower::ServiceExt::oneshot(client, small()).await.map(drop) });
    }
    bench.quiet(1_200).await;
    let told = bench.told();
    assert_eq!(
        told.iter().map(|alert| (alert.kind, alert.phase)).collect::<Vec<_>>(),
        [(AlertKind::QueueWait, Raised), (AlertKind::QueueWait, Resolved)]
    );
    assert!(told[0].figures["queued"] > 30.0 && told[0].figures["wait_seconds"] >= 10.0, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn misconfigured_once_until_it_answers_a_call() {
    let simulator = simulator();
    let (from, until) = seconds(20, 60);
    simulator.script("gpt-4o").during(from, until, Scripted::permission_denied());
    let mut bench = Layers::default().over(&simulator);
    bench.calls(40, small).await;
    let told = bench.told();
    assert_eq!((told.len(), told[0].kind, told[0].severity), (1, AlertKind::Misconfigured, Severity::Critical));
    let health = bench.statistics.health();
    assert!(!health.is_up() && health.reasons.iter().any(|reason| reason.code == "misconfigured"), "{health}");
    bench.calls(100, small).await;
    assert_eq!(bench.turns(), [(AlertKind::Misconfigured, Resolved)]);
    assert!(bench.statistics.health().is_up());
}

/// One caller's typing error takes nobody out of service: the others' deployment answers.
#[tokio::test(start_paused = true)]
async fn a_deployment_that_only_a_caller_knows_of_is_no_fault_of_the_endpoint() {
    let simulator = simulator();
    let bench = Layers::default().over(&simulator);
    bench.calls(5, small).await;
    bench.calls(3, || chat("gpt-4o-typo", &message(5), 10)).await;
    let snapshot = bench.statistics.snapshot();
    assert_eq!(snapshot.endpoint("eastus").map(|eastus| eastus.attempts.misconfigured), Some(3));
    assert!(snapshot.health.is_up(), "{}", snapshot.health);

    // The one that did answer is gone: nobody is served any more.
    let (from, until) = seconds(0, 60);
    simulator.script("gpt-4o").during(from, until, Scripted::status(404));
    bench.calls(3, small).await;
    assert!(!bench.statistics.health().is_up());
    bench.calls(60, small).await;
    assert!(bench.statistics.health().is_up());
}

#[tokio::test(start_paused = true)]
async fn quota_lowered_once_until_it_is_as_it_was() {
    let simulator = Simulator::builder()
        .latency(Latency::instant())
        .deployment(Deployment::standard("gpt-4o").tokens_per_minute(100_000).requests_per_minute(6_000))
        .build();
    let bucket = TokenBucketLayer::of(Quota::standard(100_000));
    let mut bench = Layers { bucket, ..Layers::default() }.over(&simulator);
    bench.calls(30, small).await;
    assert_eq!(bench.turns(), []);
    assert!(simulator.set_tokens_per_minute("gpt-4o", 40_000));
    bench.calls(120, small).await;
    let told = bench.told();
    assert_eq!(
        told.iter().map(|alert| (alert.kind, alert.phase)).collect::<Vec<_>>(),
        [(AlertKind::QuotaLowered, Raised)]
    );
    assert_eq!(told[0].figures["expected_tokens_per_minute"].to_string(), "100000");
    simulator.set_tokens_per_minute("gpt-4o", 100_000);
    bench.calls(300, small).await;
    assert_eq!(bench.turns(), [(AlertKind::QuotaLowered, Resolved)]);
}

#[tokio::test(start_paused = true)]
async fn what_a_reload_takes_away_is_over() {
    let layers = Layers::default();
    let (without, breaker) = (StackHandles::new("bench"), layers.breaker.handle());
    let mut bench = layers.over(&simulator());
    breaker.trip();
    bench.quiet(2).await;
    bench.statistics.replace(without);
    assert_eq!(bench.turns(), [(AlertKind::BreakerOpen, Raised), (AlertKind::BreakerOpen, Resolved)]);
    assert!(bench.statistics.snapshot().open_alerts.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_slow_listener_loses_the_oldest_and_is_told_how_many_and_a_callback_may_look_and_panic() {
    let endpoints = (0..200).map(|number| EndpointHandles::new(format!("endpoint {number}")));
    let breakers: Vec<_> = (0..200).map(|_| CircuitBreakerLayer::new().handle()).collect();
    let leg = endpoints
        .zip(&breakers)
        .fold(LegHandles::new("all"), |leg, (endpoint, breaker)| leg.endpoint(endpoint.breaker(breaker.clone())));
    let handles = StackHandles::new("many").model(ModelHandles::new("m").leg(leg));
    let statistics = Statistics::with(handles, Settings::new().calm(Duration::ZERO));
    let mut alerts = statistics.alerts();
    let (heard, weak) = (Arc::new(AtomicUsize::new(0)), statistics.clone());
    let count = Arc::clone(&heard);
    statistics.on_alert(move |alert| {
        count.fetch_add(1, SeqCst);
        // It may ask, and look, and fail.
        weak.tick(Instant::now());
        assert!(weak.snapshot().open_alerts.len() <= 200);
        assert!(alert.episode % 50 != 0, "a panic in here is caught");
    });
    breakers.iter().for_each(CircuitBreakerHandle::trip);
    statistics.tick(Instant::now());
    breakers.iter().for_each(CircuitBreakerHandle::reset);
    statistics.tick(Instant::now());
    assert_eq!(heard.load(SeqCst), 400, "each once, and its end once");
    let kept = std::iter::from_fn(|| alerts.try_next()).count() as u64;
    assert_eq!((kept, alerts.missed()), (256, 144));
}

#[test]
fn under_eight_threads_each_episode_is_told_once_and_in_order() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _inside = runtime.enter();
    let breaker = CircuitBreakerLayer::new().handle();
    let leg = LegHandles::new("l").endpoint(EndpointHandles::new("e").breaker(breaker.clone()));
    let settings = Settings::new().calm(Duration::ZERO).look_every(Duration::ZERO);
    let statistics = Statistics::with(StackHandles::new("s").model(ModelHandles::new("m").leg(leg)), settings);
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    statistics.on_alert(move |alert| sink.lock().push((alert.episode, alert.phase)));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (statistics, breaker) = (statistics.clone(), breaker.clone());
            scope.spawn(move || {
                let recorder = statistics.recorder();
                for step in 0..300 {
                    match (thread, step % 4) {
                        (0, 0) => breaker.trip(),
                        (0, 2) => breaker.reset(),
                        _ => {}
                    }
                    let now = Instant::now();
                    recorder.attempt(&AttemptRecord::new("e", Outcome::Success, now));
                    recorder.call(&CallRecord::new(CallEnding::Answered, now));
                    statistics.tick(now);
                }
            });
        }
    });
    breaker.reset();
    statistics.tick(Instant::now());
    let told = told.lock();
    let episodes = told.len() as u64 / 2;
    let expected: Vec<_> = (1..=episodes).flat_map(|episode| [(episode, Raised), (episode, Resolved)]).collect();
    assert!(episodes > 10, "{episodes}");
    assert_eq!(*told, expected);
    assert_eq!(statistics.snapshot().total.calls, 2_400);
}

#[tokio::test(start_paused = true)]
async fn who_keeps_watch_tells_without_calls_and_ends_with_the_statistics() {
    let breaker = CircuitBreakerLayer::new().handle();
    let leg = LegHandles::new("l").endpoint(EndpointHandles::new("e").breaker(breaker.clone()));
    let statistics = Statistics::new(StackHandles::new("watched").model(ModelHandles::new("m").leg(leg)));
    let mut alerts = statistics.alerts();
    let watch = tokio::spawn(statistics.keep_watch());
    tokio::time::sleep(Duration::from_secs(1)).await;
    breaker.trip();
    assert_eq!(alerts.next().await.map(|alert| alert.kind), Some(AlertKind::BreakerOpen));
    drop(statistics);
    watch.await.expect("it ends");
    assert_eq!(alerts.next().await, None);
}
