//! At what price attempts are booked, and in which column.

mod support;

use http::{Request, Response};
use support::{COST, Plain, USED, answer, attempts_and_cost, chat, layer, read, serving, small, total};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_aoai_core::{CallContext, Error, ObserveLayer, PrepareLayer, Reason, Rejected, RequestBody};
use tower_aoai_cost::{DeploymentType, Money, Prices, Query, Rates, Spend, Tag, UnknownPrice};

#[tokio::test(start_paused = true)]
async fn what_was_given_up_at_a_deployment_that_spills_may_have_been_spilled() {
    for (kind, estimated) in [(DeploymentType::Provisioned, 0), (DeploymentType::ProvisionedSpilling, 1)] {
        let layer = layer().prices(Prices::built_in().deployment("ptu", "gpt-4o", kind));
        let service = ServiceBuilder::new().layer(PrepareLayer::new()).layer(layer.clone()).layer(ObserveLayer::new());
        let service = service
            .service(service_fn(|_: Request<RequestBody>| std::future::pending::<Result<Response<Plain>, Error>>()));
        let mut call = tokio_test::task::spawn(service.oneshot(small("ptu")));
        tokio_test::assert_pending!(call.poll());
        drop(call);
        let spend = total(&layer);
        assert_eq!((spend.estimated.attempts, spend.provisioned.attempts), (estimated, 1 - estimated), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_provisioned_deployment_serves_costs_nothing_and_what_it_spills_does() {
    let prices = Prices::built_in().deployment("ptu", "gpt-4o", DeploymentType::Provisioned);
    let layer = layer().prices(prices);
    read(serving(&layer, 200, USED).oneshot(small("ptu")).await.expect("an answer")).await;
    let spend = total(&layer);
    assert_eq!((attempts_and_cost(spend.provisioned), spend.provisioned.tokens.input), ((1, Money::ZERO), 100));
    assert_eq!((spend.cost(), spend.exact.attempts), (Money::ZERO, 0));

    let spilled =
        ServiceBuilder::new().layer(PrepareLayer::new()).layer(layer.clone()).layer(ObserveLayer::new()).service(
            service_fn(|_: Request<RequestBody>| async {
                let mut response = answer(200, USED);
                response.headers_mut().insert("x-ms-deployment-name", "standard".parse().expect("a value"));
                response.headers_mut().insert("x-ms-spillover-from-deployment", "ptu".parse().expect("a value"));
                Ok::<_, Error>(response)
            }),
        );
    read(spilled.oneshot(small("ptu")).await.expect("an answer")).await;
    assert_eq!(attempts_and_cost(total(&layer).exact), (1, COST));
    let standard = Query::total().tag(Tag::Deployment, "standard");
    assert_eq!(layer.handle().sum(&standard).cost(), COST);
}

/// A stack whose endpoint is called `ptu` and takes whatever deployment a call names; what it answers has these headers.
async fn sent_to_ptu(prices: Prices, headers: &'static [(&'static str, &'static str)]) -> Spend {
    let layer = layer().prices(prices);
    let sent = ServiceBuilder::new().layer(PrepareLayer::new()).layer(layer.clone());
    let sent = sent.map_request(|mut request: Request<RequestBody>| {
        CallContext::of(&mut request).attempt().note_endpoint("ptu".into());
        request
    });
    let sent = sent.layer(ObserveLayer::new()).service(service_fn(move |_: Request<RequestBody>| async move {
        let mut response = answer(200, USED);
        for (name, value) in headers {
            response.headers_mut().insert(*name, value.parse().expect("a value"));
        }
        Ok::<_, Error>(response)
    }));
    read(sent.oneshot(small("chat-ptu")).await.expect("an answer")).await;
    total(&layer)
}

#[tokio::test(start_paused = true)]
async fn a_provisioned_endpoint_that_takes_any_deployment_answers_by_that_deployments_name() {
    let prices = || Prices::built_in().deployment("ptu", "gpt-4o", DeploymentType::Provisioned);
    for headers in [&[][..], &[("x-ms-deployment-name", "chat-ptu")]] {
        let spend = sent_to_ptu(prices(), headers).await;
        assert_eq!((spend.provisioned.attempts, spend.cost()), (1, Money::ZERO), "{headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_azure_spilled_is_paid_for_whoever_the_answer_names_and_at_that_deployments_price() {
    let ptu = || Prices::built_in().endpoint("ptu", "chat-ptu", "gpt-4o", DeploymentType::Provisioned);
    let from = ("x-ms-spillover-from-deployment", "chat-ptu");
    for headers in [&[from][..], &[from, ("x-ms-deployment-name", "standard")], &[("x-ms-is-spilled-over", "true")]] {
        let spend = sent_to_ptu(ptu(), Box::leak(headers.to_vec().into_boxed_slice())).await;
        assert_eq!((attempts_and_cost(spend.exact), spend.provisioned.attempts), ((1, COST), 0), "{headers:?}");
    }
    let zone = ptu().deployment("standard", "gpt-4o", DeploymentType::DataZone);
    let spend =
        sent_to_ptu(zone, &[("x-ms-spillover-from-deployment", "chat-ptu"), ("x-ms-deployment-name", "standard")]);
    assert_eq!(attempts_and_cost(spend.await.exact), (1, COST.per_mille(1_100)));
    let failed = sent_to_ptu(ptu(), &[("x-ms-spillover-from-deployment", "chat-ptu"), ("x-ms-spillover-error", "429")]);
    assert_eq!(failed.await.provisioned.attempts, 1, "its own answer");
}

/// A 200 may be a refusal: that the deployment is not there, or that there is no quota.
#[tokio::test(start_paused = true)]
async fn a_stream_that_only_refuses_costs_nothing() {
    for error in [
        r#"{"type":"invalid_request_error","code":null,"message":"Could not find an existing deployment to match the model in the request."}"#,
        r#"{"type":"too_many_requests","code":"rate_limit_exceeded","message":"Your requests have exceeded rate limit."}"#,
    ] {
        let layer = layer();
        let events = format!("event: error\ndata: {{\"type\":\"error\",\"error\":{error}}}\n\n");
        let sent = ServiceBuilder::new().layer(PrepareLayer::new()).layer(layer.clone()).layer(ObserveLayer::new());
        let sent = sent.service(service_fn(move |_: Request<RequestBody>| {
            let mut response = answer(200, &events);
            response.headers_mut().insert("content-type", "text/event-stream".parse().expect("a value"));
            async { Ok::<_, Error>(response) }
        }));
        read(sent.oneshot(small("gpt-4o")).await.expect("an answer")).await;
        let spend = total(&layer);
        assert_eq!((spend.free, spend.cost()), (1, Money::ZERO), "{error}: {spend:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_deployment_that_may_spill_has_answered_itself_costs_nothing() {
    let prices = Prices::built_in().endpoint("ptu", "chat-ptu", "gpt-4o", DeploymentType::ProvisionedSpilling);
    let own = sent_to_ptu(prices.clone(), &[("x-ms-deployment-name", "chat-ptu")]).await;
    assert_eq!((own.provisioned.attempts, own.cost()), (1, Money::ZERO));
    let spilled = sent_to_ptu(prices, &[("x-ms-spillover-from-deployment", "chat-ptu")]).await;
    assert_eq!(attempts_and_cost(spilled.exact), (1, COST));
}

/// The tier that a call asks for is the one it is billed at, where nobody says otherwise.
#[tokio::test(start_paused = true)]
async fn the_tier_that_was_asked_for_is_that_of_an_answer_that_names_none() {
    let asking = |tier: &str| {
        let text = "x".repeat(70);
        chat(
            "gpt-4.1",
            &format!(
                r#"{{"messages":[{{"role":"user","content":"{text}"}}],"max_tokens":10,"service_tier":"{tier}"}}"#
            ),
        )
    };
    let silent = r#"{"model":"gpt-4.1","usage":{"prompt_tokens":1000000,"completion_tokens":0}}"#;
    for (tier, exact, estimated) in [("priority", 0, 350), ("flex", 0, 100), ("default", 200, 0), ("auto", 200, 0)] {
        let layer = layer();
        read(serving(&layer, 200, silent).oneshot(asking(tier)).await.expect("an answer")).await;
        let spend = total(&layer);
        assert_eq!((spend.exact.cost, spend.estimated.cost), (Money::cents(exact), Money::cents(estimated)), "{tier}");
    }
    let said =
        r#"{"model":"gpt-4.1","service_tier":"default","usage":{"prompt_tokens":1000000,"completion_tokens":0}}"#;
    let layer = layer();
    read(serving(&layer, 200, said).oneshot(asking("priority")).await.expect("an answer")).await;
    assert_eq!(total(&layer).exact.cost, Money::cents(200), "priority may be served as usual, and is billed so");
}

#[tokio::test(start_paused = true)]
async fn two_resources_may_have_a_deployment_of_one_name_that_is_billed_differently() {
    let prices = Prices::built_in().endpoint("east", "chat", "gpt-4o", DeploymentType::Global).endpoint(
        "ptu",
        "chat",
        "gpt-4o",
        DeploymentType::Provisioned,
    );
    let layer = layer().prices(prices);
    for (endpoint, answered, paid_for) in [("ptu", "chat", true), ("east", "chat", false), ("ptu", "other", false)] {
        let before = total(&layer);
        let door = ServiceBuilder::new().layer(PrepareLayer::new()).layer(layer.clone());
        let sent = door
            .map_request(move |mut request: Request<RequestBody>| {
                CallContext::of(&mut request).attempt().note_endpoint(endpoint.into());
                request
            })
            .layer(ObserveLayer::new())
            .service(service_fn(move |_: Request<RequestBody>| async move {
                let mut response = answer(200, USED);
                response.headers_mut().insert("x-ms-deployment-name", answered.parse().expect("a value"));
                Ok::<_, Error>(response)
            }));
        read(sent.oneshot(small("gpt-4o")).await.expect("an answer")).await;
        let spend = total(&layer);
        let provisioned = spend.provisioned.attempts - before.provisioned.attempts;
        assert_eq!(provisioned == 1, paid_for, "{endpoint} answered as {answered}");
        assert_eq!(spend.cost() == before.cost(), paid_for, "{endpoint} answered as {answered}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_tier_and_the_deployment_decide_the_price() {
    let flex = r#"{"model":"gpt-4o","service_tier":"flex","usage":{"prompt_tokens":1000000,"completion_tokens":0}}"#;
    let prices = Prices::built_in().deployment("zone", "gpt-4o", DeploymentType::DataZone);
    let layer = layer().prices(prices);
    read(serving(&layer, 200, flex).oneshot(small("gpt-4o")).await.expect("an answer")).await;
    assert_eq!(total(&layer).exact.cost, Money::cents(125));
    read(serving(&layer, 200, flex).oneshot(small("zone")).await.expect("an answer")).await;
    assert_eq!(total(&layer).exact.cost, Money::cents(125) + Money::nano_dollars(1_375_000_000));
    let strange =
        r#"{"model":"gpt-4o","service_tier":"scale","usage":{"prompt_tokens":1000000,"completion_tokens":0}}"#;
    read(serving(&layer, 200, strange).oneshot(small("gpt-4o")).await.expect("an answer")).await;
    assert_eq!(attempts_and_cost(total(&layer).estimated), (1, Money::cents(250)), "a tier that is not known");
}

#[tokio::test(start_paused = true)]
async fn failures_are_booked_as_far_as_they_may_be_billed() {
    // The prompt is 34 tokens by the estimate; ten of output were asked for.
    let prompt = 34 * 2_500;
    for (status, body, estimated) in [
        (400, r#"{"error":{"code":"content_filter"}}"#, Some(prompt)),
        (400, r#"{"error":{"code":"context_length_exceeded"}}"#, Some(prompt)),
        (408, "{}", Some(prompt + 100_000)),
        (499, "", Some(prompt + 100_000)),
        (500, "{}", Some(prompt)),
        (503, "", Some(prompt)),
        (429, r#"{"error":{"code":"429"}}"#, None),
        (401, "{}", None),
        (404, r#"{"error":{"code":"DeploymentNotFound"}}"#, None),
        (422, "{}", None),
        (200, "{}", Some(prompt + 100_000)),
    ] {
        let layer = layer();
        read(serving(&layer, status, body).oneshot(small("gpt-4o")).await.expect("an answer")).await;
        let spend = total(&layer);
        let context = format!("{status} {body}: {spend:?}");
        let expected = estimated.map_or((0, Money::ZERO), |cost| (1, Money::nano_dollars(cost)));
        assert_eq!(attempts_and_cost(spend.estimated), expected, "{context}");
        assert_eq!((spend.free, spend.calls), (u64::from(estimated.is_none()), 1), "{context}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_fails_is_an_estimate_and_a_refusal_below_is_nothing() {
    let failing = |error: fn() -> Error| {
        let layer = layer();
        let service = ServiceBuilder::new()
            .layer(PrepareLayer::new())
            .layer(layer.clone())
            .layer(ObserveLayer::new())
            .service(service_fn(move |_: Request<RequestBody>| async move { Err::<Response<Plain>, _>(error()) }));
        async move {
            let error = service.oneshot(small("gpt-4o")).await.map(|_| ()).expect_err("it fails");
            (error, total(&layer))
        }
    };
    let (_, spend) = failing(|| Error::Transport("reset".into())).await;
    assert_eq!((spend.estimated.attempts, spend.estimated.tokens.output), (1, 10));
    let (error, spend) = failing(|| Rejected::new(Reason::QueueFull, "inner").into()).await;
    assert_eq!(error.rejected().map(Rejected::by), Some("inner"));
    assert_eq!((spend.attempts(), spend.free, spend.cost(), spend.calls), (1, 1, Money::ZERO, 1));
}

#[tokio::test(start_paused = true)]
async fn dollar3_an_unknown_price_is_unpriced_refused_or_assumed_and_never_nothing() {
    let unknown = r#"{"model":"gpt-99","usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
    let with = |policy| layer().unknown_price(policy);
    let warn = with(UnknownPrice::Warn);
    read(serving(&warn, 200, unknown).oneshot(small("mystery")).await.expect("let through")).await;
    let spend = total(&warn);
    assert_eq!((attempts_and_cost(spend.unpriced), spend.unpriced.tokens.input), ((1, Money::ZERO), 7));
    assert_eq!(spend.exact.attempts + spend.estimated.attempts + spend.free, 0);

    let refuse = with(UnknownPrice::Refuse);
    let error = serving(&refuse, 200, unknown).oneshot(small("mystery")).await.map(|_| ()).expect_err("refused");
    assert_eq!(error.rejected().map(Rejected::reason), Some(Reason::BudgetSpent));
    assert!(error.to_string().contains("the price of \"mystery\" is not known"), "{error}");
    assert_eq!((refuse.handle().snapshot().refused_unpriced, total(&refuse).calls), (1, 0));

    let assume = with(UnknownPrice::Assume(Rates::per_million(Money::dollars(1), Money::dollars(2))));
    read(serving(&assume, 200, unknown).oneshot(small("mystery")).await.expect("an answer")).await;
    assert_eq!(attempts_and_cost(total(&assume).estimated), (1, Money::nano_dollars(7 * 1_000 + 3 * 2_000)));

    // What was asked for has a price, what answered has none.
    read(serving(&warn, 200, unknown).oneshot(small("gpt-4o")).await.expect("an answer")).await;
    assert_eq!(attempts_and_cost(total(&warn).estimated), (1, Money::nano_dollars(7 * 2_500 + 3 * 10_000)));

    // A body that cannot be read, and no usage.
    let layer = layer();
    let blind = layer.layer(service_fn(|_: Request<()>| async { Ok::<_, Error>(answer(200, "{}")) }));
    let request = Request::post("/openai/deployments/gpt-4o/chat/completions?api-version=1").body(()).expect("valid");
    read(blind.oneshot(request).await.expect("an answer")).await;
    assert_eq!(total(&layer).unpriced.attempts, 1);
}
