//! What Prometheus would scrape: a minute of traffic through a stack over the simulator, without a key.
//!
//! ```sh
//! cargo run --example prometheus -- --brief
//! ```
#![allow(clippy::print_stderr)] // a command line program

#[macro_use]
#[path = "../println.rs"]
mod println;

mod seen;
mod stack;

use std::{process::ExitCode, sync::Arc, time::Duration};

use bytes::Bytes;
use clap::Parser;
use http::Request;
use http_body_util::{BodyExt, Full};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tower::{BoxError, ServiceExt};
use tower_aoai::{
    telemetry::{
        Recorder,
        metrics::{MetricsRecorder, SECONDS, TOKENS},
    },
    token_bucket::Quota,
};
use tower_aoai_simulator::{COMPLETION_TOKENS_HEADER, Deployment, Latency, PROMPT_TOKENS_HEADER, Scripted, Simulator};

use crate::seen::Seen;

/// Sends a minute of traffic through a stack over simulated deployments, and prints what Prometheus would scrape.
///
/// A provisioned deployment comes first; what it has no room for spills to two standard ones, of which one is down for
/// some seconds half-way. Time is simulated, so the minute takes a second or two. No key, no account, no port.
#[derive(Debug, Parser)]
#[command(
    name = "prometheus",
    after_long_help = "\
To have the same in a service of yours:

  1. Install an exporter, before anything else:
       metrics_exporter_prometheus::PrometheusBuilder::new().install()
  2. Make one recorder:
       let metrics = Arc::new(MetricsRecorder::new());
  3. Give it to the layer at the door, and to the one at each endpoint:
       CallTelemetryLayer::new().recorder(metrics.clone())
       AttemptTelemetryLayer::new(\"eastus\").recorder(metrics.clone())

Worth an alert:

  histogram_quantile(0.99, sum by (le) (rate(tower_aoai_call_waited_seconds_bucket[5m]))) > 10
  sum by (endpoint) (rate(tower_aoai_attempts_total{outcome=\"misconfigured\"}[5m])) > 0
  sum(rate(tower_aoai_retries_total[5m])) / sum(rate(tower_aoai_attempts_total[5m])) > 0.2"
)]
struct Arguments {
    /// Seconds of traffic to simulate
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Calls a second, on average
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100))]
    rate: u32,
    /// Where chance starts; the same seed gives the same run
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Leave out the buckets of histograms
    #[arg(long)]
    brief: bool,
}

/// One deployment, and who plays it.
pub(crate) struct Endpoint {
    pub(crate) name: &'static str,
    pub(crate) deployment: &'static str,
    pub(crate) server: Simulator,
    pub(crate) quota: Option<Quota>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("error: a call was not answered, or an endpoint not asked: this run shows less than it should");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, BoxError> {
    let exporter = PrometheusBuilder::new()
        .with_recommended_naming(true)
        .set_buckets(&SECONDS)?
        .set_buckets_for_metric(Matcher::Full("gen_ai.client.token.usage".to_owned()), &TOKENS)?
        .set_buckets_for_metric(Matcher::Suffix("dollars".to_owned()), &[0.000_1, 0.001, 0.01, 0.1, 1.0])?
        .install_recorder()?;
    let seen = Arc::new(Seen::default());
    let recorders: [Arc<dyn Recorder>; 2] = [Arc::new(MetricsRecorder::new()), seen.clone()];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(drive(arguments, &recorders))?;

    let text = exporter.render();
    for line in text.lines().filter(|line| !(arguments.brief && line.contains("_bucket{"))) {
        println!("{line}");
    }
    println!("\n{}\n{}", seen.table(), seen.sentence());
    Ok(seen.is_as_meant())
}

/// Sends the traffic, each call when it is due.
async fn drive(arguments: &Arguments, recorders: &[Arc<dyn Recorder>]) -> Result<(), BoxError> {
    let start = Instant::now();
    let end = start + Duration::from_secs(arguments.seconds);
    let endpoints = endpoints(start, end);
    let stack = stack::stack(&endpoints, recorders)?;
    let mut random = StdRng::seed_from_u64(arguments.seed);
    let mut calls = JoinSet::new();
    let mut at = start;
    while at < end {
        let (stack, request) = (stack.clone(), request(&mut random)?);
        calls.spawn(async move {
            sleep_until(at).await;
            stack.oneshot(request).await?.into_body().collect().await
        });
        at += Duration::from_secs_f64(-random.random_range(f64::EPSILON..1.0).ln() / f64::from(arguments.rate));
    }
    // How a call ended is what the recorders are told.
    while calls.join_next().await.transpose()?.is_some() {}
    Ok(())
}

fn endpoints(start: Instant, end: Instant) -> [Endpoint; 3] {
    let server = |deployment: Deployment| {
        let deployment = deployment.model("gpt-4o-2024-11-20");
        Simulator::builder().deployment(deployment).latency(Latency::typical()).seed(7).build()
    };
    let standard = |name| server(Deployment::standard(name).tokens_per_minute(450_000).requests_per_minute(2_700));
    let endpoints = [
        Endpoint {
            name: "ptu",
            deployment: "chat-ptu",
            server: server(Deployment::provisioned("chat-ptu").units(50)),
            quota: None,
        },
        Endpoint {
            name: "eastus",
            deployment: "chat-east",
            server: standard("chat-east"),
            quota: Some(Quota::standard(450_000)),
        },
        Endpoint {
            name: "westus",
            deployment: "chat-west",
            server: standard("chat-west"),
            quota: Some(Quota::standard(450_000)),
        },
    ];
    let (third, half) = (start + (end - start) / 3, start + (end - start) / 2);
    endpoints[1].server.script("chat-east").during(third, half, Scripted::status(503));
    endpoints
}

fn request(random: &mut StdRng) -> Result<Request<Full<Bytes>>, http::Error> {
    let stream = random.random_bool(0.5);
    let body = format!(r#"{{"messages":[{{"role":"user","content":"…"}}],"max_tokens":500,"stream":{stream}}}"#);
    Request::post("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
        .header(PROMPT_TOKENS_HEADER, random.random_range(100..1_500_u32))
        .header(COMPLETION_TOKENS_HEADER, random.random_range(20..400_u32))
        .body(Full::from(body))
}
