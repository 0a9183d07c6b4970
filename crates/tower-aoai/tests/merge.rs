//! What merging promises, over a mock that knows whose text it has embedded, and over the simulator.
#![cfg(feature = "merge")]

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneService};
use tower_aoai::{
    core::{CallContext, Error, ObserveLayer, PrepareLayer, Priority, Reason, Rejected, Served, Tenant, Timeout},
    merge::{AnswerBody, MergeEmbeddingsLayer, Merged},
};
use tower_aoai_simulator::{Deployment, Latency, Scripted, Simulator};

type Body = Full<Bytes>;
type Answered = Result<Response<AnswerBody<Body>>, Error>;

const EMBED: &str = "https://r.openai.azure.com/openai/v1/embeddings";

fn post(body: &Value) -> Request<Body> {
    Request::post(EMBED).body(Body::from(body.to_string())).expect("a request")
}

fn embed(input: impl Into<Value>) -> Request<Body> {
    post(&json!({"model": "small", "input": input.into()}))
}

/// Embeds a text as its own length and first byte; a text of `bad` is refused, with all beside it.
#[derive(Clone, Default)]
struct Leaf {
    takes: Duration,
    /// In place of an answer.
    plan: Arc<Mutex<VecDeque<Plan>>>,
    seen: Arc<Mutex<Vec<(http::request::Parts, Value)>>>,
    dropped: Arc<Mutex<usize>>,
}

enum Plan {
    Status(u16),
    Rejected(Reason),
    Reset,
    Body(&'static str),
}

struct Unfinished(Arc<Mutex<usize>>, bool);

impl Drop for Unfinished {
    fn drop(&mut self) {
        *self.0.lock() += usize::from(!self.1);
    }
}

impl Leaf {
    fn slow(millis: u64) -> Self {
        Self { takes: Duration::from_millis(millis), ..Self::default() }
    }

    fn then(self, plan: Plan) -> Self {
        self.plan.lock().push_back(plan);
        self
    }

    /// The inputs of each request that was sent.
    fn inputs(&self) -> Vec<Value> {
        self.seen.lock().iter().map(|(_, body)| body["input"].clone()).collect()
    }

    fn service(
        &self,
    ) -> impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send> + Clone + Send + use<>
    {
        let leaf = self.clone();
        service_fn(move |request: Request<Body>| {
            let leaf = leaf.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body: Value = serde_json::from_slice(&body.collect().await?.to_bytes())?;
                leaf.seen.lock().push((parts, body.clone()));
                let plan = leaf.plan.lock().pop_front();
                let mut unfinished = Unfinished(Arc::clone(&leaf.dropped), false);
                sleep(leaf.takes).await;
                unfinished.1 = true;
                answer(&body, plan.as_ref())
            }
        })
    }
}

fn answer(body: &Value, plan: Option<&Plan>) -> Result<Response<Body>, BoxError> {
    match plan {
        None => {}
        Some(Plan::Status(status)) => {
            return Ok(Response::builder().status(*status).header("retry-after-ms", "7").body(Body::from("sorry"))?);
        }
        Some(Plan::Rejected(reason)) => return Err(Box::new(Error::from(Rejected::new(*reason, "token bucket")))),
        Some(Plan::Reset) => return Err("connection reset".into()),
        Some(Plan::Body(text)) => return Ok(Response::new(Body::from(*text))),
    }
    let inputs = match &body["input"] {
        Value::Array(inputs) => inputs.clone(),
        one => vec![one.clone()],
    };
    if inputs.iter().any(|input| input == "bad") {
        let refused = json!({"error": {"message": "bad input", "type": "invalid_request_error"}});
        return Ok(Response::builder().status(400).body(Body::from(refused.to_string()))?);
    }
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| json!({"object": "embedding", "index": index, "embedding": vector(input)}))
        // As no server is known to do, but none has promised not to.
        .rev()
        .collect();
    let tokens: usize = inputs.iter().map(|input| input.to_string().len()).sum();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens + 1});
    let answer = json!({"object": "list", "data": data, "model": body["model"], "usage": usage});
    Ok(Response::builder().header("content-type", "application/json").body(Body::from(answer.to_string()))?)
}

