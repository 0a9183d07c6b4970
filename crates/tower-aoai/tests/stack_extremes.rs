//! The largest and the smallest that a configuration may say.
#![cfg(feature = "stack")]

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tower::ServiceExt;
use tower_aoai::{
    Stack,
    config::{
        Config, DeploymentKind, EndpointConfig, InFlight, LegConfig, Limit, ModelConfig, PatienceConfig, QueueOrder,
        ResourceConfig, RetryBudgetConfig, SlowFirstBytes, Window,
    },
    core::Error,
    retry_after::Jitter,
};
use tower_aoai_simulator::{Deployment, Latency, Scripted, Simulator};

const KEY: &str = "0123456789abcdef";

fn simulator() -> Simulator {
    let deployment = |name| Deployment::standard(name).model("gpt-4o").tokens_per_minute(1_000_000);
    let world = Simulator::builder().seed(7).api_key(KEY).latency(Latency::instant());
    world.deployment(deployment("chat")).deployment(deployment("spare")).build()
}

async fn ask(stack: &Stack, stream: bool) -> Result<u16, Error> {
    let body = format!(r#"{{"model":"chat","messages":[{{"role":"user","content":"Say it."}}],"stream":{stream}}}"#);
    let request = Request::post("/openai/v1/chat/completions").body(Full::<Bytes>::from(body)).expect("a request");
    let response = stack.clone().oneshot(request).await?;
    let status = response.status().as_u16();
    response.into_body().collect().await?;
    Ok(status)
}

async fn call(stack: &Stack, stream: bool) -> u16 {
    ask(stack, stream).await.expect("an answer")
}

/// Answers, refusals and failures, over a stack that nothing is to stop.
async fn serves(config: Config) {
    let simulator = simulator();
    let stack = Stack::builder(config).transport(simulator.clone()).seed(7).build().expect("a stack");
    for stream in [false, true] {
        for scripted in [None, Some(Scripted::plain_text_503()), Some(Scripted::reset())] {
            if let Some(scripted) = scripted {
                simulator.script("chat").then(scripted);
            }
            assert_eq!(call(&stack, stream).await, 200);
        }
    }
    let _ = stack.statistics().snapshot();
    stack.circuit("chat").expect("an endpoint").trip_for(Duration::MAX);
    stack.statistics().reset_breakers();
    let config = (*stack.config()).clone();
    let _ = stack.reload(config).expect("a good configuration");
    assert_eq!(call(&stack, false).await, 200);
    assert_eq!(stack.shutdown(Duration::MAX).await.calls, 0);
}

fn two() -> Config {
    Config::new()
        .resource(ResourceConfig::new("contoso", "https://contoso.openai.azure.com").api_key(KEY))
        .endpoint(EndpointConfig::new("chat", "contoso").deployment("chat"))
        .endpoint(EndpointConfig::new("spare", "contoso").deployment("spare"))
}

#[tokio::test(start_paused = true)]
async fn the_longest_times_and_the_largest_numbers_stop_nothing() {
    let longest = Some(Duration::MAX);
    let no_limit = Some(Limit::Of(Duration::MAX));
    let mut config = two();
    let timeouts = &mut config.timeouts;
    (timeouts.total, timeouts.connect, timeouts.first_byte) = (no_limit, no_limit, no_limit);
    (timeouts.first_token, timeouts.idle, timeouts.attempt) = (no_limit, no_limit, no_limit);
    let retry = &mut config.retry;
    retry.max_retries = Some(u32::MAX);
    (retry.max_backoff, retry.multiplier) = (longest, Some(f64::MAX));
    retry.initial_backoff = Some(Duration::from_nanos(1));
    (retry.hint_cap, retry.elapsed_limit) = (no_limit, no_limit);
    let breaker = &mut config.circuit_breaker;
    breaker.consecutive_failures = Some(Limit::Of(1));
    (breaker.break_time, breaker.break_cap) = (Some(Duration::from_nanos(1)), longest);
    (breaker.window, breaker.probe_lease) = (longest, longest);
    (breaker.min_calls, breaker.probes) = (Some(u32::MAX), Some(u32::MAX));
    let quota = &mut config.quota;
    (quota.tokens_per_minute, quota.requests_per_minute) = (Some(u64::MAX), Some(u64::MAX));
    (quota.max_in_flight, quota.queue_limit) = (Some(usize::MAX), Some(usize::MAX));
    config.observe.hold = longest;
    config.observe.read_errors = longest;
    config.observe.hold_bytes = Some(usize::MAX);
    config.observe.error_bytes = Some(usize::MAX);
    config.observe.event_limit = Some(usize::MAX);
    config.door.body_limit = Some(usize::MAX);
    config.statistics.queue_wait = longest;
    config.transport.idle_connection_time = longest;
    config.transport.idle_connections = Some(usize::MAX);
    serves(config).await;
}

/// One setting each, that may well keep a call from being served.
const EXTREMES: &[(&str, fn(&mut Config))] = &[
    ("request_window", |config| config.quota.request_window = Some(Duration::MAX)),
    ("request_window and limit", |config| {
        config.quota.request_window = Some(Duration::MAX);
        config.quota.requests_per_minute = Some(1);
    }),
    ("a nanosecond's window", |config| {
        config.quota.request_window = Some(Duration::from_nanos(1));
        config.quota.requests_per_minute = Some(u64::MAX);
    }),
    ("min_interval", |config| config.quota.min_interval = Some(Duration::MAX)),
    ("guard", |config| config.quota.guard = Some(Duration::MAX)),
    ("default_output", |config| config.quota.default_output = Some(u64::MAX)),
    ("output_ratio", |config| {
        config.quota.output_ratio = Some(u64::MAX);
        config.quota.tokens_per_minute = Some(u64::MAX);
    }),
    ("bucket", |config| {
        config.quota.window = Some(Window::Bucket(u64::MAX));
        config.quota.tokens_per_minute = Some(u64::MAX);
    }),
    ("a token in a bucket", |config| {
        config.quota.window = Some(Window::Bucket(1));
        config.quota.tokens_per_minute = Some(1);
    }),
    ("utilisation", |config| {
        config.endpoints[0].kind = Some(DeploymentKind::Provisioned);
        config.endpoints[0].quota.window = Some(Window::Utilisation(Duration::MAX));
        config.endpoints[0].quota.tokens_per_minute = Some(u64::MAX);
    }),
    ("ptus", |config| {
        config.endpoints[0].kind = Some(DeploymentKind::Provisioned);
        (config.endpoints[0].ptus, config.endpoints[0].tokens_per_minute_per_ptu) = (Some(u64::MAX), Some(u64::MAX));
    }),
    ("ageing", |config| config.quota.order = Some(QueueOrder::Priority(Duration::MAX))),
    ("no ageing", |config| config.quota.order = Some(QueueOrder::Priority(Duration::ZERO))),
    ("deadlines", |config| config.quota.order = Some(QueueOrder::Deadline(Duration::MAX))),
    ("tenants", |config| config.quota.order = Some(QueueOrder::Fair(usize::MAX))),
    ("in flight", |config| {
        let mut bounds = InFlight::default();
        (bounds.min, bounds.max) = (Some(usize::MAX), Some(usize::MAX));
        config.quota.adaptive_in_flight = Some(bounds);
    }),
    ("backoff", |config| {
        (config.retry.initial_backoff, config.retry.multiplier) = (Some(Duration::MAX), Some(f64::MAX));
        config.retry.jitter = Some(Jitter::Proportional(f64::MAX));
    }),
    ("hint_jitter", |config| config.retry.hint_jitter = Some(f64::MAX)),
    ("expected_service", |config| config.retry.expected_service = Some(Duration::MAX)),
    ("retry budget", |config| {
        let mut budget = RetryBudgetConfig::default();
        (budget.share, budget.floor) = (Some(f64::MAX), Some(u32::MAX));
        config.retry.budget = Some(Limit::Of(budget));
    }),
    ("slow", |config| {
        let mut slow = SlowFirstBytes::default();
        (slow.threshold, slow.share) = (Some(Duration::MAX), Some(f64::MIN_POSITIVE));
        config.circuit_breaker.slow_first_bytes = Some(slow);
        config.circuit_breaker.min_calls = Some(1);
    }),
    ("break", |config| {
        config.circuit_breaker.consecutive_failures = Some(Limit::Of(1));
        config.circuit_breaker.break_time = Some(Duration::MAX);
    }),
    ("window", |config| config.circuit_breaker.window = Some(Duration::from_millis(10))),
    ("weight", |config| {
        config.endpoints[0].weight = Some(u32::MAX);
        config.endpoints[1].weight = Some(u32::MAX);
    }),
    ("tier", |config| config.endpoints[1].tier = Some(u64::MAX)),
    ("legs", |config| {
        let mut first = LegConfig::new("first", ["chat"]).max_wait(Duration::MAX);
        (first.expected_service, first.tries_per_endpoint) = (Some(Duration::MAX), Some(usize::MAX));
        let mut model = ModelConfig::new().leg(first).leg(LegConfig::new("second", ["spare"]));
        model.margin = Some(Duration::MAX);
        config.models.insert("chat".to_owned(), model);
    }),
    ("worth", |config| {
        let mut first = LegConfig::new("first", ["chat"]);
        first.patience = Some(PatienceConfig::DollarsPerSecond(1e6));
        let model = ModelConfig::new().leg(first).leg(LegConfig::new("second", ["spare"]));
        config.models.insert("chat".to_owned(), model);
    }),
    ("window's numbers", |config| {
        let window = &mut config.context_window;
        (window.least_output, window.output_room, window.margin) = (Some(u64::MAX), Some(u64::MAX), Some(u64::MAX));
        (window.inline_up_to, window.others, window.clamp_output) = (Some(usize::MAX), Some(u64::MAX), Some(true));
    }),
    ("books", |config| {
        let cost = &mut config.cost;
        (cost.values, cost.rows) = (Some(usize::MAX), Some(usize::MAX));
        (cost.keep_hours, cost.keep_days, cost.keep_months) = (Some(usize::MAX), Some(usize::MAX), Some(usize::MAX));
    }),
    ("defaults", |config| config.request_defaults.max_tokens = Some(u64::MAX)),
    ("near limit", |config| config.quota.near_limit = Some(u8::MAX)),
    ("bytes", |config| {
        (config.observe.hold_bytes, config.observe.error_bytes) = (Some(0), Some(0));
        config.observe.event_limit = Some(512);
    }),
];

#[tokio::test(start_paused = true)]
async fn no_extreme_makes_a_stack_panic() {
    let mut served = 0;
    for (name, set) in EXTREMES {
        println!("{name}");
        let mut config = two();
        set(&mut config);
        let simulator = simulator();
        simulator.script("chat").then(Scripted::plain_text_503());
        let Ok(stack) = Stack::builder(config).transport(simulator).seed(7).build() else { continue };
        for stream in [false, true, true] {
            let hour = Duration::from_secs(3_600);
            served +=
                usize::from(tokio::time::timeout(hour, ask(&stack, stream)).await.is_ok_and(|asked| asked.is_ok()));
        }
        let _ = stack.statistics().snapshot();
        let _ = stack.statistics().insights();
        let _ = stack.reload((*stack.config()).clone()).expect("a good configuration");
    }
    assert!(served > EXTREMES.len(), "{served} were served");
}
