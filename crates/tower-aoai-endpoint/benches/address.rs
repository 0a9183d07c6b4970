//! What addressing costs a call, from every style to every other, over a leaf that is always ready.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::Full;
use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};
use tower::{Layer, Service, ServiceExt};
use tower_aoai_core::{Call, CallContext, RequestBody};
use tower_aoai_endpoint::{BaseUrl, Credential, Defaults, EndpointLayer, Token, TokenFuture};

const CLASSIC: &str = "https://one.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const V1: &str = "https://one.openai.azure.com/openai/v1/chat/completions";
const INFERENCE: &str = "https://one.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview";

#[derive(Clone)]
struct Leaf;

impl Service<Request<RequestBody>> for Leaf {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        black_box(&request);
        ready(Ok(Response::default()))
    }
}

/// A token that lives for an hour, as Entra's do.
#[derive(Debug)]
struct Hourly;

impl Credential for Hourly {
    fn token(&self) -> TokenFuture {
        let token = Token::bearer(&"e".repeat(1_500)).expect("a token");
        Box::pin(ready(Ok(token.expires_at(Instant::now() + Duration::from_secs(3_600)))))
    }
}

/// A prompt of 16 KiB in a call as it comes through the door.
fn call(uri: &str) -> Request<RequestBody> {
    let prompt = "Why is the sky blue, and the sea? ".repeat(480);
    let body = format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"{prompt}"}}],"stream":true}}"#);
    let mut request = Request::post(uri)
        .header("api-key", "0123456789abcdef0123456789abcdef")
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .header("user-agent", "bench")
        .header("x-ms-client-request-id", "9f2d1c3e-0000-4000-8000-000000000000")
        .header("accept-encoding", "gzip")
        .body(RequestBody::from(body))
        .expect("a valid request");
    let read = Call::of(&request).into_owned();
    request.extensions_mut().insert(CallContext::new(read, Instant::now()));
    request
}

fn measure<S>(criterion: &mut Criterion, runtime: &Runtime, name: &str, service: &S, uri: &str)
where
    S: Service<Request<RequestBody>, Response = Response<Full<Bytes>>> + Clone,
    S::Error: std::fmt::Debug,
{
    let mut service = service.clone();
    let request = call(uri);
    criterion.bench_function(name, |bencher| {
        bencher.iter_batched(
            || request.clone(),
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

fn address(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let layer = |base: &str| EndpointLayer::new(base.parse::<BaseUrl>().expect("a base URL")).model("gpt-4o", "east");
    let key = || Token::api_key("fedcba9876543210fedcba9876543210").expect("a key");
    let azure = || layer("https://east.openai.azure.com").credential(key());
    let targets = [
        ("classic", azure().classic("2024-10-21").expect("classic")),
        ("v1", azure()),
        ("inference", layer("https://east.services.ai.azure.com/models").credential(key())),
    ];
    measure(criterion, &runtime, "bare", &Leaf, CLASSIC);
    measure(criterion, &runtime, "off", &EndpointLayer::off().layer(Leaf), CLASSIC);
    for (from, uri) in [("classic", CLASSIC), ("v1", V1), ("inference", INFERENCE)] {
        for (to, layer) in &targets {
            measure(criterion, &runtime, &format!("{from} to {to}"), &layer.layer(Leaf), uri);
        }
    }
    let defaults = azure().defaults(Defaults::new().temperature(0.2).max_completion_tokens(1_000));
    measure(criterion, &runtime, "v1 to v1/defaults", &defaults.layer(Leaf), V1);
    let entra = layer("https://east.openai.azure.com").credential(Hourly);
    measure(criterion, &runtime, "v1 to v1/may be sent again", &entra.layer(Leaf), V1);
}

criterion_group!(benches, address);
criterion_main!(benches);
