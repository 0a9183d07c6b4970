//! What it costs to reserve and settle: alone, by two threads at once, and beside its neighbours.

use std::{convert::Infallible, future::ready, hint::black_box, num::NonZeroU32, thread, time::Duration};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use governor::{Quota as Rate, RateLimiter};
use http::{Request, Response};
use http_body_util::Full;
use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use tower_aoai_core::CallContext;
use tower_aoai_token_bucket::{Charge, Limits, Quota, TokenBucketHandle, TokenBucketLayer};

type Plain = Full<Bytes>;

fn leaf() -> impl Service<Request<Plain>, Response = Response<Plain>, Error = Infallible, Future: Send> + Clone {
    service_fn(|mut request: Request<Plain>| {
        // As the observer does, who would be here.
        let context = CallContext::of(&mut request);
        let now = context.now();
        context.attempt().mark_sent(now);
        ready(Ok(Response::default()))
    })
}

/// Every dimension limited, and none of them in the way.
fn bucket() -> TokenBucketLayer {
    let limits =
        Limits::new().tokens_per_minute(u64::MAX / 4).requests_per_minute(u64::MAX / 4).max_in_flight(usize::MAX);
    TokenBucketLayer::of(Quota::new(limits))
}

fn through<S, B>(criterion: &mut Criterion, runtime: &Runtime, name: &str, service: S)
where
    S: Service<Request<Plain>, Response = Response<B>> + Clone,
    S::Error: std::fmt::Debug,
{
    let mut service = service;
    criterion.bench_function(&format!("service/{name}"), |bencher| {
        bencher.iter_batched(
            || {
                let mut request = Request::default();
                CallContext::of(&mut request);
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

fn admit(handle: &TokenBucketHandle) {
    let mut acquire = tokio_test::task::spawn(handle.acquire(Charge::tokens(1_000)));
    if let std::task::Poll::Ready(Ok(mut permit)) = acquire.poll() {
        permit.sent();
        black_box(permit.charge());
    }
}

/// The time that each of two threads needs for so many, both at it at once.
fn by_two(count: u64, work: impl Fn() + Sync) -> Duration {
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..count).for_each(|_| work()));
        }
    });
    Instant::now() - start
}

fn benches(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    through(criterion, &runtime, "bare", leaf());
    through(criterion, &runtime, "token bucket", bucket().layer(leaf()));
    through(criterion, &runtime, "token bucket off", TokenBucketLayer::off().layer(leaf()));
    through(criterion, &runtime, "tower concurrency limit", ConcurrencyLimitLayer::new(1 << 20).layer(leaf()));

    let handle = bucket().handle();
    criterion.bench_function("admit/acquire, sent, settled", |bencher| bencher.iter(|| admit(&handle)));
    criterion.bench_function("admit/acquire, sent, settled, 2 threads", |bencher| {
        bencher.iter_custom(|count| by_two(count, || admit(&handle)));
    });
    let rate = Rate::per_second(NonZeroU32::MAX);
    let governor = RateLimiter::direct(rate);
    let tokens = NonZeroU32::MIN;
    criterion.bench_function("admit/governor check_n", |bencher| bencher.iter(|| black_box(governor.check_n(tokens))));
    criterion.bench_function("admit/governor check_n, 2 threads", |bencher| {
        bencher.iter_custom(|count| by_two(count, || drop(black_box(governor.check_n(tokens)))));
    });
}

criterion_group!(all, benches);
criterion_main!(all);
