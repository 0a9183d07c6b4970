//! What a choice costs, by the number of members: one call through the balancer over leaves that answer at once, with
//! tower's `p2c::Balance` beside it.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::Full;
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service, ServiceExt, balance::p2c, discover::ServiceList, load::Constant, service_fn};
use tower_aoai_balance::{BalanceLayer, Member, Strategy};
use tower_aoai_circuit_breaker::CircuitBreakerLayer;
use tower_aoai_core::CallContext;
use tower_aoai_token_bucket::{Quota, TokenBucketLayer};

type Plain = Full<Bytes>;

const MEMBERS: [usize; 5] = [1, 2, 4, 16, 64];

const STRATEGIES: [Strategy; 3] = [Strategy::ExpectedFinish, Strategy::RoundRobin, Strategy::LeastInFlight];

fn leaf() -> impl Service<
    Request<Plain>,
    Response = Response<Plain>,
    Error = Infallible,
    Future = Ready<Result<Response<Plain>, Infallible>>,
> + Clone
+ Send
+ Sync
+ 'static {
    service_fn(|request: Request<Plain>| {
        black_box(&request);
        ready(Ok(Response::default()))
    })
}

/// What a call to Azure OpenAI looks like behind the door.
fn typical() -> Request<Plain> {
    let mut request =
        Request::post("https://one.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
            .header("api-key", "0123456789abcdef0123456789abcdef")
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .header("user-agent", "bench")
            .header("x-ms-client-request-id", "9f2d1c3e-0000-4000-8000-000000000000")
            .body(Full::from("{}"))
            .expect("a valid request");
    CallContext::of(&mut request);
    request
}

fn measure<S>(criterion: &mut Criterion, runtime: &Runtime, name: &str, members: usize, mut service: S)
where
    S: Service<Request<Plain>>,
    S::Error: std::fmt::Debug,
{
    criterion.bench_function(&format!("{name}/{members}"), |bencher| {
        bencher.iter_batched(
            typical,
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

fn members(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _entered = runtime.enter();
    measure(criterion, &runtime, "bare", 1, leaf());
    for count in MEMBERS {
        let names = || (0..count).map(|number| number.to_string());
        let towers = ServiceList::new(names().map(|_| Constant::new(leaf(), 1)));
        measure(criterion, &runtime, "tower p2c", count, p2c::Balance::new(towers));
        for strategy in STRATEGIES {
            let layer = BalanceLayer::from_fn(names(), Member::new).expect("members").strategy(strategy);
            measure(criterion, &runtime, &format!("{strategy:?}"), count, layer.layer(leaf()));
        }
        let gated = BalanceLayer::from_fn(names(), |name| {
            let quota = Quota::standard(u32::MAX.into()).requests_per_minute(u32::MAX.into());
            Member::new(name).asked(CircuitBreakerLayer::new()).asked(TokenBucketLayer::of(quota))
        });
        let service = gated.expect("members").layer(leaf());
        measure(criterion, &runtime, "ExpectedFinish, breaker and bucket", count, service);
    }
    let off = BalanceLayer::off(Member::new("one")).expect("a member");
    measure(criterion, &runtime, "off", 1, off.layer(leaf()));
}

criterion_group!(benches, members);
criterion_main!(benches);
