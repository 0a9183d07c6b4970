//! What a closed circuit costs a call, and a refusal; beside a neighbour. One ready-and-call over a leaf that answers at
//! once, with the answer dropped.
//!
//! A breaker needs a record of the attempt, which core keeps. Where an observer stands below, it has one made in any
//! case: that is the leaf of the cases "observed". `alone/attempt` is the record without a breaker: what of
//! `alone/closed` is core's.

use std::{convert::Infallible, future::ready, hint::black_box, time::Duration};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::Full;
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_aoai_circuit_breaker::CircuitBreakerLayer;
use tower_aoai_core::{CallContext, Outcome};
use tower_resilience_circuitbreaker::{CircuitBreakerLayer as Neighbour, SlidingWindowType};

type Plain = Full<Bytes>;

fn leaf() -> impl Service<Request<Plain>, Response = Response<Plain>, Error = Infallible, Future: Send> + Clone {
    service_fn(|request: Request<Plain>| {
        black_box(&request);
        ready(Ok(Response::default()))
    })
}

/// Has an attempt, and nothing more.
fn attempted() -> impl Service<Request<Plain>, Response = Response<Plain>, Error = Infallible, Future: Send> + Clone {
    service_fn(|mut request: Request<Plain>| {
        black_box(CallContext::of(&mut request).attempt());
        ready(Ok(Response::default()))
    })
}

/// Writes the attempt, as the observer does.
fn observed() -> impl Service<Request<Plain>, Response = Response<Plain>, Error = Infallible, Future: Send> + Clone {
    service_fn(|mut request: Request<Plain>| {
        let context = CallContext::of(&mut request);
        let now = context.now();
        context.attempt().judge_unobserved(now, Outcome::Success.into());
        ready(Ok(Response::default()))
    })
}

fn measure<S, B>(criterion: &mut Criterion, runtime: &Runtime, name: &str, mut service: S)
where
    S: Service<Request<Plain>, Response = Response<B>>,
    S::Error: std::fmt::Debug,
{
    criterion.bench_function(name, |bencher| {
        bencher.iter_batched(
            || {
                let mut request = Request::default();
                CallContext::of(&mut request);
                request
            },
            |request| {
                runtime.block_on(async {
                    let ready = service.ready().await.expect("always ready");
                    drop(black_box(ready.call(request).await));
                });
            },
            BatchSize::SmallInput,
        );
    });
}

fn benches(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    measure(criterion, &runtime, "alone/bare", leaf());
    measure(criterion, &runtime, "alone/attempt", attempted());
    measure(criterion, &runtime, "alone/closed", CircuitBreakerLayer::new().layer(leaf()));
    measure(criterion, &runtime, "alone/off", CircuitBreakerLayer::off().layer(leaf()));
    measure(criterion, &runtime, "observed/bare", observed());
    measure(criterion, &runtime, "observed/closed", CircuitBreakerLayer::new().layer(observed()));

    let open = CircuitBreakerLayer::new();
    open.handle().trip();
    measure(criterion, &runtime, "alone/open", open.layer(leaf()));

    let counting = Neighbour::builder().build().expect("a valid configuration");
    measure(criterion, &runtime, "tower-resilience/closed, by count", counting.layer(leaf()));
    let timing = Neighbour::builder()
        .sliding_window_type(SlidingWindowType::TimeBased)
        .sliding_window_duration(Duration::from_millis(10))
        .build()
        .expect("a valid configuration");
    measure(criterion, &runtime, "tower-resilience/closed, 10 ms", timing.layer(leaf()));
}

criterion_group!(all, benches);
criterion_main!(all);
