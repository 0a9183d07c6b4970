//! What a reload says that cannot do all it was asked for. A process of its own: which events are wanted is known to a
//! process, not to a thread.
#![cfg(feature = "stack")]

mod written_log;

use std::time::Duration;

use tower_aoai::{
    Stack,
    config::{BudgetConfig, Config, EndpointConfig, ResourceConfig, UnknownPriceConfig},
    cost::{Money, Period},
};
use tower_aoai_simulator::{Deployment, Simulator};

use written_log::WrittenLog;

fn one() -> Config {
    Config::new()
        .resource(ResourceConfig::new("contoso", "https://contoso.openai.azure.com").api_key("0123456789abcdef"))
        .endpoint(EndpointConfig::new("chat", "contoso").deployment("chat"))
}

#[tokio::test(start_paused = true)]
async fn a_reload_says_what_only_a_new_stack_can_have() {
    let log = WrittenLog::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let simulator = Simulator::builder().deployment(Deployment::standard("chat")).build();
    let stack = Stack::builder(one()).transport(simulator).build().expect("a stack");
    let says = |change: fn(&mut Config)| {
        let mut config = one();
        change(&mut config);
        log.take();
        let _ = stack.reload(config).expect("a good configuration");
        let said = log.take().contains("others want a new stack");
        let _ = stack.reload(one()).expect("a good configuration");
        said
    };
    for change in [
        (|config| config.budgets.push(BudgetConfig::new("all", Money::nano_dollars(1_000_000_000), Period::Day)))
            as fn(&mut Config),
        |config| config.cost.enabled = Some(false),
        |config| config.cost.rows = Some(7),
        |config| config.statistics.enabled = Some(false),
        |config| config.statistics.queue_wait = Some(Duration::from_secs(1)),
        |config| config.transport.http2 = Some(false),
        |config| config.timeouts.connect = Some(Duration::from_secs(1).into()),
    ] {
        assert!(says(change));
    }
    for change in [
        (|_| {}) as fn(&mut Config),
        |config| config.cost.unknown_price = Some(UnknownPriceConfig::Refuse),
        |config| config.timeouts.idle = Some(Duration::from_secs(1).into()),
        |config| config.retry.max_retries = Some(1),
    ] {
        assert!(!says(change));
    }
}
