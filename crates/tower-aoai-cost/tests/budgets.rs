//! Budgets, as callers meet them.

mod support;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use parking_lot::Mutex;
use support::{COST, EVENING, Plain, USED, answer, chat, layer, read, small};
use tokio::time::{Instant, advance};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_aoai_core::{
    CallContext, Error, Generator, ObserveLayer, PrepareLayer, Reason, Rejected, RejectedResponseLayer, RequestBody,
};
use tower_aoai_cost::{
    AlertKind, Budget, CostLayer, DeploymentType, Money, Period, Prices, Query, Tag, Tags, UnknownPrice,
};
use tower_aoai_retry_after::{Backoff, RetryAfterLayer, RetryPolicy};

fn serving(
    layer: &CostLayer,
    body: &'static str,
) -> impl Service<
    Request<Plain>,
    Response = Response<impl http_body::Body<Data = Bytes, Error = Error> + use<>>,
    Error = Error,
> + Clone
+ use<> {
    ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(layer.clone())
        .layer(ObserveLayer::new())
        .service(service_fn(move |_: Request<RequestBody>| async move { Ok::<_, Error>(answer(200, body)) }))
}

/// What [`small`] can cost at most: each of its bytes a token.
const fn worst(prompt_bytes: u64) -> Money {
    Money::nano_dollars(prompt_bytes * 2_500 + 10 * 10_000)
}

