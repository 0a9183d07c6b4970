//! What stays and what changes when a stack takes another configuration.
#![cfg(feature = "stack")]

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tower::ServiceExt;
use tower_aoai::{
    Stack,
    config::{Config, EndpointConfig, ModelConfig, ResourceConfig, UnknownPriceConfig},
    core::{Error, Reason, Rejected, RequestBody},
    cost::Tag,
    stack::SharedLimits,
};
use tower_aoai_simulator::{Deployment, Latency, Scripted, Simulator};

const KEY: &str = "0123456789abcdef";

fn one() -> Config {
    Config::new()
        .resource(ResourceConfig::new("contoso", "https://contoso.openai.azure.com").api_key(KEY))
        .endpoint(EndpointConfig::new("chat", "contoso").deployment("chat").tokens_per_minute(6_000))
}

fn simulator() -> Simulator {
    let deployment = Deployment::standard("chat").model("gpt-4o").tokens_per_minute(1_000_000);
    Simulator::builder().seed(7).api_key(KEY).latency(Latency::instant()).deployment(deployment).build()
}

fn over(config: Config, simulator: &Simulator) -> Stack {
    Stack::builder(config).transport(simulator.clone()).seed(7).build().expect("a stack")
}

fn chat(stream: bool) -> Request<Full<Bytes>> {
    let body = format!(
        r#"{{"model":"chat","messages":[{{"role":"user","content":"Say it."}}],"max_tokens":20,"stream":{stream}}}"#
    );
    Request::post("https://anywhere.example/openai/v1/chat/completions").body(Full::from(body)).expect("a request")
}

async fn call(stack: &Stack) -> Result<u16, Error> {
    let response = stack.clone().oneshot(chat(false)).await?;
    let status = response.status().as_u16();
    response.into_body().collect().await?;
    Ok(status)
}

fn used(stack: &Stack) -> u64 {
    stack.quota("chat").expect("an endpoint").snapshot().tokens_used
}

/// Counts by other rules.
fn guarded(config: &Config) -> Config {
    let mut config = config.clone();
    config.endpoints[0].quota.queue_limit = Some(3);
    config
}

#[tokio::test(start_paused = true)]
async fn what_another_stack_says_otherwise_of_an_endpoint_forgets_no_quota_of_this_one() {
    let (limits, simulator) = (SharedLimits::new(), simulator());
    let build = |config: Config, name: &str| {
        let stack = Stack::builder(config).name(name).shared_limits(&limits).transport(simulator.clone());
        stack.build().expect("a stack")
    };
    let stack = build(one(), "one");
    call(&stack).await.expect("an answer");
    let before = used(&stack);
    stack.circuit("chat").expect("an endpoint").trip_for(Duration::from_secs(1_000));
    let mut other = guarded(&one());
    other.endpoints[0].circuit_breaker.probes = Some(3);
    let other = build(other, "other");
    assert_eq!(used(&other), 0, "it counts otherwise");
    let mut changed = one();
    changed.retry.max_retries = Some(1);
    let _ = stack.reload(changed).expect("a good configuration");
    assert_eq!(used(&stack), before);
    assert_eq!(stack.circuit("chat").expect("an endpoint").snapshot().state.name(), "open");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_becomes_provisioned_is_counted_as_one() {
    let stack = over(one(), &simulator());
    call(&stack).await.expect("an answer");
    let mut provisioned = one();
    provisioned.endpoints[0].kind = Some(tower_aoai::config::DeploymentKind::Provisioned);
    let _ = stack.reload(provisioned).expect("a good configuration");
    assert_eq!(used(&stack), 0, "a quota that counts otherwise begins unused");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_has_one_circuit_in_all_chains() {
    let mut config = one().endpoint(EndpointConfig::new("spare", "contoso").deployment("spare"));
    config = config.model("alone", ModelConfig::of(["chat"])).model("both", ModelConfig::of(["chat", "spare"]));
    let stack = over(config, &simulator());
    stack.circuit("chat").expect("an endpoint").trip_for(Duration::from_secs(1_000));
    for model in ["alone", "both"] {
        let body =
            format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Say it."}}],"max_tokens":20}}"#);
        let request =
            Request::post("https://anywhere.example/openai/v1/chat/completions").body(Full::<Bytes>::from(body));
        let answer = stack.clone().oneshot(request.expect("a request")).await;
        let served = answer.ok().and_then(|answer| {
            answer.extensions().get::<tower_aoai::core::Served>().and_then(|served| served.endpoint.clone())
        });
        assert_ne!(served.as_deref(), Some("chat"), "its circuit is open, also for {model:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn how_answers_are_watched_changes_with_the_configuration() {
    let simulator = simulator();
    let stack = over(one(), &simulator);
    let head = async || {
        simulator.script("chat").then(Scripted::ok().first_token_after(Duration::from_secs(1)));
        let asked = Instant::now();
        let response = stack.clone().oneshot(chat(true)).await.expect("an answer");
        let waited = Instant::now() - asked;
        response.into_body().collect().await.expect("a body");
        waited
    };
    assert!(head().await >= Duration::from_secs(1), "held for its first content");
    let mut config = one();
    config.observe.hold = Some(Duration::ZERO);
    let _ = stack.reload(config).expect("a good configuration");
    assert!(head().await < Duration::from_secs(1), "held no more");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_said_of_cost_holds_no_more() {
    let (transport, mut mock) = tower_test::mock::pair::<Request<RequestBody>, Response<Full<Bytes>>>();
    let mut config = one();
    config.cost.unknown_price = Some(UnknownPriceConfig::Refuse);
    config.cost.tag_headers.insert(Tag::Agent, "x-agent".to_owned());
    let stack = Stack::builder(config).transport(transport).build().expect("a stack");
    let refused = stack.clone().oneshot(chat(false)).await.expect_err("nobody knows its price");
    assert_eq!(refused.rejected().map(Rejected::reason), Some(Reason::BudgetSpent));
    let _ = stack.reload(one()).expect("a good configuration");
    let mut request = chat(false);
    request.headers_mut().insert("x-agent", "writer".parse().expect("a value"));
    let answer = tokio::spawn(stack.clone().oneshot(request));
    let sent = tokio::time::timeout(Duration::from_secs(1), mock.next_request()).await.expect("it is sent");
    let (request, respond) = sent.expect("a request");
    assert_eq!(request.headers().get("x-agent").map(http::HeaderValue::as_bytes), Some(&b"writer"[..]));
    respond.send_response(Response::new(Full::from("{}")));
    assert_eq!(answer.await.expect("a task").expect("an answer").status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_table_of_models_that_was_written_anew_is_read_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("models.toml");
    let table =
        |window: u64| format!("[[model]]\nname = \"chat\"\nlike = \"gpt-4o\"\nwindow = {window}\nprompt = {window}\n");
    std::fs::write(&path, table(100_000)).expect("a file");
    let mut config = one();
    config.context_window.models_file = Some(path.to_string_lossy().into_owned());
    let stack = over(config.clone(), &simulator());
    assert_eq!(call(&stack).await.expect("an answer"), 200);
    std::fs::write(&path, table(5)).expect("a file");
    let _ = stack.reload(config).expect("a good configuration");
    let refused = call(&stack).await.expect_err("the window is small now");
    assert_eq!(refused.rejected().map(Rejected::reason), Some(Reason::ContextLength));
}
