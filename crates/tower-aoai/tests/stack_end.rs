//! How stacks end, and those that never begin.
#![cfg(feature = "stack")]

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower::ServiceExt;
use tower_aoai::{
    Stack,
    config::{Config, EndpointConfig, ResourceConfig},
};
use tower_aoai_simulator::{Deployment, Scripted, Simulator};

fn one() -> Config {
    Config::new()
        .resource(ResourceConfig::new("contoso", "https://contoso.openai.azure.com").api_key("0123456789abcdef"))
        .endpoint(EndpointConfig::new("chat", "contoso").deployment("chat"))
}

fn simulator() -> Simulator {
    Simulator::builder().deployment(Deployment::standard("chat")).build()
}

#[tokio::test(start_paused = true)]
async fn who_wants_refusals_as_answers_has_one_after_the_end_too() {
    let mut config = one();
    config.door.answer_refusals = Some(true);
    let stack = Stack::builder(config).transport(simulator()).build().expect("a stack");
    stack.shutdown(Duration::ZERO).await;
    let request = Request::post("/openai/v1/chat/completions").body(Full::<Bytes>::from("{}")).expect("a request");
    let answer = stack.oneshot(request).await.expect("an answer");
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["content-type"], "application/json");
}

#[tokio::test(start_paused = true)]
async fn patience_may_be_without_end() {
    let simulator = simulator();
    let stack = Stack::builder(one()).transport(simulator.clone()).build().expect("a stack");
    simulator.script("chat").then(Scripted::ok().first_token_after(Duration::from_secs(100)));
    let body = r#"{"model":"chat","messages":[{"role":"user","content":"Say it."}]}"#;
    let request = Request::post("/openai/v1/chat/completions").body(Full::<Bytes>::from(body)).expect("a request");
    let call = tokio::spawn(stack.clone().oneshot(request));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let closing = tokio::spawn({
        let stack = stack.clone();
        async move { stack.shutdown(Duration::MAX).await }
    });
    let body = call.await.expect("a task").expect("an answer").into_body();
    drop(body);
    assert_eq!(closing.await.expect("a task").calls, 0);
}

#[cfg(feature = "transport")]
#[tokio::test(start_paused = true)]
async fn alerts_that_reach_nobody_are_never_said_to_be_delivered() {
    let mut config = one();
    // Nobody listens there.
    config.statistics.webhook = Some("http://127.0.0.1:9/alerts".to_owned().into());
    let stack = Stack::builder(config).transport(simulator()).build().expect("a stack");
    stack.circuit("chat").expect("an endpoint").trip_for(Duration::from_secs(1_000));
    tokio::time::sleep(Duration::from_secs(3)).await;
    for time in 0..4 {
        let leftover = stack.shutdown(Duration::ZERO).await;
        assert!(!leftover.are_alerts_delivered, "the {time}th time");
    }
}

#[cfg(feature = "transport")]
#[test]
fn a_stack_that_cannot_begin_is_not_listed() {
    let mut config = one();
    config.name = Some("never".to_owned());
    config.statistics.webhook = Some("https://hooks.contoso.com/alerts".to_owned().into());
    let refused = Stack::builder(config).transport(simulator()).build().expect_err("there is no runtime").to_string();
    assert!(refused.contains("statistics.webhook"), "{refused}");
    assert!(!tower_aoai::statistics::all_stacks().iter().any(|stack| &*stack.name() == "never"));
}

#[cfg(feature = "transport")]
#[test]
fn a_proxy_that_is_none_is_told_of_by_its_key_with_all_else_that_is_wrong() {
    let mut config = one().endpoint(EndpointConfig::new("lost", "nowhere"));
    config.transport.proxy = Some(tower_aoai::config::Proxy::At("socks5://user:hunter2@proxy".to_owned().into()));
    let refused = Stack::new(config).expect_err("there is no such proxy").to_string();
    assert!(refused.contains("transport.proxy") && refused.contains("nowhere"), "{refused}");
    assert!(!refused.contains("hunter2"), "{refused}");
}
