//! What the layers cost a call, over a transport that answers at once; what reading a request and an error costs.
//!
//! Every figure holds the request's clone and the reading of the answer to its end: what a layer adds is its difference
//! to `bare`.

use std::{convert::Infallible, hint::black_box, sync::Arc, time::Duration};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_aoai_core::{
    AttemptTimeoutLayer, AzureClassifier, Call, Classify, DeadlineLayer, IncludeUsageLayer, ObserveLayer, PrepareLayer,
    classify::ResponseHead,
};

const ADDRESS: &str = "https://r.openai.azure.com/openai/deployments/fast/chat/completions?api-version=2024-10-21";

const EVENTS: usize = 50;

/// A body of frames that lie ready.
#[derive(Clone)]
struct Frames {
    frames: Arc<[Bytes]>,
    next: usize,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = self.frames.get(self.next).cloned();
        self.next += 1;
        std::task::Poll::Ready(frame.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.next >= self.frames.len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// The head and body of an answer, as captured from Azure.
fn answer(content_type: &'static str, frames: impl IntoIterator<Item = String>) -> Response<Frames> {
    Response::builder()
        .header("content-type", content_type)
        .header("apim-request-id", "6fa63f5d-0d2e-4b1c-9a35-2f4f1d1c7a10")
        .header("x-request-id", "0b7a3d6b-8a0e-43dc-a7d4-f5a1b6f0c9de")
        .header("x-ms-region", "Sweden Central")
        .header("x-ms-deployment-name", "fast")
        .header("x-ratelimit-limit-requests", "9000")
        .header("x-ratelimit-remaining-requests", "8999")
        .header("x-ratelimit-limit-tokens", "1500000")
        .header("x-ratelimit-remaining-tokens", "745399")
        .header("x-ratelimit-reset-tokens", "30")
        .body(Frames { frames: frames.into_iter().map(Bytes::from).collect(), next: 0 })
        .expect("a valid answer")
}

fn json() -> Response<Frames> {
    let text = "It depends. ".repeat(60);
    answer(
        "application/json",
        [format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-2024-08-06","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop","content_filter_results":{{}}}}],"usage":{{"prompt_tokens":250,"completion_tokens":180,"total_tokens":430,"prompt_tokens_details":{{"cached_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0}}}}}}"#
        )],
    )
}

fn chunk(choices: &str, usage: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o-2024-08-06\",\"system_fingerprint\":\"fp_1\",\"choices\":[{choices}],\"usage\":{usage}}}\n\n"
    )
}