fn vector(input: &Value) -> Value {
    let text = input.to_string();
    json!([text.len(), text.as_bytes()[text.len() / 2]])
}

async fn json_of(answer: Answered) -> Value {
    let body = answer.expect("an answer").into_body().collect().await.expect("a body").to_bytes();
    serde_json::from_slice(&body).expect("JSON")
}

/// By number, and every number once; a merged answer has them in order.
fn vectors(answer: &Value) -> Vec<Value> {
    let mut data = answer["data"].as_array().expect("data").clone();
    data.sort_by_key(|entry| entry["index"].as_u64());
    assert!(data.iter().enumerate().all(|(index, entry)| entry["index"] == index), "{answer}");
    data.into_iter().map(|entry| entry["embedding"].clone()).collect()
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

#[tokio::test(start_paused = true)]
async fn what_comes_within_the_window_is_one_request_and_each_caller_has_its_vectors() {
    let leaf = Leaf::slow(50);
    let layer = MergeEmbeddingsLayer::new();
    let service = layer.layer(leaf.service());
    let start = Instant::now();
    let calls = [json!("one"), json!(["two", "three!"]), json!("four")].into_iter().enumerate().map(|(n, input)| {
        let service = service.clone();
        async move {
            sleep(Duration::from_millis(2 * n as u64)).await;
            service.oneshot(embed(input)).await
        }
    });
    let answers = join_all(calls).await;
    assert_eq!(Instant::now() - start, Duration::from_millis(5 + 50), "five milliseconds after the first");
    assert_eq!(leaf.inputs(), [json!(["one", "two", "three!", "four"])]);
    let expected = [vec!["one"], vec!["two", "three!"], vec!["four"]];
    let mut used = 0;
    for (answer, texts) in answers.into_iter().zip(expected) {
        let merged = *answer.as_ref().unwrap().extensions().get::<Merged>().unwrap();
        assert_eq!((merged.callers, merged.inputs), (3, 4));
        assert_eq!(answer.as_ref().unwrap().headers()["content-type"], "application/json");
        let answer = json_of(answer).await;
        assert_eq!(vectors(&answer), texts.into_iter().map(|text| vector(&text.into())).collect::<Vec<_>>());
        assert_eq!(answer["model"], "small");
        used += answer["usage"]["prompt_tokens"].as_u64().unwrap();
    }
    assert_eq!(used, 5 + 5 + 8 + 6, "what the server says of all");
    let counts = layer.handle().snapshot();
    assert_eq!((counts.calls, counts.merged_requests, counts.merged_calls, counts.merged_inputs), (3, 1, 3, 4));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_joins_is_sent_as_it_is() {
    let leaf = Leaf::default();
    let layer = MergeEmbeddingsLayer::new().window(Duration::from_millis(20));
    let start = Instant::now();
    let answer = layer.layer(leaf.service()).oneshot(embed("one")).await;
    assert_eq!(Instant::now() - start, Duration::from_millis(20));
    assert!(answer.as_ref().unwrap().extensions().get::<Merged>().is_none());
    assert_eq!(leaf.inputs(), [json!("one")], "and not an array");
    assert_eq!(layer.handle().snapshot().alone, 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_request_does_not_wait_and_what_does_not_fit_begins_the_next() {
    for (layer, expected) in [
        (MergeEmbeddingsLayer::new().max_inputs(3), vec![json!(["aaaa", "bbbb", "cccc"]), json!(["dddd", "eeee"])]),
        (
            MergeEmbeddingsLayer::new().max_tokens(2),
            vec![json!(["aaaa", "bbbb"]), json!(["cccc", "dddd"]), json!("eeee")],
        ),
    ] {
        let leaf = Leaf::default();
        let service = layer.layer(leaf.service());
        let start = Instant::now();
        let calls = ["aaaa", "bbbb", "cccc", "dddd", "eeee"].map(|text| {
            let service = service.clone();
            async move {
                let answer = service.oneshot(embed(text)).await;
                (text, vectors(&json_of(answer).await), Instant::now() - start)
            }
        });
        let answers = join_all(calls).await;
        assert_eq!(leaf.inputs(), expected);
        assert_eq!(answers[0].2, Duration::ZERO, "full at once");
        assert_eq!(answers[4].2, Duration::from_millis(5));
        assert!(answers.iter().all(|(text, vectors, _)| *vectors == [vector(&(*text).into())]));
    }
    // Not all of the next fit beside the first.
    let leaf = Leaf::default();
    let service = MergeEmbeddingsLayer::new().max_inputs(3).layer(leaf.service());
    let (one, two) = tokio::join!(
        service.clone().oneshot(embed(json!(["a", "b"]))),
        service.clone().oneshot(embed(json!(["c", "d"])))
    );
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(leaf.inputs(), [json!(["a", "b"]), json!(["c", "d"])]);
}

#[tokio::test(start_paused = true)]
async fn never_more_inputs_than_the_api_takes() {
    let leaf = Leaf::default();
    let layer = MergeEmbeddingsLayer::new();
    let service = layer.layer(leaf.service());
    let large = || embed(Value::from(vec!["x"; 700]));
    let answers = join_all((0..5).map(|_| service.clone().oneshot(large()))).await;
    for answer in answers {
        assert_eq!(vectors(&json_of(answer).await).len(), 700);
    }
    let sent: Vec<usize> = leaf.inputs().iter().map(|inputs| inputs.as_array().unwrap().len()).collect();
    assert_eq!(sent, [1400, 1400, 700]);
    // What is as large itself is passed on.
    assert!(service.clone().oneshot(embed(Value::from(vec!["x"; 2048]))).await.is_ok());
    assert_eq!(layer.handle().snapshot().passed, 1);
}

#[tokio::test(start_paused = true)]
async fn only_requests_that_agree_in_all_else_are_merged() {
    let tenant = |name: &str| {
        let mut request = embed("t");
        CallContext::of(&mut request).set_tenant(Some(Tenant::named(name)));
        request
    };
    let header = |name: &'static str, value: &str| {
        let mut request = embed("h");
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    let with = |name: &str, value: Value| {
        let mut body = json!({"model": "small", "input": "b"});
        body[name] = value;
        post(&body)
    };
    let apart = [
        embed("plain"),
        with("model", json!("large")),
        with("dimensions", json!(8)),
        with("dimensions", json!(9)),
        with("encoding_format", json!("base64")),
        with("user", json!("u")),
        tenant("acme"),
        tenant("umbrella"),
        header("api-key", "1"),
        header("authorization", "Bearer 1"),
        embed(json!([1, 2, 3])),
        Request::post("https://s.openai.azure.com/openai/v1/embeddings")
            .body(Body::from(r#"{"model":"small","input":"a"}"#))
            .unwrap(),
    ];
    let leaf = Leaf::default();
    let service = MergeEmbeddingsLayer::new().layer(leaf.service());
    let count = apart.len();
    let answers = join_all(apart.into_iter().map(|request| service.clone().oneshot(request))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(leaf.seen.lock().len(), count, "{:?}", leaf.inputs());

    // What names one call does not set it apart.
    let answers = join_all(["1", "2"].map(|id| service.clone().oneshot(header("x-ms-client-request-id", id)))).await;
    assert!(answers.iter().all(Result::is_ok));
    let seen = leaf.seen.lock();
    assert_eq!(seen.len(), count + 1);
    assert!(seen[count].0.headers.get("x-ms-client-request-id").is_none(), "it is neither's");
}

#[tokio::test(start_paused = true)]
async fn requests_are_set_apart_as_the_user_says() {
    let leaf = Leaf::default();
    let layer =
        MergeEmbeddingsLayer::new().apart_by(|parts| parts.extensions.get::<&str>().map(|team| (*team).to_owned()));
    let service = layer.layer(leaf.service());
    let of = |team: &'static str, text: &str| {
        let mut request = embed(text);
        request.extensions_mut().insert(team);
        service.clone().oneshot(request)
    };
    let answers = join_all([of("a", "1"), of("b", "2"), of("a", "3")]).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(leaf.inputs(), [json!(["1", "3"]), json!("2")]);
}

#[tokio::test(start_paused = true)]
#[cfg(feature = "cost")]
async fn requests_of_other_spending_tags_are_not_merged() {
    use tower_aoai::cost::Tags;
    let leaf = Leaf::default();
    let service = MergeEmbeddingsLayer::new().layer(leaf.service());
    let of = |task: &str, text: &str| {
        let mut request = embed(text);
        request.extensions_mut().insert(Tags::new().task(task));
        service.clone().oneshot(request)
    };
    let answers = join_all([of("a", "1"), of("b", "2"), of("a", "3")]).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(leaf.inputs(), [json!(["1", "3"]), json!("2")]);
    assert_eq!(leaf.seen.lock()[0].0.extensions.get(), Some(&Tags::new().task("a")));
}

#[tokio::test(start_paused = true)]
async fn tokens_are_merged_with_tokens() {
    let leaf = Leaf::default();
    let service = MergeEmbeddingsLayer::new().layer(leaf.service());
    let inputs = [json!([1, 2, 3]), json!([[4], [5, 6]])];
    let answers = join_all(inputs.map(|input| service.clone().oneshot(embed(input)))).await;
    assert_eq!(leaf.inputs(), [json!([[1, 2, 3], [4], [5, 6]])]);
    let mut lengths = Vec::new();
    for answer in answers {
        lengths.push(vectors(&json_of(answer).await).len());
    }
    assert_eq!(lengths, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn one_bad_input_does_not_cost_the_innocent_their_answer() {
    let leaf = Leaf::default();
    let layer = MergeEmbeddingsLayer::new();
    let service = layer.layer(leaf.service());
    let answers = join_all(["good", "bad", "fine"].map(|text| service.clone().oneshot(embed(text)))).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.as_ref().unwrap().status().as_u16()).collect();
    assert_eq!(statuses, [200, 400, 200]);
    assert_eq!(leaf.inputs()[1..], [json!("good"), json!("bad"), json!("fine")], "each its own, as it was");
    assert_eq!(layer.handle().snapshot().apart, 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_together_is_sent_apart() {
    let refusals = [
        Plan::Rejected(Reason::TooLarge),
        Plan::Rejected(Reason::ContextLength),
        Plan::Rejected(Reason::BodyTooLarge { limit: 1 }),
        Plan::Status(413),
    ];
    for plan in refusals {
        let leaf = Leaf::default().then(plan);
        let service = MergeEmbeddingsLayer::new().layer(leaf.service());
        let answers = join_all(["a", "b"].map(|text| service.clone().oneshot(embed(text)))).await;
        assert!(answers.iter().flatten().all(|answer| answer.status() == 200));
        assert_eq!(leaf.inputs().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_taken_apart_is_asked_for_apart() {
    for text in ["", "{}", r#"{"data":[]}"#, r#"{"data":[{"index":0,"embedding":[1]}]}"#] {
        let leaf = Leaf::default().then(Plan::Body(text));
        let service = MergeEmbeddingsLayer::new().layer(leaf.service());
        let answers = join_all(["a", "b"].map(|text| service.clone().oneshot(embed(text)))).await;
        for (answer, text) in answers.into_iter().zip(["a", "b"]) {
            assert_eq!(vectors(&json_of(answer).await), [vector(&text.into())]);
        }
    }
    // No caller is ever given all of an answer that holds others' vectors.
    let leaf = Leaf::default().then(Plan::Status(203));
    let service = MergeEmbeddingsLayer::new().layer(leaf.service());
    let answers = join_all(["a", "b"].map(|text| service.clone().oneshot(embed(text)))).await;
    assert!(answers.iter().flatten().all(|answer| answer.status() == 200));
    assert_eq!(leaf.inputs().len(), 3);
    let leaf = Leaf::default();
    let service = MergeEmbeddingsLayer::new().max_answer_bytes(100).layer(leaf.service());
    let answers = join_all(["a", "b"].map(|text| service.clone().oneshot(embed(text)))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(leaf.inputs().len(), 3, "longer than is read into memory");
}

#[tokio::test(start_paused = true)]
async fn every_other_failure_is_everyones_and_sent_once() {
    for status in [401, 429, 503] {
        let leaf = Leaf::default().then(Plan::Status(status));
        let service = MergeEmbeddingsLayer::new().layer(leaf.service());
        let answers = join_all(["a", "b"].map(|text| service.clone().oneshot(embed(text)))).await;
        for answer in answers {
            let answer = answer.unwrap();
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers()["retry-after-ms"], "7");
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "sorry");
        }
        assert_eq!(leaf.inputs().len(), 1);
    }
    let leaf = Leaf::default().then(Plan::Rejected(Reason::QueueFull)).then(Plan::Reset);
    let service = MergeEmbeddingsLayer::new().layer(leaf.service());
    for round in 0..2 {
        let errors = join_all(["a", "b"].map(|text| service.clone().oneshot(embed(text)))).await;
        for error in errors {
            let error = error.unwrap_err();
            assert_eq!(error.rejected().map(Rejected::reason), (round == 0).then_some(Reason::QueueFull), "{error}");
        }
    }
    assert_eq!(leaf.inputs().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn t5_a_caller_who_goes_away_disturbs_no_other() {
    // Before it is sent: its inputs go with it.
    let leaf = Leaf::slow(50);
    let layer = MergeEmbeddingsLayer::new();
    let service = layer.layer(leaf.service());
    let mut first = Box::pin(service.clone().oneshot(embed("first")));
    assert!(poll_once(first.as_mut()).await.is_none());
    let others = ["second", "third"].map(|text| tokio::spawn(service.clone().oneshot(embed(text))));
    sleep(Duration::from_millis(2)).await;
    drop(first);
    let [second, third] = others;
    assert_eq!(vectors(&json_of(second.await.unwrap()).await), [vector(&"second".into())]);
    assert_eq!(vectors(&json_of(third.await.unwrap()).await), [vector(&"third".into())]);
    assert_eq!(leaf.inputs(), [json!(["second", "third"])]);

    // While it is under way, and driven by the one who goes.
    let mut first = Box::pin(service.clone().oneshot(embed("first")));
    let mut second = Box::pin(service.clone().oneshot(embed("second")));
    assert!(poll_once(first.as_mut()).await.is_none());
    assert!(poll_once(second.as_mut()).await.is_none());
    sleep(Duration::from_millis(10)).await;
    assert!(poll_once(first.as_mut()).await.is_none());
    sleep(Duration::from_millis(10)).await;
    drop(first);
    assert_eq!(vectors(&json_of(second.await).await), [vector(&"second".into())]);
    assert_eq!(leaf.inputs().len(), 2, "not sent again");

    // All of them: so does the request.
    let calls = ["a", "b"].map(|text| service.clone().oneshot(embed(text)));
    assert!(tokio::time::timeout(Duration::from_millis(20), join_all(calls)).await.is_err());
    assert_eq!((leaf.inputs().len(), *leaf.dropped.lock()), (3, 1));

    // All of them before it is sent: nothing is.
    let calls = ["a", "b"].map(|text| service.clone().oneshot(embed(text)));
    assert!(tokio::time::timeout(Duration::from_millis(2), join_all(calls)).await.is_err());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(leaf.inputs().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_bounded_and_those_beyond_go_on_alone() {
    let leaf = Leaf::default();
    let layer = MergeEmbeddingsLayer::new().max_waiting(2);
    let service = layer.layer(leaf.service());
    let answers = join_all(["a", "b", "c"].map(|text| service.clone().oneshot(embed(text)))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(leaf.inputs(), [json!("c"), json!(["a", "b"])]);
    assert_eq!(layer.handle().snapshot().passed, 1);
    let answers = join_all(["a", "b"].map(|text| service.clone().oneshot(embed(text)))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(leaf.inputs().len(), 3, "there is room again");
}

#[tokio::test(start_paused = true)]
async fn each_caller_keeps_its_deadline_and_the_request_has_the_latest_and_the_most_urgent_class() {
    let leaf = Leaf::slow(1_000);
    let service = MergeEmbeddingsLayer::new().layer(leaf.service());
    let start = Instant::now();
    let call = |millis: u64, class: u8| {
        let mut request = embed("a");
        let context = CallContext::of(&mut request);
        context.tighten_deadline(start + Duration::from_millis(millis));
        context.set_priority(Priority(class));
        let call = service.clone().oneshot(request);
        async move { (call.await, Instant::now() - start) }
    };
    let (hurried, patient) = tokio::join!(call(300, 3), call(5_000, 1));
    assert_eq!(hurried.0.unwrap_err().timeout(), Some(Timeout::Deadline));
    assert_eq!(hurried.1, Duration::from_millis(300));
    assert!(patient.0.is_ok());
    let seen = leaf.seen.lock();
    let context = seen[0].0.extensions.get::<CallContext>().unwrap();
    assert_eq!(context.deadline(), Some(start + Duration::from_secs(5)));
    assert_eq!(context.priority(), Priority(1));
    assert_eq!(context.call().body_bytes, seen[0].1.to_string().len());
}

#[tokio::test(start_paused = true)]
async fn t9_off_and_what_is_no_embedding_pass_through() {
    let leaf = Leaf::default();
    let start = Instant::now();
    let layer = MergeEmbeddingsLayer::off().window(Duration::from_secs(1));
    let off = layer.layer(leaf.service());
    let answers = join_all(["a", "b"].map(|text| off.clone().oneshot(embed(text)))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!((leaf.inputs().len(), layer.handle().snapshot().calls), (2, 0));

    let layer = MergeEmbeddingsLayer::new();
    let service = layer.layer(leaf.service());
    let chat = || {
        Request::post("https://r.openai.azure.com/openai/v1/chat/completions")
            .body(Body::from(r#"{"input":"a"}"#))
            .unwrap()
    };
    let odd = [chat(), chat(), embed(json!([])), embed(json!(["a", 1])), embed(Value::Null)];
    let answers = join_all(odd.map(|request| service.clone().oneshot(request))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!((layer.handle().snapshot().passed, leaf.inputs().len()), (5, 7));
    assert_eq!(Instant::now(), start, "and none waits");
    layer.handle().reset();
    assert_eq!(layer.handle().snapshot().calls, 0);
}

#[test]
fn nothing_secret_is_shown_and_everything_is_send() {
    fn check<T: Send + std::fmt::Debug>(value: &T) -> String {
        format!("{value:?}")
    }
    run(async {
        let layer = MergeEmbeddingsLayer::new();
        let (mock, _handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let mut service = layer.layer(mock);
        let mut request = embed("my secret prompt");
        request.headers_mut().insert("api-key", http::HeaderValue::from_static("my secret key"));
        let future = service.call(request);
        let shown = [check(&layer), check(&layer.handle()), check(&service), check(&future)];
        assert!(shown.iter().all(|text| !text.contains("secret")), "{shown:?}");
    });
}

#[tokio::test(start_paused = true)]
async fn over_the_simulator_one_request_serves_all_and_each_is_told_who_served_it() {
    let latency = Latency::instant().first_token(Duration::from_millis(80));
    let simulator =
        Simulator::builder().deployment(Deployment::standard("text-embedding-3-small").latency(latency)).build();
    let layer = MergeEmbeddingsLayer::new();
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(layer.clone())
        .layer(ObserveLayer::new())
        .service(simulator.clone());
    let call = |n: usize| {
        let body = json!({"model": "text-embedding-3-small", "input": format!("text {n}"), "dimensions": 4});
        service.clone().oneshot(Request::post("/openai/v1/embeddings").body(Body::from(body.to_string())).unwrap())
    };
    let answers = join_all((0..20).map(call)).await;
    let mut tokens = 0;
    for answer in answers {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.extensions().get::<Served>().unwrap().attempts, 1);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(vectors(&body)[0].as_array().unwrap().len(), 4);
        tokens += body["usage"]["total_tokens"].as_u64().unwrap();
    }
    let journal = simulator.journal();
    assert_eq!(journal.len(), 1);
    assert_eq!(journal[0].prompt_tokens, tokens);
    // A refusal inside the service judged by its body, too: the content filter is one caller's.
    simulator.script("text-embedding-3-small").then(Scripted::content_filter());
    let answers = join_all((0..3).map(call)).await;
    assert!(answers.iter().flatten().all(|answer| answer.status() == 200));
    assert_eq!(simulator.journal().len(), 1 + 1 + 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Callers come, with one to four texts each, and some go away again.
    #[test]
    fn every_caller_who_stays_has_exactly_its_vectors_and_all_usage_adds_up(
        callers in proptest::collection::vec(
            (0_u64..40, proptest::collection::vec("[a-z]{1,9}", 1..5), proptest::option::of(0_u64..40)), 1..30),
        most in 2_usize..12,
        takes in 0_u64..30,
    ) {
        run(async {
            let leaf = Leaf::slow(takes);
            let layer = MergeEmbeddingsLayer::new().max_inputs(most);
            let service = layer.layer(BoxCloneService::new(leaf.service()));
            let all_stay = callers.iter().all(|(_, _, leaves)| leaves.is_none());
            let calls = callers.into_iter().map(|(comes, texts, leaves)| {
                let service = service.clone();
                async move {
                    sleep(Duration::from_millis(comes)).await;
                    let call = service.oneshot(embed(texts.clone()));
                    let patience = leaves.map_or(Duration::from_secs(3600), Duration::from_millis);
                    (texts, leaves.is_none(), tokio::time::timeout(patience, call).await)
                }
            });
            let mut used = 0;
            for (texts, stays, answer) in join_all(calls).await {
                let Ok(answer) = answer else {
                    prop_assert!(!stays);
                    continue;
                };
                let answer = json_of(answer).await;
                let expected: Vec<Value> = texts.into_iter().map(|text| vector(&text.into())).collect();
                prop_assert_eq!(vectors(&answer), expected);
                used += answer["usage"]["total_tokens"].as_u64().unwrap();
            }
            let mut said = 0;
            for inputs in leaf.inputs() {
                let inputs = inputs.as_array().unwrap().clone();
                prop_assert!(inputs.len() <= most.max(4));
                said += 1 + inputs.iter().map(|input| input.to_string().len() as u64).sum::<u64>();
            }
            prop_assert!(if all_stay { used == said } else { used <= said }, "{used} of {said}");
            prop_assert!(format!("{service:?}").contains("waiting: 0, groups: 0"), "{service:?}");
            Ok(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_leaves_room_and_who_is_as_large_as_all_does_not_wait() {
    let leaf = Leaf::default();
    let layer = MergeEmbeddingsLayer::new().max_tokens(10);
    let service = layer.layer(leaf.service());
    let large = || "x".repeat(24);
    let mut gone = Box::pin(service.clone().oneshot(embed(large())));
    let mut small = Box::pin(service.clone().oneshot(embed("abcd")));
    assert!(poll_once(gone.as_mut()).await.is_none() && poll_once(small.as_mut()).await.is_none());
    drop(gone);
    let (small, other) = tokio::join!(small, service.clone().oneshot(embed(large())));
    assert!(small.is_ok() && other.is_ok());
    assert_eq!(leaf.inputs(), [json!(["abcd", large()])], "six tokens went, and six came");

    let began = Instant::now();
    assert!(service.clone().oneshot(embed("x".repeat(40))).await.is_ok());
    assert_eq!((layer.handle().snapshot().passed, Instant::now() - began), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn who_waited_is_sent_with_the_time_of_its_send() {
    let window = Duration::from_millis(5);
    let seen = Arc::new(Mutex::new(None));
    let leaf = {
        let seen = Arc::clone(&seen);
        service_fn(move |mut request: Request<Body>| {
            *seen.lock() = Some(CallContext::of(&mut request).now());
            std::future::ready(Ok::<_, BoxError>(Response::new(Body::default())))
        })
    };
    let began = Instant::now();
    let service = MergeEmbeddingsLayer::new().window(window).layer(leaf);
    assert!(service.oneshot(embed("alone")).await.is_ok());
    assert_eq!(*seen.lock(), Some(began + window));
}
