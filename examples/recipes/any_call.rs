//! Exponential retry of any call, HTTP or not.
//!
//! ```sh
//! cargo run --example any_call
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::time::Instant;
use tower_aoai::{
    core::BoxError,
    retry_after::{Backoff, Jitter, RetryPolicy, retry},
};

/// A search index that is busy three times.
#[derive(Default)]
struct Index {
    asked: AtomicU32,
}

impl Index {
    async fn search(&self, words: &str) -> Result<String, BoxError> {
        match self.asked.fetch_add(1, Ordering::Relaxed) {
            0..3 => Err("the index is busy".into()),
            _ => Ok(format!("three documents about {words}")),
        }
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let (index, start) = (Index::default(), Instant::now());
    // [any-call]
    // 1, 2, 4, 8 s, each and up to a second more; the last error comes back.
    let backoff = Backoff::exponential(Duration::from_secs(1)).cap(Duration::from_secs(60));
    let policy = RetryPolicy::new().max_attempts(5).backoff(backoff.jitter(Jitter::Additive(Duration::from_secs(1))));

    let found = retry(policy, || index.search("teapots")).await?;
    // [end]
    let waited = Instant::now() - start;
    let asked = index.asked.load(Ordering::Relaxed);
    println!("{found}, after {asked} tries and {:.1} s of waiting (simulated)", waited.as_secs_f64());
    assert_eq!(asked, 4);
    assert!((7..=10).contains(&waited.as_secs()), "1 + 2 + 4 s, and up to one more for each");
    Ok(())
}
