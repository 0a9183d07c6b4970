//! How stacks end, and those that never begin.
#![cfg(feature = "stack")]

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tower::{ServiceExt, service_fn};
use tower_aoai::{
    Stack,
    config::{Config, EndpointConfig, ResourceConfig},
    core::RequestBody,
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

/// A piece, and then an error.
struct Broken(u8);

impl Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0 += 1;
        Poll::Ready(Some(if self.0 == 1 {
            Ok(Frame::data(Bytes::from_static(b"{")))
        } else {
            Err(std::io::ErrorKind::ConnectionReset.into())
        }))
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_over_with_its_body_also_where_that_is_kept() {
    fn ask() -> Request<Full<Bytes>> {
        Request::post("/openai/v1/embeddings").body(Full::from(r#"{"model":"chat","input":"a"}"#)).expect("a request")
    }
    let empty = service_fn(|_: Request<RequestBody>| async {
        Ok::<_, std::io::Error>(Response::builder().status(204).body(Full::<Bytes>::default()).expect("an answer"))
    });
    let stack = Stack::builder(one()).transport(empty).build().expect("a stack");
    let answer = stack.clone().oneshot(ask()).await.expect("an answer");
    assert_eq!((answer.status().as_u16(), stack.in_flight()), (204, 0), "there is nothing to read");
    drop(answer);

    let broken = service_fn(|_: Request<RequestBody>| async { Ok::<_, std::io::Error>(Response::new(Broken(0))) });
    let stack = Stack::builder(one()).transport(broken).build().expect("a stack");
    let mut body = stack.clone().oneshot(ask()).await.expect("an answer").into_body();
    while let Some(Ok(_)) = body.frame().await {
        assert_eq!(stack.in_flight(), 1);
    }
    assert_eq!(stack.in_flight(), 0, "nothing comes after an error");
    drop(body);
    assert_eq!(stack.in_flight(), 0, "and it ends once");
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
