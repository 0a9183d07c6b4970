//! One resilient service shared by agents: limits, statistics, risk, insights, reset.
//!
//! ```sh
//! cargo run --example resilient_service
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;
#[path = "../ask.rs"]
mod ask;
#[path = "../chat.rs"]
mod chat;

use std::time::Duration;

use futures_util::future::join_all;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use tower_aoai::{
    Stack,
    config::Config,
    core::BoxError,
    stack::SharedLimits,
    statistics::{PlannedCall, all_stacks},
};
use tower_aoai_simulator::{Deployment, Latency, Scripted, Simulator};

use crate::ask::ask;

const CONFIG: &str = r#"
# [config]
profile = "cautious"

[[resources]]
name = "contoso"
base_url = "https://contoso.openai.azure.com"
api_key = "${AZURE_KEY:-none}"

[[endpoints]]
name = "chat"
resource = "contoso"

[agents.planner]
max_tokens = 2_000
# [end]
"#;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let deployment = Deployment::standard("gpt-4o").tokens_per_minute(150_000);
    let azure = Simulator::builder().latency(Latency::typical()).deployment(deployment).build();
    let (config, transport) = (Config::from_toml_str(CONFIG)?, azure.clone());
    // [agents]
    // One quota, one circuit, one credential for all; statistics for each.
    let limits = SharedLimits::new();
    let agent = |name: &str| {
        Stack::builder(config.clone()).name(name).shared_limits(&limits).transport(transport.clone()).build()
    };
    let (planner, writer) = (agent("planner")?, agent("writer")?);
    // [end]

    let start = Instant::now();
    let mut calls = JoinSet::new();
    for number in 0..90 {
        let stack = if number % 3 == 0 { planner.clone() } else { writer.clone() };
        calls.spawn(async move { ask(&stack).await.is_ok_and(|(status, _)| status.is_success()) });
    }
    let answered = calls.join_all().await.into_iter().filter(|is_answered| *is_answered).count();
    let took = (Instant::now() - start).as_secs();
    println!("90 calls of two agents at once: {answered} answered in {took} s, for together they have 60 a minute");
    assert!(answered == 90 && took >= 30);
    let refused = azure.journal().iter().filter(|served| served.status.is_some_and(|status| status == 429)).count();
    assert_eq!(refused, 0);

    // [statistics]
    for statistics in all_stacks() {
        let now = statistics.snapshot();
        println!("{}: {} answered, {} tokens, {}", now.name, now.total.answered, now.total.tokens.output, now.health);
    }
    println!("{}", planner.statistics().risk(&PlannedCall::new("gpt-4o", 100_000, 16_000)));
    println!("{}", writer.statistics().insights());
    // [end]
    assert_eq!(planner.statistics().snapshot().total.answered, 30);
    assert_eq!(writer.statistics().snapshot().total.answered, 60);

    // An outage opens the circuit that both have, and a person who knows better closes it.
    let now = Instant::now();
    azure.script("gpt-4o").during(now, now + Duration::from_secs(600), Scripted::plain_text_503());
    let calls = (0..3).map(|_| timeout(Duration::from_secs(10), ask(&writer)));
    assert!(join_all(calls).await.iter().all(Result::is_err), "they wait for the circuit");
    println!("in an outage, the planner: {}", planner.statistics().health());
    assert!(!planner.statistics().health().is_up());
    azure.clear_scripts();
    // [reset]
    planner.statistics().reset_breakers();
    // [end]
    assert!(planner.statistics().health().is_up());
    assert!(ask(&writer).await?.0.is_success());
    println!("after a reset, the planner: {}", planner.statistics().health());
    Ok(())
}
