//! What the layer makes of a quota: when calls go, what they are told, what is settled.

use std::{convert::Infallible, task::Poll, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tokio_test::task;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_aoai_core::{
    Admission, Asked, AttemptTimeoutLayer, Call, CallContext, ObserveLayer, PrepareLayer, Reason, Rejected,
    RequestBody, Usage,
};
use tower_aoai_simulator::{Deployment, HeaderStyle, Latency, Scripted, Simulator};
use tower_aoai_token_bucket::{
    Charge, CorrectOnCompletion, Limits, Order, Priority, Quota, Risk, TokenBucketLayer, WindowModel,
};

#[macro_use]
mod common;

use common::{assert_nothing_is_held, chat, simulator};

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
    let said = error.to_string();
    assert!(said.contains("larger than the whole quota") && said.contains("it counts as 10"), "{said}");

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
    let quota = Quota::standard(10_000).accounting(CorrectOnCompletion);
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
async fn a_limit_that_the_server_has_lowered_is_learned_from_its_headers() {
    let simulator = simulator();
    let bucket = TokenBucketLayer::of(Quota::standard(1_000_000));
    let handle = bucket.handle();
    let service = stack!(bucket, simulator.clone());
    simulator.set_tokens_per_minute("gpt-4o", 10_000);
    drop(service.clone().oneshot(chat(1_000, false)).await.expect("an answer"));
    let now = handle.snapshot();
    assert_eq!((now.tokens_limit, now.learned_tokens_per_minute), (10_000, Some(10_000)));
    assert_eq!(handle.limits().tokens_per_minute, Some(1_000_000), "as configured");
    simulator.set_header_style("gpt-4o", HeaderStyle::MinusOne);
    drop(service.clone().oneshot(chat(1_000, false)).await.expect("an answer"));
    assert_eq!(handle.snapshot().tokens_limit, 10_000, "garbage says nothing");
    simulator.set_header_style("gpt-4o", HeaderStyle::Full);
    simulator.set_tokens_per_minute("gpt-4o", 1_000_000);
    tokio::time::advance(Duration::from_secs(5)).await;
    drop(service.oneshot(chat(1_000, false)).await.expect("an answer"));
    let limit = handle.snapshot().tokens_limit;
    assert!((60_000..=110_000).contains(&limit), "1 % of it a second, for ten at most: {limit}");
}

/// Azure spilled the call: the quota headers are the standard deployment's, and the provisioned one has charged nothing.
#[tokio::test(start_paused = true)]
async fn what_azure_itself_has_spilled_teaches_and_costs_the_provisioned_quota_nothing() {
    for spilled in [true, false] {
        let bucket = TokenBucketLayer::of(Quota::provisioned(100_000, 4));
        let handle = bucket.handle();
        let leaf = service_fn(move |_: Request<RequestBody>| async move {
            let used = r#"{"model":"gpt-4o","usage":{"prompt_tokens":1000,"completion_tokens":100}}"#;
            let answer = Response::builder().header("content-type", "application/json");
            let answer = match spilled {
                true => answer
                    .header("x-ms-spillover-from-deployment", "gpt-4o-ptu")
                    .header("x-ms-deployment-name", "gpt-4o")
                    .header("x-ratelimit-limit-tokens", "10000")
                    .header("x-ratelimit-remaining-tokens", "500"),
                false => answer.header("x-ms-deployment-name", "gpt-4o-ptu"),
            };
            Ok::<_, Infallible>(answer.body(Full::<Bytes>::from(used)).expect("a valid response"))
        });
        let answer = stack!(bucket, leaf).oneshot(chat(500, false)).await.expect("an answer");
        let now = handle.snapshot();
        assert_eq!(
            (now.tokens_limit, now.learned_tokens_per_minute, now.others_tokens),
            (100_000, None, 0),
            "{spilled}"
        );
        answer.into_body().collect().await.expect("a whole body");
        assert_eq!(handle.snapshot().tokens_used, if spilled { 0 } else { 1_400 });
        assert_nothing_is_held(&handle, "all is over");
    }
}

/// Azure's documentation: a provisioned deployment above 100 % refuses a call, and adds nothing for it. Others use it, too,
/// or it would not be full.
#[tokio::test(start_paused = true)]
async fn what_a_provisioned_deployment_refuses_is_not_on_its_books() {
    let simulator = simulator();
    simulator.script("gpt-4o").then(Scripted::rate_limited(Duration::from_millis(43)));
    let bucket = TokenBucketLayer::of(Quota::provisioned(37_500, 4));
    let handle = bucket.handle();
    let service = stack!(bucket, simulator.clone());
    let refused = service.clone().oneshot(chat(10_000, false)).await.expect("an answer");
    assert_eq!((refused.status().as_u16(), handle.snapshot().throttled), (429, 1));
    drop(refused);
    assert_eq!(handle.snapshot().tokens_used, 0);
    let refused_at = Instant::now();
    drop(service.oneshot(chat(100, false)).await.expect("an answer"));
    let second = simulator.journal().last().expect("it was sent").arrived;
    assert!(second - refused_at <= Duration::from_millis(150), "{:?} for a hint of 43 ms", second - refused_at);
}

/// Two processes that know nothing of each other share a deployment: who looks at the headers does without 429s.
#[tokio::test(start_paused = true)]
async fn who_shares_a_deployment_sees_the_others_in_the_headers() {
    let mut refused = Vec::new();
    for heeded in [true, false] {
        let simulator = Simulator::builder()
            .deployment(Deployment::standard("gpt-4o").tokens_per_minute(60_000).requests_per_minute(60_000))
            .latency(Latency::instant().network(Duration::from_millis(5), Duration::from_millis(5)))
            .build();
        let layers = [(); 2].map(|()| {
            let quota = Quota::standard(60_000);
            TokenBucketLayer::of(if heeded { quota } else { quota.ignore_headers() })
        });
        let mut calls = tokio::task::JoinSet::new();
        for number in 0..720 {
            let service = stack!(layers[number % 2].clone(), simulator.clone());
            calls.spawn(async move {
                tokio::time::sleep(Duration::from_millis(250 * number as u64)).await;
                let answer = service.oneshot(chat(500, false)).await.expect("an answer");
                let _ = answer.into_body().collect().await;
            });
        }
        tokio::time::sleep(Duration::from_secs(180)).await;
        drop(calls);
        refused.push(simulator.journal().iter().filter(|served| served.refused.is_some()).count());
        let others = layers[0].handle().snapshot().others_tokens;
        assert_eq!(others > 10_000, heeded, "{others}");
    }
    assert!(refused[0] * 4 <= refused[1], "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn c3_overload_lowers_the_limit_of_calls_in_flight_and_a_spent_quota_does_not() {
    let simulator = simulator();
    let bucket = TokenBucketLayer::of(Quota::new(Limits::new().adaptive_in_flight(2, 100)));
    let handle = bucket.handle();
    let limit_after = async |scripted: Scripted| {
        simulator.script("gpt-4o").then(scripted);
        let timeout = AttemptTimeoutLayer::new().first_byte(Duration::from_secs(20));
        let service = ServiceBuilder::new().layer(PrepareLayer::new()).layer(bucket.clone()).layer(ObserveLayer::new());
        if let Ok(answer) = service.layer(timeout).service(simulator.clone()).oneshot(chat(1, false)).await {
            let _ = answer.into_body().collect().await;
        }
        handle.snapshot().in_flight_limit
    };
    assert_eq!(limit_after(Scripted::rate_limited(Duration::from_millis(1))).await, 100);
    assert_eq!(limit_after(Scripted::status(400)).await, 100);
    assert_eq!(limit_after(Scripted::ok()).await, 100);
    assert_eq!(limit_after(Scripted::status(503)).await, 90);
    assert_eq!(limit_after(Scripted::no_capacity()).await, 81);
    assert_eq!(limit_after(Scripted::hang()).await, 72, "nothing came in time");
    assert_eq!(limit_after(Scripted::status(500)).await, 72);
    assert_eq!(limit_after(Scripted::ok()).await, 72, "one in flight says nothing of 72");
    let unobserved = ServiceBuilder::new().layer(bucket.clone()).service(simulator.clone());
    simulator.script("gpt-4o").then(Scripted::status(503));
    drop(unobserved.oneshot(chat(1, false)).await.expect("an answer"));
    assert_eq!(handle.snapshot().in_flight_limit, 65);
    assert_nothing_is_held(&handle, "all is over");
}

#[tokio::test(start_paused = true)]
async fn missing_capacity_and_spent_requests_do_not_lower_the_share_of_the_tokens() {
    for (scripted, is_lowered) in
        [(Scripted::no_capacity(), false), (Scripted::rate_limited(Duration::from_secs(1)), true)]
    {
        let simulator = simulator();
        simulator.script("gpt-4o").then(scripted);
        let bucket = TokenBucketLayer::of(Quota::standard(60_000));
        let handle = bucket.handle();
        let before = handle.snapshot().share_per_mille;
        drop(stack!(bucket, simulator).oneshot(chat(100, false)).await.expect("an answer"));
        let now = handle.snapshot();
        assert_eq!((now.throttled, now.share_per_mille < before), (1, is_lowered));
    }
}

/// Of a stream that its caller leaves, what was seen of it; on a standard deployment the whole estimate.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_left_half_way_is_settled_with_what_was_seen_where_the_server_corrects() {
    for corrects in [true, false] {
        let quota = Quota::standard(10_000);
        let bucket = TokenBucketLayer::of(if corrects { quota.accounting(CorrectOnCompletion) } else { quota });
        let handle = bucket.handle();
        let answer = stack!(bucket, simulator()).oneshot(chat(5_000, true)).await.expect("an answer");
        let mut body = answer.into_body();
        for _ in 0..12 {
            body.frame().await.expect("more to come").expect("no error");
        }
        drop(body);
        assert_nothing_is_held(&handle, "it was left");
        let used = handle.snapshot().tokens_used;
        if corrects {
            assert!((10..100).contains(&used), "a prompt of about ten, and a token an event: {used}");
        } else {
            assert!(used >= 5_000, "nothing is given back: {used}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn lengths_are_learned_and_used_where_the_server_estimates_what_is_not_limited() {
    let simulator = Simulator::builder()
        .deployment(Deployment::standard("gpt-4o").tokens_per_minute(10_000_000).requests_per_minute(100_000))
        .build();
    let bucket = TokenBucketLayer::of(Quota::standard(10_000_000).accounting(CorrectOnCompletion));
    let handle = bucket.handle();
    let unlimited = || {
        Request::post("http://localhost/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
            .body(common::Plain::from(r#"{"messages":[{"role":"user","content":"Say it."}]}"#))
            .expect("a valid request")
    };
    let asked = CallContext::new(Call::default(), Instant::now());
    assert!(handle.predict(&asked).is_none());
    for _ in 0..200 {
        let answer = stack!(bucket.clone(), simulator.clone()).oneshot(unlimited()).await.expect("an answer");
        answer.into_body().collect().await.expect("a whole body");
    }
    let outputs: Vec<_> = simulator.journal().iter().map(|served| served.completion_tokens).collect();
    let mean = outputs.iter().sum::<u64>() as f64 / outputs.len() as f64;
    let told = handle.predict(&asked).expect("200 are known");
    assert!((told.mean() - mean).abs() <= mean * 0.1, "{} for {mean}", told.mean());
    let before = handle.snapshot().tokens_used;
    let foretold = handle.charge(&asked).tokens as f64;
    assert!((foretold - mean).abs() <= mean * 0.1 + 20.0, "what is asked beforehand is what is charged: {foretold}");
    let answer = stack!(bucket, simulator).oneshot(unlimited()).await.expect("an answer");
    let charged = handle.snapshot().tokens_used - before;
    assert!((charged as f64 - mean).abs() <= mean * 0.1 + 20.0, "{charged} for {mean}");
    drop(answer);
}

#[tokio::test(start_paused = true)]
async fn l7_availability_knows_the_class_of_the_call_and_is_kept() {
    let ageing = Duration::from_secs(10);
    let bucket = TokenBucketLayer::of(Quota::standard(1_000).guard(Duration::ZERO).order(Order::Priority { ageing }));
    let handle = bucket.handle();
    let now = Instant::now();
    handle.acquire(Charge::tokens(1_000)).await.expect("a permit").sent();
    let mut waits = task::spawn(handle.acquire(Charge::tokens(600)).priority(Priority(3)));
    assert!(waits.poll().is_pending());
    let mut call = Call::default();
    call.max_output_tokens = Some(600);
    for (class, minute) in [(0, 1), (2, 1), (4, 2)] {
        let mut context = CallContext::new(call.clone(), now);
        context.set_priority(Priority(class));
        let told = now + Duration::from_secs(60 * minute);
        assert_eq!(bucket.availability().admission(&context, now), Admission::At(told), "class {class}");
    }
    let mut urgent = handle.acquire(Charge::tokens(600)).priority(Priority(2)).await.expect("a permit");
    assert_eq!(Instant::now(), now + Duration::from_secs(60));
    urgent.sent();
    drop(waits.await.expect("a permit"));
    assert_eq!(Instant::now(), now + Duration::from_secs(120));
}
