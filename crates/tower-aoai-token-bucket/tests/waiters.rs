//! What it costs to wait: every byte that the allocator gave, counted. Alone in its process, for its allocator.

use std::{
    alloc::System,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::time::Instant;
use tower_aoai_token_bucket::{Acquire, Charge, Order, Priority, Quota, TokenBucketLayer};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const WAITERS: usize = 100_000;

/// With a deadline each of them has the whole queue before it worked out when it comes.
const WITH_DEADLINE: usize = 1_000;

/// Bytes for each of so many, beside their futures.
fn bytes_a_waiter(waiters: usize, quota: Quota, make: impl Fn(Acquire, usize) -> Acquire) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let handle = TokenBucketLayer::of(quota.queue_limit(waiters)).handle();
        handle.acquire(Charge::tokens(1_000)).await.expect("a permit").sent();
        let mut futures: Vec<_> = (0..waiters).map(|nth| make(handle.acquire(Charge::tokens(600)), nth)).collect();
        let mut context = Context::from_waker(Waker::noop());
        let region = Region::new(ALLOCATOR);
        for future in &mut futures {
            assert!(matches!(Pin::new(future).poll(&mut context), Poll::Pending));
        }
        let held = region.change();
        assert_eq!(handle.snapshot().queued, waiters);
        drop(futures);
        assert_eq!((handle.snapshot().queued, handle.snapshot().outstanding_tokens), (0, 0));
        (held.bytes_allocated - held.bytes_deallocated) / waiters
    })
}

/// One test for all, so that nobody else allocates meanwhile.
#[test]
fn a_hundred_thousand_waiters_cost_at_most_256_bytes_each() {
    let standard = || Quota::standard(1_000);
    let fifo = bytes_a_waiter(WAITERS, standard(), |acquire, _| acquire);
    let by_class = bytes_a_waiter(
        WAITERS,
        standard().order(Order::Priority { ageing: Duration::from_secs(1) }),
        |acquire, nth| acquire.priority(Priority((nth % 7) as u8)),
    );
    let years = Duration::from_secs(10 * 365 * 86_400);
    let with_deadline = bytes_a_waiter(WITH_DEADLINE, standard(), |acquire, nth| {
        acquire.start_by(Instant::now() + years + Duration::from_secs((nth * 7_919 % WITH_DEADLINE) as u64))
    });
    for (what, bytes) in [("with a deadline", with_deadline), ("by class", by_class), ("fifo", fifo)] {
        assert!((64..=256).contains(&bytes), "{what}: {bytes}");
    }
}