/// A role, contents, an end, a usage and `[DONE]`: so many events in all, one to a frame.
fn stream() -> Response<Frames> {
    let delta = |delta: &str, finish: &str| {
        chunk(&format!(r#"{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}"#), "null")
    };
    let contents = std::iter::repeat_n(delta(r#"{"content":" depends"}"#, "null"), EVENTS - 4);
    let ends = [
        delta("{}", "\"stop\""),
        chunk("", r#"{"prompt_tokens":250,"completion_tokens":46,"total_tokens":296}"#),
        "data: [DONE]\n\n".to_owned(),
    ];
    let role = delta(r#"{"role":"assistant","content":""}"#, "null");
    answer("text/event-stream; charset=utf-8", std::iter::once(role).chain(contents).chain(ends))
}

fn prompt(bytes: usize, stream: bool) -> Bytes {
    let text = "Whether it is worth it depends on what it is for. ".repeat(bytes / 50 + 1);
    let text = &text[..bytes];
    Bytes::from(format!(
        r#"{{"messages":[{{"role":"system","content":"Be brief."}},{{"role":"user","content":"{text}"}}],"max_tokens":400,"temperature":0.2,"stream":{stream}}}"#
    ))
}

fn request<B>(body: impl Into<B>) -> Request<B> {
    Request::post(ADDRESS)
        .header("content-type", "application/json")
        .header("api-key", "none")
        .body(body.into())
        .expect("a valid request")
}

fn leaf<B>(
    answer: Response<Frames>,
) -> impl Service<Request<B>, Response = Response<Frames>, Error = Infallible, Future: Send> + Clone {
    service_fn(move |request: Request<B>| {
        black_box(request);
        std::future::ready(Ok(answer.clone()))
    })
}

/// Sends the request again and again, and reads each answer to its end.
fn time<S, B, R>(runtime: &Runtime, iterations: u64, mut service: S, request: &Request<B>) -> Duration
where
    S: Service<Request<B>, Response = Response<R>, Error: std::fmt::Debug>,
    B: Clone,
    R: Body<Data = Bytes, Error: std::fmt::Debug>,
{
    runtime.block_on(async {
        let start = Instant::now();
        for _ in 0..iterations {
            let response = service.ready().await.expect("ready").call(request.clone()).await.expect("an answer");
            let mut body = std::pin::pin!(response.into_body());
            while !body.is_end_stream()
                && let Some(frame) = body.frame().await
            {
                black_box(frame.expect("a frame"));
            }
        }
        Instant::now().saturating_duration_since(start)
    })
}

fn limits() -> AttemptTimeoutLayer {
    let seconds = Duration::from_secs;
    AttemptTimeoutLayer::new().first_byte(seconds(60)).first_token(seconds(90)).idle(seconds(30)).total(seconds(600))
}

fn calls(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    for (name, answer, events) in [("json", json(), 1), ("stream", stream(), EVENTS)] {
        let request = request::<Full<Bytes>>(prompt(1024, name == "stream"));
        let leaf = leaf(answer.clone());
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(events as u64));
        group.bench_function("bare", |bencher| {
            bencher.iter_custom(|times| time(&runtime, times, leaf.clone(), &request));
        });
        group.bench_function("prepare", |bencher| {
            let service = PrepareLayer::new().layer(self::leaf(answer.clone()));
            bencher.iter_custom(|times| time(&runtime, times, service.clone(), &request));
        });
        group.bench_function("observe", |bencher| {
            let service = ObserveLayer::new().layer(leaf.clone());
            bencher.iter_custom(|times| time(&runtime, times, service.clone(), &request));
        });
        group.bench_function("deadline", |bencher| {
            let service = DeadlineLayer::new(Duration::from_secs(120)).layer(leaf.clone());
            bencher.iter_custom(|times| time(&runtime, times, service.clone(), &request));
        });
        group.bench_function("attempt timeout", |bencher| {
            let service = limits().layer(leaf.clone());
            bencher.iter_custom(|times| time(&runtime, times, service.clone(), &request));
        });
        group.bench_function("the five together", |bencher| {
            let service = ServiceBuilder::new()
                .layer(PrepareLayer::new())
                .layer(DeadlineLayer::new(Duration::from_secs(120)))
                .layer(IncludeUsageLayer::new())
                .layer(ObserveLayer::new())
                .layer(limits())
                .service(self::leaf(answer.clone()));
            bencher.iter_custom(|times| time(&runtime, times, service.clone(), &request));
        });
        group.finish();
    }
}

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("Call::read");
    let (uri, headers) = (Uri::from_static(ADDRESS), HeaderMap::new());
    for kib in [1, 16, 128] {
        let body = prompt(kib * 1024, false);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{kib} KiB")), |bencher| {
            bencher.iter(|| Call::read(black_box(&uri), &headers, black_box(&body)));
        });
    }
    group.finish();
}

fn classify(criterion: &mut Criterion) {
    const BODY: &[u8] = b"{\"error\":{\"code\":\"429\",\"message\":\"Requests to the ChatCompletions_Create Operation under \
        Azure OpenAI API version 2024-10-21 have exceeded token rate limit of your current OpenAI S0 pricing tier. Please \
        retry after 7 seconds. Please go here: https://aka.ms/oai/quotaincrease if you would like to further increase the \
        default rate limit.\"}}";
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("retry-after-ms", "7412"),
        ("retry-after", "7"),
        ("x-ratelimit-limit-tokens", "1500000"),
        ("x-ratelimit-remaining-tokens", "-27689"),
        ("x-ratelimit-type", "Tokens"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let head = ResponseHead { status: StatusCode::TOO_MANY_REQUESTS, headers: &headers };
    let (classifier, call) = (AzureClassifier::new(), Call::default());
    criterion.bench_function("AzureClassifier, 429", |bencher| {
        bencher.iter(|| {
            black_box(classifier.head(&call, black_box(head)));
            classifier.error_body(&call, black_box(head), black_box(BODY))
        });
    });
}

criterion_group!(layers, calls, read, classify);
criterion_main!(layers);
