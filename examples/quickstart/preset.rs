//! The whole preset: this is what there is to copy.

use std::{future::ready, sync::Arc};

use parking_lot::Mutex;
use tower_aoai::{
    Stack,
    config::{Config, EndpointConfig, ResourceConfig, Window},
    retry_after::RetryEvent,
    telemetry::Recorder,
};
use tower_aoai_simulator::Simulator;

use crate::scenario::{DEPLOYMENT, Scenario};

/// One resource, one deployment and its quota.
pub(crate) fn preset(
    scenario: &Scenario,
    simulator: Simulator,
    retries: Arc<Mutex<Vec<RetryEvent>>>,
    recorder: Arc<dyn Recorder>,
) -> Stack {
    let (tokens, requests) = scenario.quota();
    let mut endpoint = EndpointConfig::new("chat", "simulated")
        .deployment(DEPLOYMENT)
        .tokens_per_minute(tokens)
        .requests_per_minute(requests);
    // As the server counts. Without a word it is taken to count in the strictest way there is.
    endpoint.quota.window = Some(Window::Bucket(tokens));
    let config = Config::new()
        .resource(ResourceConfig::new("simulated", "https://simulated.openai.azure.com").api_key("none needed"))
        .endpoint(endpoint);
    Stack::builder(config)
        .transport(simulator)
        .seed(7)
        .recorder(recorder)
        .map_retry(move |_, retry| {
            let retries = Arc::clone(&retries);
            retry.on_retry(move |event| {
                retries.lock().push(event);
                ready(())
            })
        })
        .build()
        .expect("a configuration that makes a stack")
}
