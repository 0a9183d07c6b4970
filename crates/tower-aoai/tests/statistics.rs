//! What statistics tell of stacks over the simulator: snapshot, health, insights, risk, all stacks, and the webhook.
#![cfg(feature = "statistics")]

mod one_endpoint;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::AUTHORIZATION, header::HeaderValue};
use http_body_util::{BodyExt, Full};
use one_endpoint::{Layers, bare, chat, message, small};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_aoai::{
    balance::{BalanceLayer, Member},
    circuit_breaker::CircuitBreakerLayer,
    core::{ObserveLayer, Outcome, PrepareLayer, Usage},
    cost::{Budget, CostLayer, Money, Period, Tag, Tags},
    retry_after::{RetryAfterLayer, RetryPolicy},
    statistics::{
        Direction, EndpointHandles, HealthStatus, LegHandles, ModelHandles, PlannedCall, StackHandles, Statistics,
        Verdict,
        alerts::{Webhook, WebhookCounts},
        all_stacks,
    },
    telemetry::{AttemptRecord, AttemptTelemetryLayer, CallEnding, CallRecord},
    token_bucket::{Charge, Quota, TokenBucketLayer},
};
use tower_aoai_simulator::{CompletionLength, Deployment, Latency, Scripted, Simulator};

const SECOND: Duration = Duration::from_secs(1);

