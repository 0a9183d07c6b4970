//! What telling of calls and attempts costs, over a transport that answers at once and without a subscriber.
//!
//! Every figure holds the request's clone and the reading of the answer to its end: what the layers add is the
//! difference to `observed`. Allocations are counted beforehand, over ten thousand calls.

#![allow(clippy::print_stdout)] // figures

use std::{alloc::System, convert::Infallible, sync::Arc};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_aoai::{
    core::{Error, ObserveLayer, PrepareLayer, RequestBody},
    telemetry::{AttemptTelemetryLayer, CallTelemetryLayer, metrics::MetricsRecorder},
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CALLS: usize = 10_000;

const ANSWER: &str = r#"{"id":"1","model":"gpt-4o-2024-11-20","choices":[{"index":0,"message":{"role":"assistant","content":"It depends."},"finish_reason":"stop"}],"usage":{"prompt_tokens":250,"completion_tokens":180,"total_tokens":430}}"#;

type Stack =
    BoxCloneSyncService<Request<Full<Bytes>>, Response<http_body_util::combinators::BoxBody<Bytes, Error>>, Error>;

fn stack(calls: CallTelemetryLayer, attempts: AttemptTelemetryLayer) -> Stack {
    let leaf = service_fn(|_: Request<RequestBody>| async {
        let mut response = Response::new(Full::<Bytes>::from(ANSWER));
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
        Ok::<_, Infallible>(response)
    });
    let service = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(BodyExt::boxed))
        .layer(PrepareLayer::new())
        .layer(calls)
        .layer(attempts)
        .layer(ObserveLayer::new())
        .service(leaf);
    BoxCloneSyncService::new(service)
}

fn request() -> Request<Full<Bytes>> {
    Request::post("https://r.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
        .header("content-type", "application/json")
        .body(Full::from(r#"{"messages":[{"role":"user","content":"Is it worth it?"}],"max_tokens":400}"#))
        .expect("a valid request")
}

async fn call(service: &mut Stack, request: Request<Full<Bytes>>) -> usize {
    let response = service.ready().await.expect("ready").call(request).await.expect("an answer");
    response.into_body().collect().await.expect("a body").to_bytes().len()
}

fn telemetry(bench: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let (off, on) = (CallTelemetryLayer::off(), CallTelemetryLayer::new());
    let (attempt_off, attempt_on) = (AttemptTelemetryLayer::off(), AttemptTelemetryLayer::new("eastus"));
    // No exporter is installed: what is measured is ours.
    let metrics = Arc::new(MetricsRecorder::new());
    let stacks = [
        ("observed", stack(off.clone(), attempt_off.clone())),
        ("calls", stack(on.clone(), attempt_off)),
        ("attempts", stack(off, attempt_on.clone())),
        ("both", stack(on.clone(), attempt_on.clone())),
        ("both, with metrics", stack(on.recorder(metrics.clone()), attempt_on.recorder(metrics))),
    ];
    let mut group = bench.benchmark_group("telemetry");
    for (name, mut service) in stacks {
        let request = request();
        runtime.block_on(async {
            call(&mut service, request.clone()).await;
            let region = Region::new(ALLOCATOR);
            for _ in 0..CALLS {
                call(&mut service, request.clone()).await;
            }
            let made = region.change();
            let of_one = |count: usize| count as f64 / CALLS as f64;
            println!(
                "{name}: {:.2} allocations, {:.0} bytes a call",
                of_one(made.allocations),
                of_one(made.bytes_allocated)
            );
        });
        group.bench_function(name, |bench| bench.iter(|| runtime.block_on(call(&mut service, request.clone()))));
    }
    group.finish();
}

criterion_group!(benches, telemetry);
criterion_main!(benches);
