//! What the whole preset costs a call that needs nothing of it, beside a stack of tower's and tower-resilience's layers
//! of the same functions, put together by hand. The leaf answers at once.
//!
//! Printed first: allocations per call, counted. Then the times. `--calls N CASE` makes so many calls and measures
//! nothing, for a profiler: instructions per call are the difference of two such runs.
#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::print_stdout)] // a command line program

use std::{
    alloc::System,
    convert::Infallible,
    env,
    future::{Ready, ready},
    hint::black_box,
    marker::PhantomData,
    process,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use criterion::{BatchSize, Criterion};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use stats_alloc::{Region, StatsAlloc};
use tokio::runtime::{Builder, Runtime};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt,
    balance::p2c::Balance,
    buffer::BufferLayer,
    discover::ServiceList,
    load::{CompleteOnResponse, PendingRequestsDiscover},
    util::BoxCloneSyncService,
};
use tower_aoai::{
    Stack,
    config::{Config, EndpointConfig, LegConfig, ModelConfig, ResourceConfig},
    core::{ObserveLayer, PrepareLayer, RequestBody},
};
use tower_resilience_bulkhead::BulkheadLayer;
use tower_resilience_circuitbreaker::CircuitBreakerLayer;
use tower_resilience_fallback::FallbackLayer;
use tower_resilience_ratelimiter::RateLimiterLayer;
use tower_resilience_retry::RetryLayer;
use tower_resilience_timelimiter::TimeLimiterLayer;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &stats_alloc::INSTRUMENTED_SYSTEM;

type Plain = Full<Bytes>;
type Erased = BoxCloneSyncService<Request<Plain>, Response<Plain>, BoxError>;

const ANSWER: &str =
    r#"{"model":"gpt-4o-2024-08-06","choices":[],"usage":{"prompt_tokens":400,"completion_tokens":20}}"#;

/// Answers at once, and copies nothing.
#[derive(Clone)]
struct Leaf<B>(PhantomData<fn(B)>);

impl<B> Leaf<B> {
    const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<B> Service<Request<B>> for Leaf<B> {
    type Response = Response<Plain>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Plain>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        black_box(&request);
        let mut response = Response::new(Full::from(ANSWER));
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
        ready(Ok(response))
    }
}

/// A prompt of a few hundred tokens, with the headers of an SDK.
fn request() -> Request<Plain> {
    let prompt = "Why is the sky blue, and the sea? ".repeat(48);
    let body = format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"{prompt}"}}],"max_tokens":200}}"#);
    Request::post("https://one.openai.azure.com/openai/v1/chat/completions")
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .header("user-agent", "bench")
        .body(Full::from(body))
        .expect("a valid request")
}

fn endpoints(names: &[&str]) -> Config {
    names.iter().fold(Config::new(), |config, name| {
        let resource =
            ResourceConfig::new(*name, format!("https://{name}.openai.azure.com")).api_key("0123456789abcdef");
        let endpoint = EndpointConfig::new(*name, *name).deployment("gpt-4o").tokens_per_minute(1_000_000_000_000);
        config.resource(resource).endpoint(endpoint.requests_per_minute(1_000_000_000))
    })
}

fn preset(config: Config) -> Stack {
    Stack::builder(config).transport(Leaf::new()).seed(7).build().expect("a stack")
}

fn two_legs() -> Config {
    let legs = ModelConfig::new().leg(LegConfig::new("first", ["east"])).leg(LegConfig::new("second", ["west"]));
    endpoints(&["east", "west"]).model("gpt-4o", legs)
}

/// What the neighbours' layers say in one word, for each of them has an error of its own.
#[derive(Debug, Clone)]
struct Failed;

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("failed")
    }
}

impl std::error::Error for Failed {}

/// A circuit, a rate, a bulkhead and a time limit around the leaf: what an endpoint has.
fn guarded()
-> impl Service<Request<Plain>, Response = Response<Plain>, Error = Failed, Future: Send> + Clone + Send + Sync {
    let limited = TimeLimiterLayer::builder().timeout_duration(Duration::from_secs(300)).build();
    let bulkhead = BulkheadLayer::builder().max_concurrent_calls(1_000).build().expect("a bulkhead");
    let rate = RateLimiterLayer::builder().limit_for_period(1_000_000_000).refresh_period(Duration::from_secs(60));
    let rate = rate.timeout_duration(Duration::from_secs(1)).build().expect("a rate");
    let circuit = CircuitBreakerLayer::builder().build().expect("a circuit");
    let service = limited.layer(Leaf::<Plain>::new()).map_err(|_| Failed);
    let service = bulkhead.layer(service).map_err(|_| Failed);
    let service = rate.layer(service).map_err(|_| Failed);
    circuit.layer(service).map_err(|_| Failed)
}

