//! What booking costs a call that is not streamed: one ready-and-call, its body read to the end.

use std::{
    convert::Infallible,
    future::{Future, ready},
    hint::black_box,
};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_aoai_core::{Call, CallContext, ObserveLayer};
use tower_aoai_cost::{Budget, CostLayer, CostLog, Money, Period, Tag, Tags};

type Plain = Full<Bytes>;

const ANSWER: &str =
    r#"{"model":"gpt-4o-2024-11-20","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":200}}"#;
const ASKED: &str = r#"{"messages":[{"role":"user","content":"Say it in a few words."}],"max_tokens":200}"#;

fn leaf() -> impl Service<Request<Plain>, Response = Response<Plain>, Error = Infallible, Future: Send> + Clone {
    service_fn(|request: Request<Plain>| {
        black_box(&request);
        let response = Response::builder().header("content-type", "application/json");
        ready(Ok(response.body(Full::from(ANSWER)).expect("a valid response")))
    })
}

/// As a layer at the door leaves it.
fn prepared() -> Request<Plain> {
    let mut request = Request::post("https://one.openai.azure.com/openai/deployments/gpt-4o/chat/completions")
        .header("content-type", "application/json")
        .extension(Tags::new().task("summarise").agent("writer"))
        .body(Full::from(ASKED))
        .expect("a valid request");
    let call = Call::read(request.uri(), request.headers(), ASKED.as_bytes());
    CallContext::of(&mut request).amend_call(|known| *known = call);
    request
}

fn measure<S, F, B>(criterion: &mut Criterion, runtime: &Runtime, name: &str, mut service: S)
where
    S: Service<Request<Plain>, Response = Response<B>, Future = F>,
    F: Future<Output = Result<Response<B>, S::Error>>,
    S::Error: std::fmt::Debug,
    B: Body<Error: std::fmt::Debug>,
{
    criterion.bench_function(name, |bencher| {
        bencher.iter_batched(
            prepared,
            |request| {
                runtime.block_on(async {
                    let ready = service.ready().await.expect("always ready");
                    let response = ready.call(request).await.expect("always answered");
                    response.into_body().collect().await.expect("a whole body")
                })
            },
            BatchSize::SmallInput,
        );
    });
}

fn overhead(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let observed = || ObserveLayer::new().layer(leaf());
    let with = |layer: CostLayer| ServiceBuilder::new().layer(layer).service(observed());
    let budget = || Budget::new("each agent", Money::dollars(1_000_000), Period::Day).each(Tag::Agent);
    measure(criterion, &runtime, "bare", leaf());
    measure(criterion, &runtime, "observed", observed());
    measure(criterion, &runtime, "off", with(CostLayer::off()));
    measure(criterion, &runtime, "booked", with(CostLayer::new()));
    measure(criterion, &runtime, "booked, a budget that alerts", with(CostLayer::new().budget(budget())));
    measure(criterion, &runtime, "booked, a budget enforced", with(CostLayer::new().budget(budget().enforce())));
    let folder = tempfile::tempdir().expect("a folder");
    let log = CostLog::open(folder.path().join("cost.log")).expect("a log");
    measure(criterion, &runtime, "booked, and logged", with(CostLayer::new().log(log).expect("attached")));
}

criterion_group!(benches, overhead);
criterion_main!(benches);
