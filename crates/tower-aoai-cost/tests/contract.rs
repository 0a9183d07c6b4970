//! What a call sees of the layer, and the books of it.

mod support;

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use support::{COST, Plain, USED, answer, attempts_and_cost, chat, layer, read, small};
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_aoai_core::{
    Attempt, CallContext, Error, IncludeUsageLayer, ObserveLayer, Outcome, PrepareLayer, Reason, Rejected, RequestBody,
};
use tower_aoai_cost::{
    Budget, CallCost, CostLayer, DeploymentType, Money, Period, Prices, Query, Rates, Spend, Tag, Tags, UnknownPrice,
};

/// A stack whose transport always answers like this.
fn serving(
    layer: &CostLayer,
    status: u16,
    body: &'static str,
) -> impl Service<Request<Plain>, Response = Response<impl http_body::Body<Data = Bytes, Error = Error>>, Error = Error>
+ Clone {
    ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(layer.clone())
        .layer(ObserveLayer::new())
        .service(service_fn(move |_: Request<RequestBody>| async move { Ok::<_, Error>(answer(status, body)) }))
}

fn total(layer: &CostLayer) -> Spend {
    layer.handle().sum(&Query::total())
}

#[tokio::test(start_paused = true)]
async fn a_call_is_booked_by_what_the_answer_says_when_its_body_has_ended() {
    let layer = layer();
    let cost = CallCost::new();
    let mut request = small("some-name");
    request.extensions_mut().insert(Tags::new().task("summarise").agent("planner"));
    request.extensions_mut().insert(cost.clone());
    let response = serving(&layer, 200, USED).oneshot(request).await.expect("an answer");
    assert_eq!(response.extensions().get::<CallCost>().expect("told").get(), None, "it is not over");
    let counts = layer.handle().snapshot();
    assert_eq!((counts.open, counts.ended, counts.total), (1, 0, Spend::default()));
    read(response).await;
    let spend = cost.get().expect("it is over");
    assert_eq!((attempts_and_cost(spend.exact), spend.calls, spend.attempts()), ((1, COST), 1, 1));
    let tokens = spend.exact.tokens;
    assert_eq!((tokens.input, tokens.cached, tokens.output), (100, 40, 10));
    assert_eq!(total(&layer), spend);
    let handle = layer.handle();
    let by = handle.by(&[Tag::Task, Tag::Agent, Tag::Tenant, Tag::Model, Tag::Deployment], &Query::total());
    let values: Vec<_> = by[0].values.iter().map(|value| &**value).collect();
    assert_eq!((values, by.len()), (vec!["summarise", "planner", "", "gpt-4o-2024-08-06", "some-name"], 1));
    assert_eq!(handle.spans(Period::Hour)[0].to_string(), "2026-11-19 22:00");
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

const CHUNK: &str = r#"{"model":"gpt-4o-2024-08-06","choices":[{"index":0,"delta":{"content":"word"}}]}"#;

fn streaming(
    layer: &CostLayer,
    chunks: usize,
    and_usage: bool,
) -> impl Service<Request<Plain>, Response = Response<impl http_body::Body<Data = Bytes, Error = Error>>, Error = Error>
+ Clone {
    ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(layer.clone())
        .layer(IncludeUsageLayer::new())
        .layer(ObserveLayer::new())
        .service(service_fn(move |_: Request<RequestBody>| async move {
            let mut events = vec![format!("data: {CHUNK}\n\n"); chunks];
            if and_usage {
                events.push(
                    r#"data: {"model":"gpt-4o-2024-08-06","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#
                        .to_owned()
                        + "\n\n",
                );
                events.push(format!("data: {},\"choices\":[]}}\n\n", &USED[..USED.len() - 1]));
                events.push("data: [DONE]\n\n".to_owned());
            }
            let frames = events.into_iter().map(|event| Ok::<_, Error>(Frame::data(Bytes::from(event))));
            let response = Response::builder().header("content-type", "text/event-stream");
            Ok::<_, Error>(response.body(StreamBody::new(stream::iter(frames))).expect("a valid response"))
        }))
}

fn streamed() -> Request<Plain> {
    chat("gpt-4o", r#"{"messages":[{"role":"user","content":"Say many words."}],"stream":true,"max_tokens":2000}"#)
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_booked_at_its_end_exactly_and_when_it_is_cut_or_dropped_as_an_estimate() {
    let layer = layer();
    read(streaming(&layer, 30, true).oneshot(streamed()).await.expect("an answer")).await;
    assert_eq!(attempts_and_cost(total(&layer).exact), (1, COST));

    read(streaming(&layer, 30, false).oneshot(streamed()).await.expect("an answer")).await;
    let cut = total(&layer).estimated;
    assert_eq!((cut.attempts, cut.tokens.output), (1, 2 * 30 + 16), "thirty were seen");

    let mut body = streaming(&layer, 30, true).oneshot(streamed()).await.expect("an answer").into_body();
    body.frame().await.expect("a frame").expect("a whole one");
    assert_eq!(layer.handle().snapshot().open, 1);
    drop(body);
    let dropped = total(&layer).estimated;
    assert_eq!((dropped.attempts, dropped.tokens.output - cut.tokens.output), (2, 2 + 16));
    assert_eq!(layer.handle().snapshot().open, 0);
}

#[tokio::test(start_paused = true)]
async fn what_of_a_reasoning_models_stream_was_not_seen_is_assumed_to_be_all_that_was_asked_for() {
    let layer = layer();
    let service =
        ServiceBuilder::new().layer(PrepareLayer::new()).layer(layer.clone()).layer(ObserveLayer::new()).service(
            service_fn(|_: Request<RequestBody>| async {
                let events = format!("data: {}\n\n", CHUNK.replace("gpt-4o-2024-08-06", "gpt-5"));
                let response = Response::builder().header("content-type", "text/event-stream");
                Ok::<_, Error>(response.body(Plain::from(events)).expect("a valid response"))
            }),
        );
    read(service.oneshot(streamed()).await.expect("an answer")).await;
    assert_eq!(total(&layer).estimated.tokens.output, 2_000);
}

#[tokio::test(start_paused = true)]
async fn l4_wherever_a_call_is_dropped_it_is_booked_once_and_its_reservation_goes_back() {
    for polls in 0..8 {
        let layer = layer().budget(Budget::new("b", Money::dollars(1), Period::Day).enforce());
        let handle = layer.handle();
        let service = streaming(&layer, 3, true);
        let mut call = task::spawn(async move {
            let mut body = service.oneshot(streamed()).await.expect("an answer").into_body();
            tokio::task::yield_now().await;
            while let Some(frame) = body.frame().await {
                frame.expect("a whole stream");
                tokio::task::yield_now().await;
            }
        });
        let mut is_over = false;
        for _ in 0..polls {
            is_over = is_over || call.poll().is_ready();
        }
        if polls == 1 {
            let reserved = handle.snapshot().budgets[0].reserved;
            assert!(reserved > Money::ZERO, "under way");
        }
        drop(call);
        let counts = handle.snapshot();
        assert_eq!(counts.open, 0, "after {polls} polls");
        assert_eq!((counts.budgets[0].reserved, counts.budgets[0].overrun), (Money::ZERO, 0), "after {polls} polls");
        assert_eq!(counts.total.attempts(), u64::from(polls > 0), "after {polls} polls");
        assert_eq!(counts.total.calls, u64::from(polls > 0));
        assert_eq!(counts.budgets[0].spent, counts.total.cost());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_below_and_was_never_sent_costs_nothing_when_it_is_dropped() {
    let layer = layer();
    let waiting = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(layer.clone())
        .service(service_fn(|_: Request<RequestBody>| pending::<Result<Response<Plain>, Error>>()));
    let mut call = task::spawn(waiting.oneshot(small("gpt-4o")));
    assert_pending!(call.poll());
    drop(call);
    let spend = total(&layer);
    assert_eq!((spend.calls, spend.attempts(), spend.cost()), (1, 0, Money::ZERO));
}

#[tokio::test(start_paused = true)]
async fn alone_without_door_and_observer_an_answer_is_an_estimate() {
    let layer = layer();
    let service = layer.layer(service_fn(|_: Request<Plain>| async { Ok::<_, Error>(answer(200, USED)) }));
    read(service.oneshot(small("gpt-4o")).await.expect("an answer")).await;
    let spend = total(&layer);
    assert_eq!((spend.estimated.attempts, spend.estimated.tokens.output, spend.exact.attempts), (1, 10, 0));
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

#[tokio::test(start_paused = true)]
async fn tags_come_from_headers_too_and_the_headers_go_no_further() {
    let name = HeaderName::from_static("x-agent");
    let layer = layer().tag_header(Tag::Agent, name.clone());
    let seen = Arc::new(AtomicBool::new(false));
    let witness = Arc::clone(&seen);
    let service = layer.layer(service_fn(move |request: Request<Plain>| {
        witness.fetch_or(request.headers().contains_key("x-agent"), Relaxed);
        async { Ok::<_, Error>(answer(200, USED)) }
    }));
    for tags in [None, Some(Tags::new().agent("said"))] {
        let mut request = small("gpt-4o");
        request.headers_mut().insert(&name, "header".parse().expect("a value"));
        if let Some(tags) = tags {
            request.extensions_mut().insert(tags);
        }
        read(service.clone().oneshot(request).await.expect("an answer")).await;
    }
    let agents: Vec<_> =
        layer.handle().by(&[Tag::Agent], &Query::total()).into_iter().map(|line| line.values[0].to_string()).collect();
    assert_eq!(agents, ["header", "said"]);
    assert!(!seen.load(Relaxed));
}

#[tokio::test(start_paused = true)]
async fn one_context_for_two_calls_books_no_attempt_twice() {
    let layer = layer();
    let context = CallContext::new(tower_aoai_core::Call::default(), Instant::now());
    let service = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(ObserveLayer::new())
        .service(service_fn(|_: Request<Plain>| async { Ok::<_, Error>(answer(200, USED)) }));
    for _ in 0..2 {
        let mut request = small("gpt-4o");
        request.extensions_mut().insert(context.clone());
        read(service.clone().oneshot(request).await.expect("an answer")).await;
    }
    assert_eq!(attempts_and_cost(total(&layer).exact), (2, COST.times(2)));
}

#[tokio::test(start_paused = true)]
async fn more_attempts_than_a_record_keeps_are_still_booked() {
    let layer = layer();
    let service = ServiceBuilder::new().layer(PrepareLayer::new()).layer(layer.clone()).service(service_fn(
        |mut request: Request<RequestBody>| async move {
            let now = Instant::now();
            for _ in 0..70 {
                let attempt: Arc<Attempt> = CallContext::of(&mut request).begin_attempt();
                attempt.judge_unobserved(now, Outcome::Transient { hint: None }.into());
            }
            Ok::<_, Error>(answer(200, USED))
        },
    ));
    read(service.oneshot(small("gpt-4o")).await.expect("an answer")).await;
    assert_eq!(total(&layer).estimated.attempts, 70);
}

#[tokio::test(start_paused = true)]
async fn off_it_books_and_refuses_nothing() {
    let layer = CostLayer::off().budget(Budget::new("none", Money::ZERO, Period::Total).enforce());
    let response = serving(&layer, 200, USED).oneshot(small("gpt-4o")).await.expect("an answer");
    assert!(response.extensions().get::<CallCost>().is_none());
    read(response).await;
    assert_eq!((total(&layer), layer.handle().snapshot().ended), (Spend::default(), 0));
}

#[tokio::test(start_paused = true)]
async fn reset_begins_anew_and_clones_share_the_books() {
    let layer = layer();
    let service = serving(&layer, 200, USED);
    let open = service.clone().oneshot(small("gpt-4o")).await.expect("an answer");
    read(service.clone().oneshot(small("gpt-4o")).await.expect("an answer")).await;
    layer.handle().reset();
    let counts = layer.clone().handle().snapshot();
    assert_eq!((counts.open, counts.ended, counts.total), (1, 0, Spend::default()));
    read(open).await;
    assert_eq!((layer.handle().snapshot().open, total(&layer).exact.attempts), (0, 1));
}

/// A service whose clones are not ready, and which says so when it is called all the same.
#[derive(Debug, Default)]
struct OneReady(bool);

impl Clone for OneReady {
    fn clone(&self) -> Self {
        Self(false)
    }
}

impl Service<Request<Plain>> for OneReady {
    type Response = Response<Plain>;
    type Error = Error;
    type Future = std::future::Ready<Result<Self::Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0 = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Plain>) -> Self::Future {
        assert!(std::mem::take(&mut self.0), "called without being ready");
        std::future::ready(Ok(answer(200, USED)))
    }
}

#[tokio::test(start_paused = true)]
async fn t1_the_instance_that_was_ready_is_called() {
    let layer = layer();
    let mut service = layer.layer(layer.gate().layer(OneReady::default()));
    for _ in 0..2 {
        let ready = service.ready().await.expect("ready");
        let other = ready.clone();
        let response = ready.call(small("gpt-4o")).await.expect("an answer");
        drop((response, other));
    }
}

#[test]
fn t5_services_futures_and_bodies_are_send_and_sync() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    let layer = CostLayer::new();
    let mut service = layer.layer(layer.gate().layer(OneReady::default()));
    shared(&layer);
    shared(&layer.handle());
    shared(&service);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))));
    let mut call = task::spawn(service.call(small("gpt-4o")));
    shared(&*call);
    let response = assert_ready!(call.poll()).expect("an answer");
    shared(response.body());
}

#[tokio::test(start_paused = true)]
async fn a_call_counts_in_the_hour_in_which_it_began() {
    let layer = layer();
    let response = serving(&layer, 200, USED).oneshot(small("gpt-4o")).await.expect("an answer");
    tokio::time::advance(Duration::from_secs(3 * 3_600)).await;
    read(response).await;
    let handle = layer.handle();
    let spans: Vec<_> = [Period::Hour, Period::Day].map(|period| handle.spans(period)[0].to_string()).into();
    assert_eq!(spans, ["2026-11-19 22:00", "2026-11-19"]);
}
