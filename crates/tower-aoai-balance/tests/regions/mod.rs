//! Three regions in the simulator, in paused time: one has more quota than is asked of it, one less than was declared, one
//! is down for a minute.

#![allow(unreachable_pub, dead_code, reason = "each user takes what it needs")]

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};
use tower::{ServiceBuilder, ServiceExt};
use tower_aoai_balance::{BalanceLayer, Member, Strategy};
use tower_aoai_circuit_breaker::CircuitBreakerLayer;
use tower_aoai_core::{AttemptTimeoutLayer, CallContext, DeadlineLayer, Generator, ObserveLayer, PrepareLayer};
use tower_aoai_endpoint::{BaseUrl, EndpointLayer};
use tower_aoai_retry_after::{RetryAfterLayer, RetryPolicy};
use tower_aoai_simulator::{Deployment, HeaderStyle, Latency, Scripted, Simulator, World};
use tower_aoai_token_bucket::{Quota, TokenBucketLayer};

/// The regions: with quota to spare, throttled, and down.
pub const REGIONS: [&str; 3] = ["sweden", "westus", "eastus"];

const SPARE: &str = REGIONS[0];
const THROTTLED: &str = REGIONS[1];
const DOWN: &str = REGIONS[2];

/// Requests for each second: ten for each region.
const RATE: u64 = 30;

pub const DOWN_FROM: u64 = 20;
pub const DOWN_UNTIL: u64 = 80;
pub const END: u64 = 100;

/// How the region that is down answers.
#[derive(Debug, Clone, Copy)]
pub enum Outage {
    /// With a 503 at once.
    Unavailable,
    /// By resetting the connection.
    Resets,
    /// Not at all.
    Hangs,
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// Calls that did not end with a whole answer.
    pub failed: usize,
    pub calls: usize,
    /// Requests that reached each region, by the second.
    pub sent: [Vec<usize>; 3],
    /// Of these, refused for the quota.
    pub refused: [Vec<usize>; 3],
}

fn world(seed: u64, outage: Outage, start: Instant) -> World {
    let at = |second| start + Duration::from_secs(second);
    // Its headers do not tell how much it has, so that its 429s are the first to say so.
    let headers = |name| if name == THROTTLED { HeaderStyle::Absent } else { HeaderStyle::Full };
    let region = |name, tokens| {
        Simulator::builder()
            .seed(seed)
            .region(name)
            .latency(Latency::typical().network(Duration::from_millis(8), Duration::from_millis(6)))
            .deployment(
                Deployment::standard("gpt-4o")
                    .tokens_per_minute(tokens)
                    .requests_per_minute(60_000)
                    .header_style(headers(name)),
            )
            .build()
    };
    // A third of what reaches it, where the declared quota is enough for all.
    let world = REGIONS.map(|name| (name, region(name, if name == THROTTLED { 30_000 } else { 2_000_000 })));
    let world = world.into_iter().fold(World::builder(), |world, (name, region)| world.resource(name, region)).build();
    let scripted = match outage {
        Outage::Unavailable => Scripted::plain_text_503(),
        Outage::Resets => Scripted::reset(),
        Outage::Hangs => Scripted::hang(),
    };
    world.region_down(DOWN, at(DOWN_FROM), at(DOWN_UNTIL), &scripted);
    world
}

