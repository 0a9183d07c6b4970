//! `onRetry`: being told of each retry, and doing something before it.
//!
//! ```sh
//! cargo run --example on_retry
//! ```
#![expect(clippy::print_stdout, reason = "that is what an example is for")]

#[path = "../chat.rs"]
mod chat;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tower::{ServiceBuilder, ServiceExt};
use tower_aoai::{
    core::{BoxError, ObserveLayer, PrepareLayer},
    retry_after::RetryAfterLayer,
};
use tower_aoai_simulator::{Deployment, Scripted, Simulator};

use crate::chat::chat;

/// Whatever should know that calls are slow just now: a metric, a status page, a cache of connections.
#[derive(Debug, Default)]
struct StatusPage {
    retries: AtomicU32,
}

impl StatusPage {
    async fn note(&self, line: String) {
        // It may take its time: the next attempt starts when both this and the wait are over.
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.retries.fetch_add(1, Ordering::Relaxed);
        println!("{line}");
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let azure = Simulator::builder().deployment(Deployment::standard("gpt-4o")).build();
    azure.script("gpt-4o").then(Scripted::rate_limited(Duration::from_millis(1_250))).then(Scripted::status(500));

    let transport = azure.clone();
    let status_page = Arc::new(StatusPage::default());
    let page = Arc::clone(&status_page);
    // [on-retry]
    let retry = RetryAfterLayer::default().on_retry(move |event| {
        let page = Arc::clone(&page);
        let what = event.outcome.map_or("refused here", |outcome| outcome.name());
        let line = format!("attempt {}: {what}; {:?} in {:?}", event.attempt, event.reason, event.delay);
        async move { page.note(line).await }
    });

    let service =
        ServiceBuilder::new().layer(PrepareLayer::new()).layer(retry).layer(ObserveLayer::new()).service(transport);
    // [end]
    let response = service.oneshot(chat("Hello")).await?;
    println!("{} after {} attempts", response.status(), azure.journal().len());
    assert!(response.status().is_success());
    assert_eq!(status_page.retries.load(Ordering::Relaxed), 2);
    Ok(())
}
