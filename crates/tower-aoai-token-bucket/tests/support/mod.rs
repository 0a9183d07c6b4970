//! Overload against the simulator, in paused time.

#![allow(unreachable_pub, dead_code, reason = "each user takes what it needs")]

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, sleep_until};
use tower::{ServiceBuilder, ServiceExt};
use tower_aoai_core::{Call, Generator, ObserveLayer, PrepareLayer, Usage};
use tower_aoai_simulator::{Deployment, Estimate as ServerEstimate, Latency, Simulator};
use tower_aoai_token_bucket::{Estimate, Quota, TokenBucketLayer};

pub const TOKENS_PER_MINUTE: u64 = 240_000;

/// What stands in the body around the text of the one message.
const FRAME: usize = r#"[{"role":"user","content":""}]"#.len();

/// The simulator's own estimate, exactly, where it has no bias.
#[derive(Debug, Clone, Copy)]
pub struct Exact {
    pub output_ratio: u64,
}

impl Estimate for Exact {
    fn charge(&self, call: &Call) -> u64 {
        let prompt = (call.prompt_bytes.saturating_sub(FRAME) as u64).div_ceil(4);
        prompt + call.max_output_tokens.unwrap_or(0) * self.output_ratio
    }

    fn actual(&self, usage: &Usage) -> u64 {
        usage.input + usage.output * self.output_ratio
    }
}

/// What came of a run.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// Requests that reached the server.
    pub sent: usize,
    /// Of these, refused.
    pub refused: usize,
    /// Refused after the first two minutes.
    pub refused_late: usize,
    /// What was used over what there was: tokens per minute times the time, and what a bucket held at the start. Used are
    /// admitted charges; of a provisioned deployment, what the calls did cost.
    pub used: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, refused, refused_late, used } = self;
        write!(f, "{sent:>6} sent  {refused:>4} refused ({refused_late:>3} late)  {:>6.2} % used", used * 100.0)
    }
}

/// Offers half as much again as the deployment allows for so many minutes.
pub async fn overload(deployment: Deployment, quota: Quota, held: u64, minutes: u64, seed: u64) -> Report {
    let is_provisioned = deployment.name() == PROVISIONED;
    let name = deployment.name().to_owned();
    let simulator = Simulator::builder()
        .seed(seed)
        .deployment(deployment)
        .latency(Latency::typical().network(Duration::from_millis(8), Duration::from_millis(6)))
        .build();
    let bucket = TokenBucketLayer::of(quota);
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(bucket)
        .layer(ObserveLayer::new())
        .service(simulator.clone());
    let start = Instant::now();
    let end = start + Duration::from_secs(60 * minutes);
    let dice = Generator::seeded(seed);
    let mut calls = tokio::task::JoinSet::new();
    let mut at = start;
    while at < end {
        let prompt = 100 + (dice.fraction() * 1_200.0) as usize;
        let output = 50 + (dice.fraction() * 500.0) as u64;
        let charge = prompt as f64 + output as f64;
        let (service, name) = (service.clone(), name.clone());
        calls.spawn(async move {
            sleep_until(at).await;
            let response = service.oneshot(chat(&name, prompt, output)).await.expect("an answer");
            let _ = response.into_body().collect().await;
        });
        at += Duration::from_secs_f64(charge * 60.0 / (1.5 * TOKENS_PER_MINUTE as f64));
    }
    sleep_until(end).await;
    calls.abort_all();
    let late = start + Duration::from_secs(120);
    let mut report = Report { sent: 0, refused: 0, refused_late: 0, used: 0.0 };
    simulator.with_journal(|journal| {
        for served in journal {
            report.sent += 1;
            if served.refused.is_some() {
                report.refused += 1;
                report.refused_late += usize::from(served.arrived > late);
            } else {
                let cost =
                    if is_provisioned { served.prompt_tokens + served.completion_tokens * 4 } else { served.reserved };
                report.used += cost as f64;
            }
        }
    });
    report.used /= (TOKENS_PER_MINUTE * minutes + held) as f64;
    report
}

fn chat(name: &str, prompt: usize, output: u64) -> Request<Full<Bytes>> {
    let text = "x".repeat(prompt * 4);
    let body = format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}],"max_tokens":{output}}}"#);
    Request::post(format!("/openai/deployments/{name}/chat/completions?api-version=2024-10-21"))
        .body(Full::from(body))
        .expect("a valid request")
}

const PROVISIONED: &str = "ptu";

/// A provisioned deployment of as many weighted tokens.
pub fn provisioned() -> Deployment {
    Deployment::provisioned(PROVISIONED).units(1).throughput(TOKENS_PER_MINUTE, 4)
}

/// A standard deployment whose requests never bind.
pub fn standard() -> Deployment {
    Deployment::standard("gpt-4o").tokens_per_minute(TOKENS_PER_MINUTE).requests_per_minute(100_000)
}

/// The same, charged with a bias of 8 % and a noise of 10 %.
pub fn biased() -> Deployment {
    standard().estimate(ServerEstimate::default().bias(1.08).noise(0.1))
}

pub fn quota() -> Quota {
    Quota::standard(TOKENS_PER_MINUTE).estimate(Exact { output_ratio: 1 })
}