/// Runs it with breakers and buckets below the balancer and a retry layer above, half of the calls streamed.
pub async fn run(seed: u64, strategy: Strategy, outage: Outage) -> Report {
    let start = Instant::now();
    let world = world(seed, outage, start);
    let members = BalanceLayer::from_fn(REGIONS, |region| {
        let base = format!("https://{region}.openai.azure.com").parse::<BaseUrl>().expect("a valid address");
        let endpoint = EndpointLayer::new(base).classic("2024-10-21").expect("an api-version");
        Member::new(region)
            .asked(CircuitBreakerLayer::below_balancer().seed(seed))
            .asked(TokenBucketLayer::of(Quota::standard(2_000_000)))
            .layer(endpoint)
            .layer(ObserveLayer::new())
            .layer(AttemptTimeoutLayer::new().first_byte(Duration::from_secs(2)))
    });
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(DeadlineLayer::new(Duration::from_secs(30)))
        .layer(RetryAfterLayer::new(RetryPolicy::new().max_attempts(4)).seed(seed))
        .layer(members.expect("three members").strategy(strategy).seed(seed))
        .service(world.clone());

    let dice = Generator::seeded(seed);
    let failed = Arc::new(Mutex::new(0));
    let mut calls = tokio::task::JoinSet::new();
    let mut at = start;
    while at < start + Duration::from_secs(END) {
        let (service, failed) = (service.clone(), Arc::clone(&failed));
        let stream = dice.fraction() < 0.5;
        calls.spawn(async move {
            sleep_until(at).await;
            let mut request = chat(stream);
            let context = CallContext::of(&mut request).clone();
            let is_whole = match service.oneshot(request).await {
                Ok(response) => {
                    let ok = response.status() == 200;
                    ok & response.into_body().collect().await.is_ok()
                }
                Err(_) => false,
            };
            if !is_whole {
                tracing::debug!(?context, "a call failed");
                *failed.lock() += 1;
            }
        });
        // Gaps are exponential.
        at += Duration::from_secs_f64(-(1.0 - dice.fraction()).ln() / RATE as f64);
    }
    let count = calls.len();
    while calls.join_next().await.is_some() {}
    let failed = *failed.lock();
    let counted = |refused: bool| {
        REGIONS.map(|region| {
            let mut seconds = vec![0; END as usize];
            world.resource(region).expect("a region").with_journal(|journal| {
                for served in journal.filter(|served| !refused || served.refused.is_some()) {
                    let second = (served.arrived - start).as_secs() as usize;
                    if let Some(count) = seconds.get_mut(second) {
                        *count += 1;
                    }
                }
            });
            seconds
        })
    };
    Report { failed, calls: count, sent: counted(false), refused: counted(true) }
}

fn chat(stream: bool) -> Request<Full<Bytes>> {
    let text = "word ".repeat(100);
    let body = format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}],"max_tokens":12,"stream":{stream}}}"#);
    Request::post("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
        .body(Full::from(body))
        .expect("a valid request")
}

impl Report {
    /// The share of the requests from one second to the other that went to the region that is down for a while.
    pub fn share_of_down(&self, from: u64, until: u64) -> f64 {
        let sum = |region: usize| self.sent[region][from as usize..until as usize].iter().sum::<usize>() as f64;
        sum(2) / (sum(0) + sum(1) + sum(2))
    }

    /// Requests sent for each call.
    pub fn attempts(&self) -> f64 {
        self.sent.iter().flatten().sum::<usize>() as f64 / self.calls as f64
    }

    /// What happened in some seconds, region by region: requests that arrived, and of these refused.
    pub fn between(&self, from: u64, until: u64) -> [(usize, usize); 3] {
        let sum = |seconds: &[usize]| seconds[from as usize..until as usize].iter().sum();
        [0, 1, 2].map(|region| (sum(&self.sent[region]), sum(&self.refused[region])))
    }

    /// How many seconds after the outage's end the region had four fifths of the share back that it had before, for two
    /// seconds on end.
    pub fn back_after(&self) -> Option<u64> {
        let before = self.share_of_down(10, DOWN_FROM);
        (DOWN_UNTIL..END - 2)
            .find(|&second| self.share_of_down(second, second + 2) >= 0.8 * before)
            .map(|at| at - DOWN_UNTIL)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} calls, {} failed, {:.3} requests a call; of the requests, {:.1} % to the region before its outage, \
             {:.2} % during it; {}",
            self.calls,
            self.failed,
            self.attempts(),
            100.0 * self.share_of_down(10, DOWN_FROM),
            100.0 * self.share_of_down(DOWN_FROM, DOWN_UNTIL),
            self.back_after().map_or_else(|| "not back".to_owned(), |seconds| format!("back after {seconds} s")),
        )
    }
}
