//! What all runs have in common: the deployment, the traffic, and what goes wrong.

use std::{fmt, time::Duration};

use tokio::time::Instant;
use tower_aoai_simulator::{Deployment, Latency, Scripted, Simulator};

use crate::traffic::{Ask, MEAN_CHARGE, MEAN_RATE, Traffic};

pub(crate) const DEPLOYMENT: &str = "gpt-4o";

/// The API takes up to 128.
const MOST_CHOICES: u64 = 120;

/// Traffic for a deployment.
#[derive(Debug)]
pub(crate) struct Scenario {
    minutes: u32,
    load: f64,
    seed: u64,
    tokens_per_minute: u64,
    requests_per_minute: u64,
}

impl Scenario {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(crate) fn new(minutes: u32, load: f64, seed: u64) -> Self {
        let requests_per_minute = (MEAN_RATE * 60.0 / load).round() as u64;
        let tokens_per_minute = (MEAN_RATE * 60.0 * MEAN_CHARGE / load / 1000.0).round() as u64 * 1000;
        Self { minutes, load, seed, tokens_per_minute, requests_per_minute }
    }

    /// A deployment with a fault now and then: five seconds without a backend, and a reset connection in 300.
    pub(crate) fn simulator(&self) -> Simulator {
        let deployment = Deployment::standard(DEPLOYMENT)
            .tokens_per_minute(self.tokens_per_minute)
            .requests_per_minute(self.requests_per_minute);
        let simulator = Simulator::builder().seed(self.seed).latency(Latency::typical()).deployment(deployment).build();
        let outage = Instant::now() + self.length() / 2;
        simulator
            .script(DEPLOYMENT)
            .during(outage, outage + Duration::from_secs(5), Scripted::plain_text_503())
            .sometimes(1.0 / 300.0, Scripted::reset());
        simulator
    }

    /// The calls, in the order of their arrival; two of them ask for more than the whole quota.
    pub(crate) fn traffic(&self) -> Vec<Ask> {
        let mut asks = Traffic::seeded(self.seed).until(self.length());
        let middle = asks.len() / 2;
        for ask in asks.iter_mut().skip(middle).take(2) {
            ask.choices = MOST_CHOICES;
            ask.max_tokens = self.tokens_per_minute * 2 / MOST_CHOICES;
            ask.stream = false;
        }
        asks
    }

    /// What the deployment can take in a minute: tokens, and requests.
    pub(crate) const fn quota(&self) -> (u64, u64) {
        (self.tokens_per_minute, self.requests_per_minute)
    }

    fn length(&self) -> Duration {
        Duration::from_secs(60) * self.minutes
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "A simulated {DEPLOYMENT} deployment with {} tokens and {} requests a minute.",
            self.tokens_per_minute, self.requests_per_minute
        )?;
        writeln!(
            f,
            "{} minutes of chat traffic, in waves, that wants {:.0} % of that on average.",
            self.minutes,
            self.load * 100.0
        )?;
        write!(
            f,
            "Half-way there is no backend for 5 s; one connection in 300 is reset; two calls ask for twice the quota."
        )
    }
}
