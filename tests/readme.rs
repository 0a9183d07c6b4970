//! The README's code, run, and compared with the README to the letter.

use bytes::Bytes;
use http_body_util::Full;
use tower::{BoxError, ServiceExt};
use tower_aoai_simulator::{Deployment, Simulator};

const README: &str = include_str!("../README.md");
const THIS: &str = include_str!("readme.rs");

/// The lines between `// [name]` and `// [end]`, without the indent they have here.
fn snippet(name: &str) -> String {
    let begin = format!("    // [{name}]");
    let lines = THIS.lines().skip_while(|line| *line != begin).skip(1).take_while(|line| *line != "    // [end]");
    lines.map(|line| line.strip_prefix("    ").unwrap_or(line).to_owned() + "\n").collect()
}

fn assert_in_readme(name: &str) {
    let snippet = snippet(name);
    assert!(!snippet.is_empty());
    assert!(README.contains(&format!("```rust\n{snippet}```")), "the README has other code than this:\n{snippet}");
}

#[tokio::test(start_paused = true)]
async fn the_stack_of_the_readme_answers() -> Result<(), BoxError> {
    let client = Simulator::builder().deployment(Deployment::standard("gpt-4o")).build();
    // [stack]
    use std::time::Duration;
    use tower::ServiceBuilder;
    use tower_aoai::core::{DeadlineLayer, IncludeUsageLayer, ObserveLayer, PrepareLayer};
    use tower_aoai::retry_after::{RetryAfterLayer, RetryPolicy};

    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(DeadlineLayer::new(Duration::from_secs(120)))
        .layer(RetryAfterLayer::new(RetryPolicy::new().max_retries(3)))
        .layer(IncludeUsageLayer::new())
        .layer(ObserveLayer::new())
        .service(client);
    // [end]
    let request = http::Request::post("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
        .body(Full::<Bytes>::from(r#"{"messages":[{"role":"user","content":"Hello"}]}"#))?;
    assert_eq!(service.oneshot(request).await?.status(), 200);
    assert_in_readme("stack");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_test_of_the_readme_passes() -> Result<(), BoxError> {
    // [test]
    use bytes::Bytes;
    use http_body_util::Full;
    use std::time::Duration;
    use tower::{Layer, ServiceExt};
    use tower_aoai::retry_after::RetryAfterLayer;
    use tower_aoai_simulator::{Deployment, Scripted, Simulator};

    let client = Simulator::builder().deployment(Deployment::standard("gpt-4o")).build();
    client.script("gpt-4o").then(Scripted::rate_limited(Duration::from_secs(2)));

    let request = http::Request::post("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
        .body(Full::<Bytes>::from(r#"{"messages":[{"role":"user","content":"Hello"}]}"#))?;
    let response = RetryAfterLayer::default().layer(client.clone()).oneshot(request).await?;

    assert_eq!(response.status(), 200);
    assert_eq!(client.journal().len(), 2);
    // [end]
    assert_in_readme("test");
    Ok(())
}
