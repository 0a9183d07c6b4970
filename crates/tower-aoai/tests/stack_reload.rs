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

#[tokio::test(start_paused = true)]
async fn another_key_is_sent_from_now_on_and_nothing_else_changes() {
    let simulator = simulator();
    let mut config = one();
    config.resources[0] = ResourceConfig::new("contoso", "https://contoso.openai.azure.com").api_key("an-old-key-0123");
    let stack = over(config, &simulator);
    assert_eq!(call(&stack).await.expect("an answer"), 401);
    stack.circuit("chat").expect("an endpoint").trip_for(Duration::from_secs(1_000));
    let before = used(&stack);
    assert!(before > 0, "what was refused counts, too");
    let _ = stack.reload(one()).expect("a good configuration");
    assert_eq!(used(&stack), before);
    assert_eq!(stack.circuit("chat").expect("an endpoint").snapshot().state.name(), "open");
    stack.statistics().reset_breakers();
    assert_eq!(call(&stack).await.expect("an answer"), 200);
}

/// Uses the whole quota of a minute, and a call that waits for more.
async fn a_call_that_waits(stack: &Stack) -> tokio::task::JoinHandle<Result<u16, Error>> {
    let all = stack.quota("chat").expect("an endpoint");
    for _ in 0..1_000 {
        if all.snapshot().tokens_used > 5_990 {
            break;
        }
        call(stack).await.expect("an answer");
    }
    let waits = tokio::spawn({
        let stack = stack.clone();
        async move { call(&stack).await }
    });
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(all.snapshot().queued, 1);
    waits
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_an_endpoint_that_is_gone_is_served_as_it_began() {
    let stack = over(one(), &simulator());
    let waits = a_call_that_waits(&stack).await;
    let elsewhere = Config::new()
        .resource(ResourceConfig::new("contoso", "https://contoso.openai.azure.com").api_key(KEY))
        .endpoint(EndpointConfig::new("other", "contoso").deployment("chat"));
    let draining = stack.reload(elsewhere).expect("a good configuration");
    assert!(stack.quota("chat").is_none());
    assert_eq!((draining.in_flight(), stack.in_flight()), (1, 1));
    assert_eq!(call(&stack).await.expect("an answer"), 200, "new calls go elsewhere");
    assert_eq!(waits.await.expect("a task").expect("an answer"), 200);
    assert_eq!((draining.in_flight(), stack.in_flight()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_more_than_there_will_ever_be_is_told_so() {
    let stack = over(one(), &simulator());
    let waits = a_call_that_waits(&stack).await;
    let mut small = one();
    small.endpoints[0].quota.tokens_per_minute = Some(5);
    let _ = stack.reload(small).expect("a good configuration");
    let refused = tokio::time::timeout(Duration::from_secs(1), waits).await.expect("at once");
    let refused = refused.expect("a task").expect_err("it is larger than the quota");
    assert_eq!(refused.rejected().map(Rejected::reason), Some(Reason::TooLarge));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_reloads_leave_nothing_behind() {
    let (limits, simulator) = (SharedLimits::new(), simulator());
    let stack = Stack::builder(one()).shared_limits(&limits).transport(simulator).build().expect("a stack");
    let former = std::sync::Arc::downgrade(&stack.config());
    for round in 0..1_000_u32 {
        let mut config = one();
        config.retry.max_retries = Some(round % 7);
        config.endpoints[0].quota.queue_limit = Some(1 + round as usize);
        config.endpoints[0].circuit_breaker.probes = Some(1 + round);
        config.resources[0].api_key = Some(format!("{KEY}-{round}").into());
        if round % 2 == 0 {
            config = config.endpoint(EndpointConfig::new(format!("of-{round}"), "contoso").deployment("chat"));
        }
        let _ = stack.reload(config).expect("a good configuration");
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    assert_eq!(former.strong_count(), 0, "nobody has the first configuration any more");
    let _ = stack.reload(one()).expect("a good configuration");
    assert!(format!("{stack:?}").contains("draining: 1,"), "but the last: {stack:?}");
    let shown = format!("{limits:?}");
    let numbers = shown.split(|letter: char| !letter.is_ascii_digit()).filter_map(|number| number.parse::<u32>().ok());
    assert!(numbers.clone().count() == 2 && numbers.clone().all(|kept| kept < 20), "{shown}");
    assert_eq!(call(&stack).await.expect("an answer"), 200);
}

#[test]
fn reloads_and_shutdowns_at_once_end_and_the_last_word_is_the_shutdown() {
    let stack = over(one(), &simulator());
    std::thread::scope(|scope| {
        for retries in 0..4 {
            let stack = &stack;
            scope.spawn(move || {
                for _ in 0..50 {
                    let mut config = one();
                    config.retry.max_retries = Some(retries);
                    match stack.reload(config) {
                        Ok(_) | Err(tower_aoai::stack::InvalidStack::ShutDown) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
            runtime.block_on(stack.shutdown(Duration::from_secs(1)))
        });
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let refused = runtime.block_on(call(&stack)).expect_err("it is over");
    assert_eq!(refused.rejected().map(Rejected::reason), Some(Reason::ShuttingDown));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_written_otherwise_is_the_same_endpoint() {
    let (limits, simulator) = (SharedLimits::new(), simulator());
    let build = |address: &str| {
        let mut config = one();
        config.resources[0].base_url = address.to_owned();
        let stack = Stack::builder(config).shared_limits(&limits).transport(simulator.clone());
        stack.build().expect("a stack")
    };
    let stack = build("https://contoso.openai.azure.com");
    call(&stack).await.expect("an answer");
    let before = used(&stack);
    assert!(before > 0);
    for same in ["https://contoso.openai.azure.com/", "HTTPS://Contoso.OpenAI.azure.com/openai/v1/"] {
        assert_eq!(used(&build(same)), before, "{same}");
    }
    assert_eq!(used(&build("https://fabrikam.openai.azure.com")), 0);
}
