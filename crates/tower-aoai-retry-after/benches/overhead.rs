//! What the layer costs a call that succeeds at once: one ready-and-call over a leaf that is always ready.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::Full;
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service, ServiceExt, retry, service_fn};
use tower_aoai_core::{CallContext, try_clone_request};
use tower_aoai_retry_after::{RetryAfterLayer, RetryPolicy};

type Plain = Full<Bytes>;

/// `tower::retry`'s least: keeps a copy of each request and retries nothing.
#[derive(Clone)]
struct CloneOnly;

impl<E> retry::Policy<Request<Plain>, Response<Plain>, E> for CloneOnly {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Request<Plain>, _: &mut Result<Response<Plain>, E>) -> Option<Self::Future> {
        None
    }

    fn clone_request(&mut self, request: &Request<Plain>) -> Option<Request<Plain>> {
        Some(request.clone())
    }
}

fn leaf() -> impl Service<Request<Plain>, Response = Response<Plain>, Error = Infallible, Future: Send> + Clone {
    service_fn(|request: Request<Plain>| {
        black_box(&request);
        ready(Ok(Response::default()))
    })
}

fn empty() -> Request<Plain> {
    Request::default()
}

/// What a call to Azure OpenAI looks like.
fn typical() -> Request<Plain> {
    Request::post("https://one.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
        .header("api-key", "0123456789abcdef0123456789abcdef")
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .header("user-agent", "bench")
        .header("x-ms-client-request-id", "9f2d1c3e-0000-4000-8000-000000000000")
        .header("accept-encoding", "gzip")
        .body(Full::from("{}"))
        .expect("a valid request")
}

fn measure<S>(criterion: &mut Criterion, runtime: &Runtime, name: &str, service: &S)
where
    S: Service<Request<Plain>, Response = Response<Plain>> + Clone,
    S::Error: std::fmt::Debug,
{
    for (kind, make) in [("empty", empty as fn() -> _), ("6 headers", typical), ("6 headers, prepared", typical)] {
        let is_prepared = kind.ends_with("prepared");
        let mut service = service.clone();
        let request = make();
        criterion.bench_function(&format!("{name}/{kind}"), |bencher| {
            bencher.iter_batched(
                || {
                    let mut request = try_clone_request(&request).expect("a plain body");
                    if is_prepared {
                        // As a layer at the door would.
                        CallContext::of(&mut request);
                    }
                    request
                },
                |request| {
                    runtime.block_on(async {
                        let ready = service.ready().await.expect("always ready");
                        ready.call(request).await.expect("always answered")
                    })
                },
                criterion::BatchSize::SmallInput,
            );
        });
    }
}

fn overhead(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let off = RetryAfterLayer::off();
    let single = RetryAfterLayer::new(RetryPolicy::never());
    let on = RetryAfterLayer::default();
    let without_budget = RetryAfterLayer::default().budget(None);
    let tower = retry::RetryLayer::new(CloneOnly);
    measure(criterion, &runtime, "bare", &leaf());
    measure(criterion, &runtime, "retry off", &off.layer(leaf()));
    measure(criterion, &runtime, "one send", &single.layer(leaf()));
    measure(criterion, &runtime, "retry on", &on.layer(leaf()));
    measure(criterion, &runtime, "no budget", &without_budget.layer(leaf()));
    measure(criterion, &runtime, "tower::retry", &tower.layer(leaf()));
}

criterion_group!(benches, overhead);
criterion_main!(benches);
