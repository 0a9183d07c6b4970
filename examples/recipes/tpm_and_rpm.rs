//! A limiter that counts tokens and requests before the send: bare, and through the bucket.
//!
//! ```sh
//! cargo run --example tpm_and_rpm
//! ```
#![expect(clippy::print_stdout, reason = "that is what an example is for")]

#[path = "../chat.rs"]
mod chat;

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tower::{ServiceBuilder, ServiceExt};
use tower_aoai::{
    core::{BoxError, ObserveLayer, PrepareLayer},
    retry_after::RetryAfterLayer,
    token_bucket::{Limits, Quota, TokenBucketLayer},
};
use tower_aoai_simulator::{Deployment, Latency, Simulator, quota::RequestLimit};

use crate::chat::chat;

const CALLS: u32 = 200;

/// 600 requests a minute, which Azure counts in windows of a second: ten in each.
fn azure() -> Simulator {
    let deployment = Deployment::standard("gpt-4o").tokens_per_minute(100_000).requests_per_minute(600);
    let deployment = deployment.request_limit(RequestLimit::Fixed(Duration::from_secs(1)));
    Simulator::builder().latency(Latency::typical()).deployment(deployment).build()
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let without = azure();
    let bare = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(RetryAfterLayer::default())
        .layer(ObserveLayer::new())
        .service(without.clone());

    let with = azure();
    let transport = with.clone();
    // [tpm-and-rpm]
    // Azure counts requests over 1 or 10 s, and does not say which: 1 s is safe for both.
    let limits = Limits::new().tokens_per_minute(100_000).requests_per_minute(600);
    let bucket = TokenBucketLayer::of(Quota::new(limits.request_window(Duration::from_secs(1))));
    let handle = bucket.handle();

    let limited = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(RetryAfterLayer::default())
        .layer(bucket)
        .layer(ObserveLayer::new())
        .service(transport);
    // [end]
    let (mut bare_calls, mut limited_calls) = (JoinSet::new(), JoinSet::new());
    let start = Instant::now();
    // Twenty at once, every second.
    for number in 0..CALLS {
        let at = start + Duration::from_secs(u64::from(number / 20));
        let (bare, limited) = (bare.clone(), limited.clone());
        bare_calls.spawn(async move {
            sleep_until(at).await;
            bare.oneshot(chat("Hello")).await.is_ok_and(|response| response.status().is_success())
        });
        limited_calls.spawn(async move {
            sleep_until(at).await;
            let response = limited.oneshot(chat("Hello")).await;
            let is_answered = response.as_ref().is_ok_and(|response| response.status().is_success());
            if let Ok(response) = response {
                drop(response.into_body().collect().await);
            }
            is_answered
        });
    }
    let answered = |ends: Vec<bool>| ends.into_iter().filter(|is_answered| *is_answered).count();
    let (bare, limited) = (answered(bare_calls.join_all().await), answered(limited_calls.join_all().await));
    let refused =
        |azure: &Simulator| azure.journal().iter().filter(|served| served.status.is_some_and(|it| it == 429)).count();
    println!("retries alone:   {bare:>3} of {CALLS} answered, {:>3} times 429", refused(&without));
    println!("with the bucket: {limited:>3} of {CALLS} answered, {:>3} times 429", refused(&with));
    let snapshot = handle.snapshot();
    println!("waited {:.1?} on average, {:.1?} at most", snapshot.waited / CALLS, snapshot.longest_wait);
    assert_eq!((limited, refused(&with)), (CALLS as usize, 0));
    assert!(refused(&without) > 100);
    Ok(())
}