#[tokio::test(start_paused = true)]
async fn dollar2_a_spent_budget_is_a_typed_error_that_says_when_it_is_renewed_and_nothing_is_sent() {
    let layer = layer().budget(Budget::new("evening", COST, Period::Hour).enforce());
    let sent = Arc::new(Mutex::new(0));
    let count = Arc::clone(&sent);
    let service =
        ServiceBuilder::new().layer(PrepareLayer::new()).layer(layer.clone()).layer(ObserveLayer::new()).service(
            service_fn(move |_: Request<RequestBody>| {
                *count.lock() += 1;
                async { Ok::<_, Error>(answer(200, USED)) }
            }),
        );
    advance(Duration::from_secs(600)).await;
    let error = service.clone().oneshot(small("gpt-4o")).await.map(|_| ()).expect_err("refused");
    let rejected = error.rejected().expect("a refusal");
    assert_eq!((rejected.reason(), rejected.by(), *sent.lock()), (Reason::BudgetSpent, "cost layer", 0));
    assert_eq!(rejected.opens_at(), None, "it is larger than the whole budget, and always will be");
    assert!(error.to_string().contains("more than all of it: ask for fewer output tokens"), "{error}");

    let layer = support::layer().budget(Budget::new("evening", worst(110), Period::Hour).enforce());
    let service = serving(&layer, USED);
    advance(Duration::from_secs(600)).await;
    read(service.clone().oneshot(small("gpt-4o")).await.expect("it fits")).await;
    let error = service.clone().oneshot(small("gpt-4o")).await.map(|_| ()).expect_err("what is left is too little");
    let rejected = error.rejected().expect("a refusal");
    assert_eq!(rejected.opens_at(), Some(Instant::now() + Duration::from_secs(3_000)), "at the full hour");
    assert!(error.to_string().contains(r#"the budget "evening", "#) && error.to_string().contains("spent"), "{error}");
    advance(Duration::from_secs(3_000)).await;
    read(service.oneshot(small("gpt-4o")).await.expect("a new hour")).await;
    assert_eq!(layer.handle().snapshot().refused, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_reaches_callers_as_insufficient_quota() {
    let layer = layer().budget(Budget::new("none", Money::ZERO, Period::Day).enforce());
    let service = ServiceBuilder::new().layer(RejectedResponseLayer::new()).service(serving(&layer, USED));
    let response = service.oneshot(small("gpt-4o")).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let body = read(response).await;
    assert!(String::from_utf8_lossy(&body).contains("insufficient_quota"), "{body:?}");
}

#[tokio::test(start_paused = true)]
async fn where_the_worst_case_is_not_known_an_enforced_budget_refuses() {
    let budget = || Budget::new("b", Money::dollars(1_000), Period::Day).enforce();
    let layer = layer().budget(budget());
    let error = serving(&layer, USED).oneshot(small("mystery")).await.map(|_| ()).expect_err("refused");
    assert!(error.to_string().contains("the most that it can cost is not known"), "{error}");
    let tagged = support::layer().budget(budget().tag(Tag::Agent, "a")).unknown_price(UnknownPrice::Warn);
    read(serving(&tagged, USED).oneshot(small("mystery")).await.expect("no budget is enforced for it")).await;
    assert_eq!(tagged.handle().snapshot().refused_unpriced, 0);
}

#[tokio::test(start_paused = true)]
async fn each_alert_is_told_once_in_a_period_by_callback_and_channel() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let layer = layer()
        .budget(Budget::new("ten calls", COST.times(10), Period::Hour))
        .budget(Budget::new("each agent", COST.times(4), Period::Day).each(Tag::Agent).alert_at([500]))
        .on_alert(move |alert| {
            sink.lock().push(alert.to_string());
            assert!(alert.budget.len() > 3, "a panic in here would be caught");
        });
    let mut alerts = layer.handle().alerts();
    let service = serving(&layer, USED);
    for call in 0..24 {
        if call == 12 {
            advance(Duration::from_secs(3_600)).await;
        }
        let mut request = small("gpt-4o");
        request.extensions_mut().insert(Tags::new().agent(if call % 2 == 0 { "even" } else { "odd" }));
        read(service.clone().oneshot(request).await.expect("nothing is enforced")).await;
    }
    let dollars = |calls: u64| COST.times(calls).to_string();
    let (four, ten) = (dollars(4), dollars(10));
    let expected = [
        format!("the budget \"each agent\" (even), 2026-11-19: 50 % spent: {} of {four}", dollars(2)),
        format!("the budget \"each agent\" (odd), 2026-11-19: 50 % spent: {} of {four}", dollars(2)),
        format!("the budget \"ten calls\", 2026-11-19 22:00: 80 % spent: {} of {ten}", dollars(8)),
        format!("the budget \"ten calls\", 2026-11-19 22:00: 100 % spent: {} of {ten}", dollars(10)),
        format!("the budget \"ten calls\", 2026-11-19 23:00: 80 % spent: {} of {ten}", dollars(8)),
        format!("the budget \"ten calls\", 2026-11-19 23:00: 100 % spent: {} of {ten}", dollars(10)),
    ];
    assert_eq!(*told.lock(), expected);
    for text in expected {
        assert_eq!(alerts.next().await.expect("an alert").to_string(), text);
    }
    assert_eq!(alerts.missed(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_is_too_slow_is_told_how_much_it_missed_and_a_callback_that_panics_harms_nobody() {
    let layer = layer()
        .budget(Budget::new("b", COST, Period::Day).each(Tag::Task).alert_at([1_000]))
        .on_alert(|_| panic!("a callback of a user's"));
    let mut alerts = layer.handle().alerts();
    let service = serving(&layer, USED);
    for call in 0..70 {
        let mut request = small("gpt-4o");
        request.extensions_mut().insert(Tags::new().task(call.to_string()));
        read(service.clone().oneshot(request).await.expect("an answer")).await;
    }
    let first = alerts.next().await.expect("an alert");
    assert_eq!((alerts.missed(), first.value), (6, Some((Tag::Task, "6".into()))));
    assert_eq!(first.kind, AlertKind::Threshold { per_mille: 1_000 });
    drop((layer, service));
    for _ in 7..70 {
        assert!(alerts.next().await.is_some());
    }
    assert_eq!(alerts.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_what_only_the_answer_says_alerts_and_refuses_nothing() {
    let layer = layer().budget(Budget::new("model", COST, Period::Day).tag(Tag::Model, "gpt-4o-2024-08-06").enforce());
    let mut alerts = layer.handle().alerts();
    for _ in 0..3 {
        read(serving(&layer, USED).oneshot(small("gpt-4o")).await.expect("not enforced")).await;
    }
    assert!(matches!(alerts.next().await.expect("an alert").kind, AlertKind::Threshold { per_mille: 800 }));
    let budgets = layer.handle().snapshot().budgets;
    assert_eq!((budgets[0].spent, budgets[0].refused), (COST.times(3), 0));
    assert_eq!(budgets[0].renewed_at, Some(UNIX_EPOCH + Duration::from_secs(EVENING + 2 * 3_600)));
}

/// Fails now and then in ways that may be billed, answers the rest with all that was asked for.
fn flaky(
    seed: u64,
) -> impl Service<Request<RequestBody>, Response = Response<Plain>, Error = Error, Future: Send> + Clone {
    let dice = Arc::new(Generator::seeded(seed));
    service_fn(move |_: Request<RequestBody>| {
        let dice = Arc::clone(&dice);
        async move {
            tokio::time::sleep(Duration::from_micros(dice.bits() % 500)).await;
            match dice.bits() % 4 {
                0 => Ok(answer(408, "{}")),
                1 => Err(Error::Transport("reset".into())),
                _ => Ok(answer(200, USED)),
            }
        }
    })
}

/// Eight tasks spend at once what they can. What was spent and reserved, at every moment that another task saw.
async fn stampede(gated: bool) -> (Money, u64, u64) {
    let limit = worst(110).times(60);
    let wall = SystemTime::now();
    let layer = CostLayer::new()
        .wall_clock(move || wall)
        .attempts(if gated { 1 } else { 4 })
        .budget(Budget::new("all", limit, Period::Total).enforce())
        .budget(Budget::new("each", limit, Period::Total).each(Tag::Agent).enforce());
    let retry = RetryAfterLayer::new(
        RetryPolicy::new().max_attempts(4).backoff(Backoff::constant(Duration::from_micros(50))).no_jitter(),
    );
    let gate = tower::util::option_layer(gated.then(|| layer.gate()));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let service = ServiceBuilder::new()
            .layer(PrepareLayer::new())
            .layer(layer.clone())
            .layer(retry.clone())
            .layer(gate.clone())
            .layer(ObserveLayer::new())
            .service(flaky(task));
        let handle = layer.handle();
        tasks.spawn(async move {
            for call in 0..150 {
                let mut request = small("gpt-4o");
                request.extensions_mut().insert(Tags::new().agent((call % 3).to_string()));
                let sending = service.clone().oneshot(request);
                // Some are given up.
                let patience = Duration::from_micros(if call % 5 == 0 { 200 } else { 1_000_000 });
                if let Ok(Ok(response)) = tokio::time::timeout(patience, sending).await {
                    drop(response);
                }
                for status in handle.snapshot().budgets {
                    assert!(status.spent + status.reserved <= status.limit, "{status:?}");
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("no assertion failed");
    }
    let snapshot = layer.handle().snapshot();
    let all = &snapshot.budgets[0];
    assert_eq!((snapshot.open, all.reserved, all.overrun), (0, Money::ZERO, 0));
    assert_eq!(all.spent, snapshot.total.cost());
    assert_eq!(all.spent, layer.handle().sum(&Query::total()).cost());
    assert!(all.spent <= limit && all.spent > limit.saturating_sub(worst(110).times(4)), "{all:?}");
    (all.spent, snapshot.refused, snapshot.attempts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dollar1_the_budget_holds_under_eight_tasks_with_retries_that_are_reserved_for_beforehand() {
    let (_, refused, attempts) = stampede(false).await;
    assert!(refused > 100 && attempts > 60, "{refused} refused, {attempts} sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dollar1_the_budget_holds_under_eight_tasks_with_retries_that_a_gate_reserves_for() {
    let (_, refused, attempts) = stampede(true).await;
    assert!(refused > 100 && attempts > 60, "{refused} refused, {attempts} sent");
}

#[tokio::test(start_paused = true)]
async fn a_gate_refuses_the_attempt_that_the_budget_has_no_room_for() {
    let layer = layer().budget(Budget::new("b", worst(110).times(2), Period::Total).enforce());
    let retry = RetryAfterLayer::new(RetryPolicy::new().max_attempts(5).no_jitter());
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(layer.clone())
        .layer(retry)
        .layer(layer.gate())
        .layer(ObserveLayer::new())
        .service(service_fn(|_: Request<RequestBody>| async { Ok::<_, Error>(answer(408, "{}")) }));
    let refused = service.oneshot(small("gpt-4o")).await.map(|_| ()).expect_err("the third attempt");
    assert_eq!(refused.rejected().map(Rejected::reason), Some(Reason::BudgetSpent));
    let snapshot = layer.handle().snapshot();
    assert_eq!((snapshot.total.estimated.attempts, snapshot.refused), (2, 1));
    assert_eq!(snapshot.budgets[0].reserved, Money::ZERO);
}

/// An endpoint below, or another leg, may serve a dearer model than the one that was asked for.
#[tokio::test(start_paused = true)]
async fn dollar1_the_gate_reserves_what_the_attempt_costs_where_it_is_sent() {
    let prices = || Prices::built_in().deployment("large", "gpt-4o", DeploymentType::Global);
    let answers = |layer: &CostLayer| {
        let sent = ServiceBuilder::new().layer(PrepareLayer::new()).layer(layer.clone());
        let sent = sent.map_request(|mut request: Request<RequestBody>| {
            CallContext::of(&mut request).attempt().note_endpoint("large".into());
            request
        });
        sent.layer(layer.gate())
            .layer(ObserveLayer::new())
            .service(service_fn(|_: Request<RequestBody>| async { Ok::<_, Error>(answer(200, USED)) }))
    };
    // Enough for gpt-4o-mini, which is asked for, and not for gpt-4o, which would answer.
    let scarce = layer().prices(prices()).budget(Budget::new("b", Money::nano_dollars(200_000), Period::Day).enforce());
    let refused = answers(&scarce).oneshot(small("gpt-4o-mini")).await.map(|_| ()).expect_err("it does not fit");
    assert_eq!(refused.rejected().map(Rejected::reason), Some(Reason::BudgetSpent));
    let snapshot = scarce.handle().snapshot();
    assert_eq!(
        (snapshot.attempts, snapshot.budgets[0].spent, snapshot.budgets[0].reserved),
        (0, Money::ZERO, Money::ZERO)
    );

    let ample = layer().prices(prices()).budget(Budget::new("b", worst(110), Period::Day).enforce());
    let open = answers(&ample).oneshot(small("gpt-4o-mini")).await.expect("it fits");
    let reserved = ample.handle().snapshot().budgets[0].reserved;
    assert!(reserved > worst(90) && reserved <= worst(110), "{reserved}");
    read(open).await;
    let budget = &ample.handle().snapshot().budgets[0];
    assert_eq!((budget.spent, budget.reserved, budget.overrun), (COST, Money::ZERO, 0));
}

#[tokio::test(start_paused = true)]
async fn dollar1_what_is_asked_for_ahead_of_others_reserves_at_that_price() {
    let text = "x".repeat(70);
    let body =
        format!(r#"{{"service_tier":"priority","messages":[{{"role":"user","content":"{text}"}}],"max_tokens":10}}"#);
    let layer = layer().budget(Budget::new("b", Money::dollars(1), Period::Day).enforce());
    let open = serving(&layer, USED).oneshot(chat("gpt-5-mini", &body)).await.expect("it fits");
    let reserved = layer.handle().snapshot().budgets[0].reserved;
    let plain = Money::nano_dollars(110 * 250 + 10 * 2_000);
    assert!(reserved > plain.per_mille(1_500), "{reserved} for what costs 1.8 times {plain}");
    drop(open);
}

#[tokio::test(start_paused = true)]
async fn a_provisioned_deployment_reserves_what_it_would_cost_to_spill() {
    let prices = Prices::built_in().deployment("ptu", "gpt-4o", DeploymentType::Provisioned);
    let layer = layer().prices(prices).budget(Budget::new("b", worst(110), Period::Day).enforce());
    let service = serving(&layer, USED);
    let open = service.clone().oneshot(small("ptu")).await.expect("it fits");
    let reserved = layer.handle().snapshot().budgets[0].reserved;
    assert!(reserved > worst(90) && reserved <= worst(110), "{reserved}");
    assert!(service.clone().oneshot(small("ptu")).await.is_err(), "both could be spilled");
    drop(open);
    for _ in 0..3 {
        read(service.clone().oneshot(small("ptu")).await.expect("nothing was spent")).await;
    }
    let budget = &layer.handle().snapshot().budgets[0];
    assert_eq!((budget.spent, budget.reserved, budget.refused), (Money::ZERO, Money::ZERO, 1));
}
