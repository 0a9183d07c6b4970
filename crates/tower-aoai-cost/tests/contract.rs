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
use support::{COST, Plain, USED, answer, attempts_and_cost, chat, layer, read, serving, small, total};
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_aoai_core::{
    Attempt, Call, CallContext, Error, IncludeUsageLayer, ObserveLayer, Outcome, PrepareLayer, RequestBody,
};
use tower_aoai_cost::{Budget, CallCost, CostLayer, Money, Period, Query, Spend, Tag, Tags};

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
async fn the_context_tells_what_the_call_has_cost_unless_nobody_knows() {
    const UNKNOWN: &str = r#"{"model":"of-another-world","usage":{"prompt_tokens":100,"completion_tokens":10}}"#;
    for (status, answer, expected) in [(200, USED, Some(COST)), (200, UNKNOWN, None), (429, USED, Some(Money::ZERO))] {
        let context = CallContext::new(Call::default(), Instant::now());
        let mut request = small("some-name");
        request.extensions_mut().insert(context.clone());
        let layer = layer();
        let response = serving(&layer, status, answer).oneshot(request).await.expect("an answer");
        assert_eq!(context.spend(), None, "it is not over");
        read(response).await;
        assert_eq!(context.spend().map(Money::nano_dollars), expected, "{status} {answer}");
    }
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
    let context = CallContext::new(Call::default(), Instant::now());
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
