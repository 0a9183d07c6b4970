//! A client-side limiter for any code: so many at once, so far apart, so many a minute.
//!
//! ```sh
//! cargo run --example client_limiter
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tower_aoai::{
    core::BoxError,
    token_bucket::{Charge, Limits, Quota, TokenBucketLayer},
};

/// Whatever takes two seconds and must not be done too often.
async fn work() {
    sleep(Duration::from_secs(2)).await;
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let start = Instant::now();
    // [client-limiter]
    let limits = Limits::new()
        .max_in_flight(3)
        .min_interval(Duration::from_millis(100))
        .requests_per_minute(60)
        .tokens_per_minute(150_000);
    let limiter = TokenBucketLayer::of(Quota::new(limits)).handle();

    let mut jobs = JoinSet::new();
    for _ in 0..90 {
        let limiter = limiter.clone();
        jobs.spawn(async move {
            let mut permit = limiter.acquire(Charge::tokens(1_000)).await?;
            permit.sent();
            work().await;
            Ok::<_, tower_aoai::core::Rejected>(permit.waited())
        });
    }
    // [end]
    let mut most = 0;
    let watched = limiter.clone();
    let watch = async {
        loop {
            most = most.max(watched.snapshot().in_flight);
            sleep(Duration::from_millis(50)).await;
        }
    };
    let waits = async {
        let mut waits = Vec::new();
        while let Some(job) = jobs.join_next().await {
            waits.push(job??);
        }
        Ok::<_, BoxError>(waits)
    };
    let waits = tokio::select! {
        biased;
        waits = waits => waits?,
        () = watch => Vec::new(),
    };
    let took = Instant::now() - start;
    let longest = waits.iter().max().copied().unwrap_or_default();
    println!(
        "{} jobs in {:.0} s, at most {most} at once; the last waited {longest:.0?}",
        waits.len(),
        took.as_secs_f64()
    );
    assert_eq!((waits.len(), most), (90, 3));
    assert!(took > Duration::from_secs(60), "60 a minute, and no more");
    Ok(())
}
