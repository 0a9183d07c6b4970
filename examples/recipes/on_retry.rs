//! `onRetry`: being told of each retry, and doing something before it.
//!
//! ```sh
//! cargo run --example on_retry
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;
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
    Stack,
    config::{Config, EndpointConfig, ResourceConfig},
    core::{BoxError, ObserveLayer, PrepareLayer},
    retry_after::{RetryAfterLayer, RetryEvent},
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
    // [hook]
    let hook = move |event: RetryEvent| {
        let page = Arc::clone(&page);
        let what = event.outcome.map_or("refused here", |outcome| outcome.name());
        let line = format!("attempt {}: {what}; {:?} in {:?}", event.attempt, event.reason, event.delay);
        async move { page.note(line).await }
    };
    // [end]
    let config = Config::new()
        .resource(ResourceConfig::new("contoso", "https://contoso.openai.azure.com"))
        .endpoint(EndpointConfig::new("chat", "contoso"));
    let hook_of_stack = hook.clone();
    // [preset]
    let stack = Stack::builder(config)
        .map_retry(move |_leg, retry| retry.on_retry(hook_of_stack.clone()))
        .transport(transport)
        .build()?;
    // [end]
    assert!(stack.oneshot(chat("Hello")).await?.status().is_success());
    assert_eq!(status_page.retries.load(Ordering::Relaxed), 2);

    azure.script("gpt-4o").then(Scripted::rate_limited(Duration::from_millis(1_250))).then(Scripted::status(500));
    let transport = azure.clone();
    // [layers]
    let retry = RetryAfterLayer::default().on_retry(hook);

    let service =
        ServiceBuilder::new().layer(PrepareLayer::new()).layer(retry).layer(ObserveLayer::new()).service(transport);
    // [end]
    assert!(service.oneshot(chat("Hello")).await?.status().is_success());
    assert_eq!(status_page.retries.load(Ordering::Relaxed), 4);
    Ok(())
}
