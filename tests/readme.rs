//! The README's code, run where it needs no account, and compared with the README to the letter.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use tower::{BoxError, ServiceExt};
use tower_aoai::{Stack, config::Config, core::Served};
use tower_aoai_simulator::{Deployment, Scripted, Simulator};

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

/// Compiled, not run: it wants the environment of a user.
#[expect(clippy::print_stdout, reason = "it is what the README says")]
async fn a_client_from_the_environment() -> Result<(), BoxError> {
    // [client]
    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};
    use tower::ServiceExt;
    use tower_aoai::Stack;

    let stack = Stack::from_env()?;
    let body = r#"{"messages":[{"role":"user","content":"Hello"}]}"#;
    let request = http::Request::post("/openai/v1/chat/completions").body(Full::<Bytes>::from(body))?;
    let answer = stack.oneshot(request).await?.into_body().collect().await?;
    println!("{}", String::from_utf8_lossy(&answer.to_bytes()));
    // [end]
    Ok(())
}

#[test]
fn the_first_lines_of_the_readme_compile() {
    drop(a_client_from_the_environment());
    assert_in_readme("client");
}

#[tokio::test(start_paused = true)]
async fn the_file_of_the_readme_puts_the_ptu_first_and_spills() -> Result<(), BoxError> {
    let (_, rest) = README.split_once("```toml\n[[resources]]").expect("the README shows a file");
    let (file, _) = rest.split_once("```").expect("the file ends");
    let file = format!("[[resources]]{file}").replace("${CONTOSO_KEY}", "0123456789abcdef");
    let client = Simulator::builder()
        .deployment(Deployment::provisioned("chat-ptu").units(50))
        .deployment(Deployment::standard("chat").tokens_per_minute(450_000))
        .build();
    let stack = Stack::builder(Config::from_toml_str(&file)?).transport(client.clone()).build()?;
    for (hint, who) in [(Duration::from_millis(400), "provisioned"), (Duration::from_secs(5), "standard")] {
        client.script("chat-ptu").then(Scripted::rate_limited(hint));
        let request = http::Request::post("/openai/v1/chat/completions")
            .body(Full::<Bytes>::from(r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}"#))?;
        let response = stack.clone().oneshot(request).await?;
        assert_eq!(response.status(), 200);
        let served = response.extensions().get::<Served>().expect("an answer says who served it");
        assert_eq!(served.leg.as_deref(), Some(who));
    }
    Ok(())
}
