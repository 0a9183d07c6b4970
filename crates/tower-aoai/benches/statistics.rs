//! What it costs to tell statistics of a call, and to ask them.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use tokio::time::Instant;
use tower_aoai::{
    circuit_breaker::CircuitBreakerLayer,
    core::{Outcome, Usage},
    statistics::{EndpointHandles, LegHandles, ModelHandles, StackHandles, Statistics},
    telemetry::{AttemptRecord, CallEnding, CallRecord},
    token_bucket::{Quota, TokenBucketLayer},
};

/// A stack of ten endpoints, of each of which a thousand attempts are known.
fn statistics() -> Statistics {
    let leg = (0..10).fold(LegHandles::new("l"), |leg, number| {
        let bucket = TokenBucketLayer::of(Quota::standard(150_000)).handle();
        let endpoint = EndpointHandles::new(format!("endpoint {number}")).bucket(bucket);
        leg.endpoint(endpoint.breaker(CircuitBreakerLayer::new().handle()))
    });
    let statistics = Statistics::new(StackHandles::new("bench").model(ModelHandles::new("m").leg(leg)));
    for call in 0..10_000 {
        statistics.recorder().attempt(&attempt(call));
        statistics.recorder().call(&call_record(call));
    }
    statistics
}

fn attempt(number: u64) -> AttemptRecord {
    let mut attempt = AttemptRecord::new(format!("endpoint {}", number % 10), Outcome::Success, Instant::now());
    attempt.duration = Duration::from_millis(500 + number % 5_000);
    attempt.first_byte = Some(Duration::from_millis(100 + number % 500));
    attempt.usage = Some(Usage::new(250, 180));
    attempt
}

fn call_record(number: u64) -> CallRecord {
    let mut call = CallRecord::new(CallEnding::Answered, Instant::now());
    call.model = Some("gpt-4o-2024-11-20".into());
    call.duration = Duration::from_millis(500 + number % 5_000);
    call.usage = Some(Usage::new(250, 180 + number % 100));
    call.reserved_output = Some(1_000);
    call
}

fn bench(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _inside = runtime.enter();
    let statistics = statistics();
    let recorder = statistics.recorder();
    let mut group = criterion.benchmark_group("statistics");
    let (attempt, call) = (attempt(7), call_record(7));
    group.bench_function("told of an attempt", |bench| bench.iter(|| recorder.attempt(&attempt)));
    group.bench_function("told of a call", |bench| bench.iter(|| recorder.call(&call)));
    group.bench_function("a look at ten endpoints", |bench| bench.iter(|| statistics.tick(Instant::now())));
    group.bench_function("a snapshot of ten endpoints", |bench| bench.iter(|| statistics.snapshot()));
    group.bench_function("insights of ten endpoints", |bench| bench.iter(|| statistics.insights()));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