fn simulator() -> Simulator {
    let latency = Latency::instant().first_token(Duration::from_millis(40));
    let builder = Simulator::builder().latency(latency).completion_length(CompletionLength::Uniform(20, 60));
    builder.deployment(Deployment::unlimited("gpt-4o")).build()
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_has_every_layers_figures_and_they_agree_with_what_the_server_did() {
    let simulator = simulator();
    simulator
        .script("gpt-4o")
        .times(3, &Scripted::rate_limited(SECOND))
        .times(2, &Scripted::status(500))
        .then(Scripted::content_filter());
    let bench = Layers { retry: RetryAfterLayer::new(RetryPolicy::new().max_attempts(6)).seed(1), ..Layers::default() }
        .over(&simulator);
    bench.calls(50, small).await;
    let snapshot = bench.statistics.snapshot();
    let journal = simulator.journal();
    let total = snapshot.total;
    assert_eq!((total.calls, total.callers_own, total.answered), (50, 1, 49));
    assert_eq!((total.attempts, total.throttled, total.retries), (journal.len() as u64, 3, 5));
    assert_eq!(total.waited_seconds > 3.0, total.waited > 0);
    let eastus = snapshot.endpoint("eastus").expect("there is one");
    assert_eq!((eastus.attempts.throttled, eastus.attempts.transient, eastus.attempts.refused), (3, 2, 1));
    let sent: u64 = journal
        .iter()
        .filter(|served| served.status == Some(StatusCode::OK))
        .map(|served| served.completion_tokens)
        .sum();
    assert_eq!((eastus.tokens.output, total.tokens.output), (sent, sent));
    let first_byte = eastus.first_byte_seconds.expect("answers");
    assert!((first_byte.p50 - 0.04).abs() < 0.002 && first_byte.count == 49, "{first_byte:?}");
    assert_eq!(eastus.breaker.as_ref().map(|breaker| (breaker.state, breaker.unhealthy)), Some(("closed", 2)));
    assert_eq!(eastus.quota.map(|quota| (quota.throttled, quota.granted)), Some((3, journal.len() as u64)));
    let retries = snapshot.models[0].legs[0].retries.expect("a retry layer");
    assert_eq!((retries.by_hint, retries.by_backoff), (3, 2));
    assert_eq!(snapshot.context_window.as_ref().map(|window| window.calls), Some(50));
    let spend = snapshot.spend.as_ref().expect("a cost layer");
    let booked = spend.exact_nano_dollars + spend.estimated_nano_dollars;
    assert!(booked > 0 && booked == total.spend_nano_dollars, "{booked} and {}", total.spend_nano_dollars);
    assert_eq!(snapshot.health.status, HealthStatus::Ok, "{}", snapshot.health);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_as_json_keeps_its_shape_and_as_words_has_a_row_for_each_endpoint() {
    let bench = Layers::default().over(&simulator());
    bench.calls(5, small).await;
    let snapshot = bench.statistics.snapshot();
    let json = serde_json::to_value(&snapshot).expect("it is serialisable");
    for pointer in [
        "/name",
        "/at",
        "/uptime_seconds",
        "/health/status",
        "/health/reasons",
        "/total/calls",
        "/total/tokens/input",
        "/last_5_minutes/answered",
        "/duration_seconds/p99",
        "/waited_seconds/max",
        "/models/0/legs/0/retries/by_hint",
        "/endpoints/0/breaker/state",
        "/endpoints/0/quota/used_share",
        "/endpoints/0/quota/queued",
        "/endpoints/0/attempts/success",
        "/endpoints/0/first_byte_seconds/p50",
        "/context_window/truncated_share",
        "/spend/exact_nano_dollars",
        "/spend/cost",
        "/open_alerts",
        "/alerts_told",
        "/alerts_lost",
    ] {
        assert!(json.pointer(pointer).is_some_and(|value| !value.is_null()), "{pointer} of {json:#}");
    }
    assert_eq!(json["at"], 1_795_125_605.2);
    let words = snapshot.to_string();
    let row = words.lines().find(|line| line.trim_start().starts_with("eastus")).expect("a row");
    assert!(words.starts_with("stack bench") && row.contains("closed"), "{words}");
    let of_endpoints = words.lines().filter(|line| line.starts_with("  "));
    assert!(of_endpoints.map(|line| line.chars().count()).max().is_some_and(|width| width <= 100), "{words}");
}

#[tokio::test(start_paused = true)]
async fn health_is_degraded_with_one_endpoint_less_and_down_without_any_and_a_reset_brings_it_back() {
    let breakers = ["eastus", "sweden"].map(|name| (name, CircuitBreakerLayer::new().handle()));
    let leg = breakers.iter().fold(LegHandles::new("standard"), |leg, (name, breaker)| {
        leg.endpoint(EndpointHandles::new(*name).breaker(breaker.clone()))
    });
    let model = |name: &str| ModelHandles::new(name).leg(leg.clone());
    let statistics = Statistics::new(StackHandles::new("two").model(model("a")).model(model("b")));
    assert_eq!(statistics.snapshot().endpoints.len(), 2, "each endpoint once, though two models share it");
    assert_eq!(statistics.health().status, HealthStatus::Ok);
    breakers[0].1.trip_for(30 * SECOND);
    let health = statistics.health();
    assert_eq!(
        (health.status, health.reasons[0].code, health.reasons[0].for_seconds),
        (HealthStatus::Degraded, "breaker_open", Some(30.0))
    );
    breakers[1].1.trip();
    let health = statistics.health();
    assert_eq!((health.status, health.reasons[0].code), (HealthStatus::Down, "no_endpoint"));
    assert_eq!(health.reasons.iter().filter(|reason| reason.brings == HealthStatus::Down).count(), 2, "each model");

    let unknown = statistics.reset_breaker("westus").expect_err("there is none");
    assert_eq!(unknown.to_string(), r#"no endpoint named "westus" has a circuit breaker; there are: eastus, sweden"#);
    statistics.reset_breaker("eastus").expect("there is one");
    assert_eq!(statistics.health().status, HealthStatus::Degraded);
    statistics.reset_breakers();
    assert_eq!(statistics.health().status, HealthStatus::Ok);
}

#[tokio::test(start_paused = true)]
async fn health_is_down_where_nothing_is_answered_and_not_for_callers_own_faults() {
    let statistics = bare("failing");
    let recorder = statistics.recorder();
    let ended = |ending| recorder.call(&CallRecord::new(ending, Instant::now()));
    for _ in 0..100 {
        ended(CallEnding::Failed(Outcome::Refused));
        ended(CallEnding::Cancelled);
    }
    assert_eq!(statistics.health().status, HealthStatus::Ok);
    for _ in 0..20 {
        ended(CallEnding::Failed(Outcome::Transient { hint: None }));
    }
    assert_eq!(statistics.health().reasons[0].code, "nothing_answered");
    ended(CallEnding::Answered);
    assert_eq!(statistics.health().status, HealthStatus::Degraded);
    sleep(400 * SECOND).await;
    assert_eq!(statistics.health().status, HealthStatus::Ok, "it speaks of the last minutes");
}

/// Calls that ask for 3,072 tokens and get 512 to 636.
fn reserving(statistics: &Statistics, calls: u64) {
    for call in 0..calls {
        let mut record = CallRecord::new(CallEnding::Answered, Instant::now());
        (record.model, record.attempts) = (Some("gpt-4o".into()), 1);
        record.usage = Some(Usage::new(400, 512 + call % 125));
        record.reserved_output = Some(3_072);
        statistics.recorder().call(&record);
    }
}

#[tokio::test(start_paused = true)]
async fn insights_say_how_much_of_what_is_reserved_is_used_and_what_a_lower_limit_would_serve() {
    let bucket = TokenBucketLayer::of(Quota::standard(347_200).requests_per_minute(240)).handle();
    let leg = LegHandles::new("l").endpoint(EndpointHandles::new("eastus").bucket(bucket));
    let statistics = Statistics::new(StackHandles::new("reserving").model(ModelHandles::new("m").leg(leg)));
    reserving(&statistics, 99);
    let insights = statistics.insights();
    assert!(insights.recommendations.is_empty(), "99 are too few: {insights}");
    assert!(insights.too_little.iter().any(|what| what.contains("needs 100")), "{insights}");
    reserving(&statistics, 901);
    let insights = statistics.insights();
    let reserved = &insights.reservations[0];
    assert!((reserved.times_used - 3_072.0 / 573.5).abs() < 0.05, "{reserved:?}");
    let advice = &insights.recommendations[0];
    assert_eq!((advice.code, &*advice.subject), ("lower_max_tokens", "gpt-4o"));
    let figures = &advice.figures;
    assert_eq!(figures["suggested_max_tokens"].to_string(), "640", "99 of 100 have at most 635");
    // 347,200 / 3,472 and 347,200 / 1,040; of requests there are 240.
    assert!((figures["calls_per_minute"] - 100.0).abs() < 0.1, "{figures:?}");
    assert!((figures["calls_per_minute_then"] - 240.0).abs() < 0.1, "the requests bind: {figures:?}");
    assert!(
        advice.words.starts_with("you reserve 5.4x what you use") && advice.words.contains("serve 2.4x the calls"),
        "{advice}"
    );
    sleep(2 * 3_600 * SECOND).await;
    assert!(statistics.insights().recommendations.is_empty(), "and forget it");
}

#[tokio::test(start_paused = true)]
async fn insights_recommend_no_lower_limit_where_answers_are_cut_but_a_higher_one() {
    let statistics = bare("cut");
    for call in 0..200_u64 {
        let mut record = CallRecord::new(CallEnding::Answered, Instant::now());
        record.usage = Some(Usage::new(400, if call % 10 == 0 { 1_000 } else { 50 }));
        record.reserved_output = Some(1_000);
        statistics.recorder().call(&record);
    }
    let codes: Vec<_> = statistics.insights().recommendations.iter().map(|advice| advice.code).collect();
    assert_eq!(codes, ["raise_max_tokens"]);
}

#[tokio::test(start_paused = true)]
async fn insights_tell_a_trend_and_where_it_leads() {
    let statistics = bare("rising");
    assert!(statistics.insights().trends.is_empty());
    for minute in 0..40_u64 {
        let rate = if minute < 20 { 20 } else { 20 + (minute - 20) * 10 };
        for _ in 0..rate {
            statistics.recorder().call(&CallRecord::new(CallEnding::Answered, Instant::now()));
        }
        sleep(60 * SECOND).await;
    }
    let insights = statistics.insights();
    let calls = insights.trends.iter().find(|trend| trend.figure == "calls").expect("40 minutes are enough");
    assert_eq!(calls.direction, Direction::Rising);
    assert!(calls.ratio.is_some_and(|ratio| ratio > 2.0), "{calls}");
    let soon = insights.forecast.calls_per_minute.expect("15 minutes are enough");
    assert!((soon - 260.0).abs() < 1.0, "210 now, and 10 more a minute: {soon}");
    assert_eq!(insights.peaks.calls_per_minute, 210);
    assert!(
        insights
            .trends
            .iter()
            .filter(|trend| trend.figure != "calls")
            .all(|trend| trend.direction == Direction::Steady)
    );
}

#[tokio::test(start_paused = true)]
async fn risk_says_now_waits_spills_or_cannot_and_reserves_nothing() {
    let bucket = |tokens| TokenBucketLayer::of(Quota::standard(tokens).guard(Duration::ZERO)).handle();
    let (first, second, breaker) = (bucket(1_000), bucket(10_000), CircuitBreakerLayer::new().handle());
    let ptu = LegHandles::new("ptu").patience(5 * SECOND).endpoint(EndpointHandles::new("ptu-1").bucket(first.clone()));
    let standard = EndpointHandles::new("eastus").bucket(second.clone()).breaker(breaker.clone());
    let model = ModelHandles::new("gpt-4o").leg(ptu).leg(LegHandles::new("standard").endpoint(standard));
    let statistics = Statistics::new(StackHandles::new("risky").model(model));
    let risk = |prompt, output| statistics.risk(&PlannedCall::new("gpt-4o", prompt, output));

    assert_eq!(risk(100, 100).verdict, Verdict::Now { leg: "ptu".into(), endpoint: "ptu-1".into() });
    first.acquire(Charge::tokens(900)).await.expect("room").sent();
    sleep(57 * SECOND).await;
    let waits = risk(100, 100);
    assert_eq!(waits.to_string(), "waits about 3.0 s for ptu-1");
    // The same a while before is too long.
    first.acquire(Charge::tokens(100)).await.expect("room").sent();
    let large = risk(500, 450);
    assert_eq!(
        large.to_string(),
        "will spill from ptu to standard: it would wait 60.0 s for ptu-1, and goes on after 5.0 s"
    );
    let by_request = statistics.risk(&PlannedCall::of(
        &Request::post("/openai/v1/chat/completions")
            .body(r#"{"model":"gpt-4o","messages":"","max_tokens":950}"#)
            .expect("valid"),
    ));
    assert!(matches!(by_request.verdict, Verdict::Spills { .. }), "{by_request}");
    // The only leg has nobody to leave the call to, whatever its patience.
    let alone = LegHandles::new("ptu").patience(SECOND).endpoint(EndpointHandles::new("ptu-1").bucket(first.clone()));
    let alone = Statistics::new(StackHandles::new("alone").model(ModelHandles::new("gpt-4o").leg(alone)));
    let waits = alone.risk(&PlannedCall::new("gpt-4o", 500, 450));
    assert!(matches!(waits.verdict, Verdict::Waits { seconds, .. } if seconds > 50.0), "{waits}");
    let before = (first.snapshot(), second.snapshot());
    assert!(
        risk(500, 20_000).to_string().contains("20500 tokens are more than its whole quota"),
        "{}",
        risk(500, 20_000)
    );
    breaker.trip_for(40 * SECOND);
    let cannot = risk(500, 450);
    assert!(cannot.to_string().contains("eastus is left alone for 40.0 s more; in 40.0 s it could"), "{cannot}");
    assert!(!cannot.is_served());
    assert_eq!((first.snapshot(), second.snapshot()), before);
}

#[tokio::test(start_paused = true)]
async fn risk_says_which_budget_would_refuse_and_whose_it_is_and_asks_it_for_nothing() {
    let budget = |each| Budget::new("each agent", Money::cents(each), Period::Day).each(Tag::Agent).enforce();
    let only = Budget::new("the planner", Money::nano_dollars(1), Period::Total).tag(Tag::Agent, "planner").enforce();
    let layer = CostLayer::new().budget(budget(10)).budget(only);
    let leg = LegHandles::new("standard").endpoint(EndpointHandles::new("eastus"));
    let handles = StackHandles::new("thrifty").cost(layer.handle()).model(ModelHandles::new("gpt-4o").leg(leg));
    let statistics = Statistics::new(handles);
    let before = layer.handle().snapshot();
    let risk = |agent: &str, output| {
        let tags = if agent.is_empty() { Tags::new() } else { Tags::new().agent(agent.to_owned()) };
        statistics.risk(&PlannedCall::new("gpt-4o", 1_000, output).tags(tags))
    };
    assert!(risk("writer", 1_000).is_served() && risk("", 1_000).is_served());
    let dear = risk("writer", 10_000).to_string();
    assert!(
        dear.contains(r#""each agent", $0.10 a day (agent "writer")"#) && dear.contains("may cost $0.11"),
        "{dear}"
    );
    let planner = risk("planner", 1).to_string();
    assert!(planner.contains("\"the planner\""), "no call of it has come yet: {planner}");
    let told = Request::post("/openai/v1/chat/completions").extension(Tags::new().agent("planner"));
    let told = told.body(r#"{"model":"gpt-4o","messages":[],"max_tokens":1}"#).expect("valid");
    assert!(!statistics.risk(&PlannedCall::of(&told)).is_served());
    assert_eq!(layer.handle().snapshot().turned_away, before.turned_away);
    assert_eq!(layer.handle().snapshot().refused, 0);
}

#[tokio::test(start_paused = true)]
async fn risk_knows_for_which_deployment_an_endpoint_is_left_alone() {
    let balance = BalanceLayer::new([Member::new("eastus").layer(ObserveLayer::new())]).expect("a member");
    let leg = LegHandles::new("l").balance(balance.handle()).endpoint(EndpointHandles::new("eastus"));
    let statistics = Statistics::new(StackHandles::new("resting").model(ModelHandles::new("gpt-4o").leg(leg)));
    let service = ServiceBuilder::new().layer(PrepareLayer::new()).layer(balance).service(simulator());
    let answer = service.oneshot(chat("gone", &message(5), 10)).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    drop(answer);
    assert!(statistics.risk(&PlannedCall::new("gpt-4o", 10, 10)).is_served());
    let gone = statistics.risk(&PlannedCall::new("gone", 10, 10));
    assert!(!gone.is_served() && gone.to_string().contains("key, deployment or network rules are wrong"), "{gone}");
}

#[tokio::test(start_paused = true)]
async fn all_stacks_lists_those_that_are_there() {
    let ours = |name: &str| all_stacks().iter().filter(|stack| *stack.name() == *name).count();
    let (one, other) = (bare("listed one"), bare("listed other"));
    let twin = bare("listed one");
    assert_eq!((ours("listed one"), ours("listed other")), (2, 1));
    drop((twin, other));
    assert_eq!((ours("listed one"), ours("listed other")), (1, 0));
    let recorder = one.recorder();
    drop(one);
    assert_eq!(ours("listed one"), 0, "a recorder keeps nothing");
    recorder.call(&CallRecord::new(CallEnding::Answered, Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn statistics_whose_handles_know_layers_that_record_for_them_are_let_go() {
    let statistics = bare("round and round");
    let telemetry = AttemptTelemetryLayer::new("e").recorder(statistics.recorder());
    let balance = BalanceLayer::new([Member::new("e").layer(telemetry)]).expect("a member");
    let leg = LegHandles::new("l").balance(balance.handle()).endpoint(EndpointHandles::new("e"));
    statistics.replace(StackHandles::new("round and round").model(ModelHandles::new("m").leg(leg)));
    drop(statistics);
    assert!(all_stacks().iter().all(|stack| &*stack.name() != "round and round"));
}

#[tokio::test(start_paused = true)]
async fn replacing_the_handles_keeps_the_history_of_endpoints_that_stay() {
    let statistics = bare("reloaded");
    let handles = |names: &[&str]| {
        let leg = names.iter().fold(LegHandles::new("l"), |leg, name| leg.endpoint(EndpointHandles::new(*name)));
        StackHandles::new("reloaded").model(ModelHandles::new("m").leg(leg))
    };
    statistics.replace(handles(&["stays", "goes"]));
    for name in ["stays", "goes", "stays"] {
        statistics.recorder().attempt(&AttemptRecord::new(name, Outcome::Success, Instant::now()));
    }
    statistics.replace(handles(&["stays", "comes"]));
    let snapshot = statistics.snapshot();
    let counts: Vec<_> =
        snapshot.endpoints.iter().map(|endpoint| (&*endpoint.name, endpoint.attempts.success)).collect();
    assert_eq!(counts, [("stays", 2), ("comes", 0)]);
}

/// Raises one alert.
fn misconfigured(statistics: &Statistics, handles: &[&str]) {
    for name in handles {
        statistics.recorder().attempt(&AttemptRecord::new(*name, Outcome::Misconfigured, Instant::now()));
    }
    statistics.tick(Instant::now());
}

fn with_endpoints(names: &[&str]) -> Statistics {
    let leg = names.iter().fold(LegHandles::new("l"), |leg, name| leg.endpoint(EndpointHandles::new(*name)));
    Statistics::new(StackHandles::new("hooked").model(ModelHandles::new("m").leg(leg)))
}

#[tokio::test(start_paused = true)]
async fn the_webhook_posts_json_tries_again_and_gives_up_after_as_often_as_stated() {
    let statistics = with_endpoints(&["a", "b", "c"]);
    let (posted, failures) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(2)));
    let (sink, fails) = (Arc::clone(&posted), Arc::clone(&failures));
    let start = Instant::now();
    let client = service_fn(move |request: Request<Full<Bytes>>| {
        let (sink, fails) = (Arc::clone(&sink), Arc::clone(&fails));
        async move {
            assert_eq!(request.headers()[AUTHORIZATION], "Bearer secret");
            let body = request.into_body().collect().await?.to_bytes();
            let alert: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            let subject = alert["subject"].as_str().expect("a subject").to_owned();
            sink.lock().push((subject.clone(), (Instant::now() - start).as_secs()));
            let status = match &*subject {
                "a" if fails.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() => 503,
                "b" => 403,
                "c" => 500,
                _ => 204,
            };
            let response = Response::builder().status(status).body(Full::<Bytes>::default());
            Ok::<_, Infallible>(response.expect("a valid response"))
        }
    });
    let key = HeaderValue::from_static("Bearer secret");
    let address = "https://hooks.contoso.com/T0/secret".parse().expect("valid");
    let webhook = Webhook::new(client, address).header(AUTHORIZATION, key).attempts(3);
    assert!(!format!("{webhook:?}").contains("secret"));
    let handle = webhook.handle();
    let running = tokio::spawn(webhook.run(statistics.alerts()));
    misconfigured(&statistics, &["a", "b", "c"]);
    handle.finish();
    let counts: WebhookCounts = running.await.expect("no panic");
    assert_eq!((counts.delivered, counts.failed, counts.missed, counts.attempts), (1, 2, 0, 7));
    let (s, posted) = (str::to_owned, posted.lock());
    // After 1 s and 2 s; a final answer; after 1 s and 2 s, and given up.
    let expected =
        [("a", 0), ("a", 1), ("a", 3), ("b", 3), ("c", 3), ("c", 4), ("c", 6)].map(|(name, at)| (s(name), at));
    assert_eq!(*posted, expected);
    assert_eq!(handle.snapshot(), counts);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_hangs_delays_no_call_and_what_it_loses_is_counted() {
    let names: Vec<String> = (0..300).map(|number| format!("endpoint {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let statistics = with_endpoints(&names[..60]);
    let client =
        service_fn(|_: Request<Full<Bytes>>| std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>());
    let webhook = Webhook::new(client, "http://localhost/".parse().expect("valid")).attempts(2);
    let handle = webhook.handle();
    let running = tokio::spawn(webhook.run(statistics.alerts()));
    let before = Instant::now();
    for _ in 0..6 {
        misconfigured(&statistics, &names[..60]);
        // They are gone, and come anew.
        statistics.replace(StackHandles::new("hooked"));
        let leg = names[..60].iter().fold(LegHandles::new("l"), |leg, name| leg.endpoint(EndpointHandles::new(*name)));
        statistics.replace(StackHandles::new("hooked").model(ModelHandles::new("m").leg(leg)));
    }
    assert_eq!(Instant::now(), before, "nobody waits for it");
    assert_eq!(statistics.snapshot().alerts_told, 720);
    handle.finish();
    let counts = running.await.expect("no panic");
    assert_eq!(counts.delivered, 0);
    assert_eq!(counts.failed + counts.missed, 720);
    assert!(counts.missed >= 720 - 257, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn no_debug_of_it_shows_what_a_prompt_says() {
    let bench = Layers::default().over(&simulator());
    let told = r#"{"role":"user","content":"MARKER-PROMPT"}"#;
    bench.call(chat("gpt-4o", told, 5)).await;
    let planned = PlannedCall::of(&Request::post("/openai/v1/chat/completions").body(told).expect("valid"));
    let shown = format!(
        "{:?} {:?} {:?} {:?} {:?}",
        bench.statistics,
        bench.statistics.snapshot(),
        bench.statistics.insights(),
        planned,
        bench.statistics.risk(&planned)
    );
    assert!(!shown.contains("MARKER") && !shown.contains(&message(1)));
}

#[test]
fn t5_statistics_recorders_and_webhooks_are_send_and_sync() {
    fn both<T: Send + Sync + 'static>(_: &T) {}
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _inside = runtime.enter();
    let statistics = Statistics::new(StackHandles::new("sent"));
    both(&statistics);
    both(&statistics.recorder());
    fn sent<T: Send + 'static>(_: T) {}
    sent(statistics.keep_watch());
    let client =
        service_fn(|_: Request<Full<Bytes>>| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) });
    sent(Webhook::new(client, "http://localhost/".parse().expect("valid")).run(statistics.alerts()));
}