fn retried<S>(service: S) -> Erased
where
    S: Service<Request<Plain>, Response = Response<Plain>, Error = Failed, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    let retry = RetryLayer::<Request<Plain>, Response<Plain>, Failed>::builder().max_attempts(4).build();
    let fallback = FallbackLayer::<Request<Plain>, Response<Plain>, Failed>::from_error(|_| Response::default());
    let service = retry.layer(service).map_err(|_| Failed);
    let service = fallback.layer(service).map_err(BoxError::from);
    BoxCloneSyncService::new(service)
}

/// tower's balancer cannot be cloned, and a retry clones: so it needs a buffer, and a task.
fn balanced() -> Erased {
    let services: Vec<_> = (0..3).map(|_| guarded()).collect();
    let discover =
        PendingRequestsDiscover::new(ServiceList::new::<Request<Plain>>(services), CompleteOnResponse::default());
    let balance = Balance::new(discover).map_err(|_: BoxError| Failed);
    let buffered = ServiceBuilder::new().layer(BufferLayer::new(1_024)).service(balance);
    retried(buffered.map_err(|_| Failed))
}

/// The cases by name, each as one service; a body is read to its end.
fn cases(runtime: &Runtime) -> Vec<(&'static str, Erased)> {
    let _inside = runtime.enter();
    fn erased<S, B>(service: S) -> Erased
    where
        S: Service<Request<Plain>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError> + 'static,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError> + std::fmt::Debug> + Send + 'static,
    {
        let read = service.map_err(Into::into).and_then(|response: Response<B>| async move {
            black_box(response.into_body().collect().await.map_err(Into::into)?);
            Ok::<_, BoxError>(Response::default())
        });
        BoxCloneSyncService::new(read)
    }
    let door = ServiceBuilder::new().layer(PrepareLayer::new()).service(Leaf::<RequestBody>::new());
    let observed =
        ServiceBuilder::new().layer(PrepareLayer::new()).layer(ObserveLayer::new()).service(Leaf::<RequestBody>::new());
    vec![
        ("leaf", erased(Leaf::<Plain>::new())),
        ("door", erased(door)),
        ("door and observer", erased(observed)),
        ("preset", erased(preset(endpoints(&["east"])))),
        ("preset, three endpoints", erased(preset(endpoints(&["east", "west", "sweden"])))),
        ("preset, two legs", erased(preset(two_legs()))),
        ("neighbours", erased(retried(guarded()))),
        ("neighbours, three balanced", erased(balanced())),
    ]
}

async fn call(service: &mut Erased, request: Request<Plain>) {
    let ready = service.ready().await.expect("always ready");
    drop(black_box(ready.call(request).await.expect("always answered")));
}

fn count(name: &str, runtime: &Runtime, service: &mut Erased) {
    const CALLS: usize = 1_000;
    let request = request();
    runtime.block_on(async {
        for _ in 0..100 {
            call(service, request.clone()).await;
        }
        let requests: Vec<_> = (0..CALLS).map(|_| request.clone()).collect();
        let region = Region::new(ALLOCATOR);
        for request in requests {
            call(service, request).await;
        }
        let change = region.change();
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let each = |count: usize| count as f64 / CALLS as f64;
        println!(
            "{name:<28} {:>6.1} allocations, {:>8.0} bytes a call",
            each(change.allocations + change.reallocations),
            each(change.bytes_allocated)
        );
    });
}

fn main() {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let mut cases = cases(&runtime);
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let Some(place) = arguments.iter().position(|argument| argument == "--calls") {
        let calls: usize = arguments.get(place + 1).and_then(|calls| calls.parse().ok()).unwrap_or(0);
        let wanted = arguments.get(place + 2).map_or("preset", String::as_str);
        let Some((_, service)) = cases.iter_mut().find(|(name, _)| *name == wanted) else { process::exit(2) };
        let request = request();
        runtime.block_on(async {
            for _ in 0..calls {
                call(service, request.clone()).await;
            }
        });
        return;
    }
    for (name, service) in &mut cases {
        count(name, &runtime, service);
    }
    let mut criterion = Criterion::default().configure_from_args();
    for (name, mut service) in cases {
        let request = request();
        criterion.bench_function(name, |bencher| {
            bencher.iter_batched(
                || request.clone(),
                |request| runtime.block_on(call(&mut service, request)),
                BatchSize::SmallInput,
            );
        });
    }
    criterion.final_summary();
}
