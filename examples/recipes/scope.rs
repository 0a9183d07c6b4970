//! A scope that retries: several steps that belong together, tried again as one.
//!
//! ```sh
//! cargo run --example scope
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;
#[path = "../chat.rs"]
mod chat;

use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::time::Instant;
use tower::ServiceExt;
use tower_aoai::{
    core::{BoxError, RetryBudget},
    retry_after::{RetryPolicy, retry},
};
use tower_aoai_simulator::{Deployment, Scripted, Simulator};

use crate::chat::chat;

/// Asks for a list as JSON; what is no JSON is a failure of the scope, though the call went well.
async fn list(azure: &Simulator, what: &str) -> Result<Vec<String>, BoxError> {
    let response = azure.clone().oneshot(chat(&format!("A JSON array of {what}, and nothing else."))).await?;
    if response.status() != StatusCode::OK {
        return Err(response.status().to_string().into());
    }
    let answer: Value = serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?;
    Ok(serde_json::from_str(answer["choices"][0]["message"]["content"].as_str().unwrap_or_default())?)
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let azure = Simulator::builder().deployment(Deployment::standard("gpt-4o")).build();
    azure
        .script("gpt-4o")
        .then(Scripted::text("Of course! Here are some cities:"))
        .then(Scripted::text(r#"["Oslo"]"#))
        .then(Scripted::status(500))
        .then(Scripted::text(r#"["Oslo"]"#))
        .then(Scripted::text(r#"["Munch", "Vigeland"]"#));

    let start = Instant::now();
    // [scope]
    let museums = retry(RetryPolicy::new().max_retries(4), || async {
        let cities = list(&azure, "cities by the sea").await?;
        list(&azure, &format!("museums in {}", cities[0])).await
    })
    .budget(RetryBudget::default())
    .deadline(start + Duration::from_secs(60))
    .on_retry(|event| async move { println!("again in {:?}, after try {}", event.delay, event.attempt) })
    .await?;
    // [end]
    println!("{museums:?}, after {} calls", azure.journal().len());
    assert_eq!(museums, ["Munch", "Vigeland"]);
    assert_eq!(azure.journal().len(), 5, "the scope began anew twice");
    Ok(())
}
