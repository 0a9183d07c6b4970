//! What a fallback costs a call whose first leg answers: one ready-and-call over leaves that are always ready.

use std::{
    convert::Infallible,
    future::{Future, ready},
    hint::black_box,
};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::Full;
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service, ServiceExt, layer::util::Identity, service_fn};
use tower_aoai_core::{CallContext, try_clone_request};
use tower_aoai_fallback::{FallbackLayer, Leg, TokenPrice};
use tower_resilience_fallback::FallbackLayer as ResilienceFallback;

type Plain = Full<Bytes>;

fn leaf() -> impl Service<Request<Plain>, Response = Response<Plain>, Error = Infallible, Future: Send> + Clone {
    service_fn(|request: Request<Plain>| {
        black_box(&request);
        ready(Ok(Response::default()))
    })
}

/// Only keeps a copy of the request, as every fallback must.
#[derive(Clone)]
struct CloneOnly<S>(S);

impl<S: Service<Request<Plain>>> Service<Request<Plain>> for CloneOnly<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Plain>) -> Self::Future {
        black_box(try_clone_request(&request));
        self.0.call(request)
    }
}

/// As a layer at the door leaves it, with the headers of a call to Azure OpenAI.
fn prepared() -> Request<Plain> {
    let mut request = Request::post("https://one.openai.azure.com/openai/v1/chat/completions")
        .header("api-key", "0123456789abcdef0123456789abcdef")
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .header("user-agent", "bench")
        .header("x-ms-client-request-id", "9f2d1c3e-0000-4000-8000-000000000000")
        .header("accept-encoding", "gzip")
        .body(Full::from("{}"))
        .expect("a valid request");
    CallContext::of(&mut request);
    request
}

/// The same, as hyper reads it from a connection: the values of all headers are parts of one buffer.
fn received() -> Request<Plain> {
    let mut request = prepared();
    let whole: Vec<u8> = request.headers().values().flat_map(http::HeaderValue::as_bytes).copied().collect();
    let mut whole = Bytes::from(whole);
    // A second owner, as the connection is one.
    black_box(whole.clone());
    for value in request.headers_mut().values_mut() {
        let part = whole.split_to(value.len());
        *value = http::HeaderValue::from_maybe_shared(part).expect("it was valid");
    }
    request
}

fn measure<S, F>(criterion: &mut Criterion, runtime: &Runtime, name: &str, service: S)
where
    S: Service<Request<Plain>, Future = F>,
    F: Future<Output = Result<S::Response, S::Error>>,
    S::Error: std::fmt::Debug,
{
    measure_with(criterion, runtime, name, prepared, service);
}

fn measure_with<S, F>(
    criterion: &mut Criterion,
    runtime: &Runtime,
    name: &str,
    request: impl Fn() -> Request<Plain>,
    mut service: S,
) where
    S: Service<Request<Plain>, Future = F>,
    F: Future<Output = Result<S::Response, S::Error>>,
    S::Error: std::fmt::Debug,
{
    criterion.bench_function(name, |bencher| {
        bencher.iter_batched(
            &request,
            |request| {
                runtime.block_on(async {
                    let ready = service.ready().await.expect("always ready");
                    ready.call(request).await.expect("always answered")
                })
            },
            BatchSize::SmallInput,
        );
    });
}

fn overhead(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let legs = || ["ptu", "standard"].map(|name| Leg::new(name, Identity::new()));
    measure(criterion, &runtime, "bare", leaf());
    measure(criterion, &runtime, "bare, with a copy of the request", CloneOnly(leaf()));
    let one = FallbackLayer::new([Leg::new("only", Identity::new())]).expect("a leg");
    measure(criterion, &runtime, "one leg", one.layer(leaf()));
    let two = FallbackLayer::new(legs()).expect("two legs");
    measure(criterion, &runtime, "two legs", two.layer(leaf()));
    measure_with(criterion, &runtime, "received: bare", received, leaf());
    measure_with(criterion, &runtime, "received: bare, with a copy of the request", received, CloneOnly(leaf()));
    measure_with(criterion, &runtime, "received: two legs", received, two.layer(leaf()));
    let [ptu, standard] = legs();
    let priced = [ptu.provisioned(), standard.price(TokenPrice::new(2_500, 10_000))];
    let priced = FallbackLayer::new(priced).expect("two legs");
    measure(criterion, &runtime, "two legs, provisioned and priced", priced.layer(leaf()));
    let peer = ResilienceFallback::<Request<Plain>, Response<Plain>, Infallible>::value(Response::default());
    measure(criterion, &runtime, "tower-resilience fallback", peer.layer(leaf()));
}

criterion_group!(benches, overhead);
criterion_main!(benches);
