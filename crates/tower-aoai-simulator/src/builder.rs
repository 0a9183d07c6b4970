use std::{collections::HashMap, fmt, sync::Arc};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    CompletionLength, Deployment, FourCharacters, Latency, Simulator, TokenCounter,
    booking::Quota,
    journal::Journal,
    script::Scene,
    state::{Config, Shared, State},
};

/// Puts a [`Simulator`] together.
#[must_use]
pub struct SimulatorBuilder {
    seed: u64,
    keys: Vec<String>,
    deployments: Vec<Deployment>,
    latency: Latency,
    completion_length: CompletionLength,
    counter: Arc<dyn TokenCounter>,
    journal_capacity: usize,
    started: Option<Instant>,
    unix_time: u64,
}

impl Default for SimulatorBuilder {
    fn default() -> Self {
        Self {
            seed: 0,
            keys: Vec::new(),
            deployments: Vec::new(),
            latency: Latency::default(),
            completion_length: CompletionLength::default(),
            counter: Arc::new(FourCharacters),
            journal_capacity: 1_000_000,
            started: None,
            unix_time: 1_700_000_000,
        }
    }
}

impl SimulatorBuilder {
    /// From which everything random is drawn: the same seed and the same requests at the same
    /// instants give the same run. Default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// A key that is accepted, as `api-key` or as a Bearer token; call again for more. Without
    /// any, every request is let in.
    pub fn api_key(mut self, key: &str) -> Self {
        self.keys.push(key.to_owned());
        self
    }

    /// Adds a deployment, in place of one of the same name.
    pub fn deployment(mut self, deployment: Deployment) -> Self {
        self.deployments
            .retain(|other| other.name != deployment.name);
        self.deployments.push(deployment);
        self
    }

    /// How long everything takes. Default no time at all.
    pub fn latency(mut self, latency: Latency) -> Self {
        self.latency = latency;
        self
    }

    /// How many tokens an answer has when the request does not say. Default 32.
    pub fn completion_length(mut self, length: CompletionLength) -> Self {
        self.completion_length = length;
        self
    }

    /// How tokens are counted. Default [`FourCharacters`].
    pub fn token_counter(mut self, counter: impl TokenCounter + 'static) -> Self {
        self.counter = Arc::new(counter);
        self
    }

    /// How many requests the journal remembers; the oldest are forgotten first. Default one
    /// million.
    pub fn journal_capacity(mut self, entries: usize) -> Self {
        self.journal_capacity = entries;
        self
    }

    /// The instant from which windows are counted. Default the instant of [`build`](Self::build).
    pub fn started(mut self, started: Instant) -> Self {
        self.started = Some(started);
        self
    }

    /// The calendar time at the start, in Unix seconds, for the `created` of answers: a fixed one
    /// by default, so that runs are alike.
    pub fn unix_time(mut self, seconds: u64) -> Self {
        self.unix_time = seconds;
        self
    }

    /// The simulator, with all quotas unused.
    #[must_use]
    pub fn build(self) -> Simulator {
        let started = self.started.unwrap_or_else(Instant::now);
        let names: HashMap<_, _> = self
            .deployments
            .iter()
            .enumerate()
            .map(|(index, deployment)| (Arc::clone(&deployment.name), index))
            .collect();
        let state = State {
            quotas: self
                .deployments
                .iter()
                .map(|deployment| Quota::of(deployment, started))
                .collect(),
            slowness: vec![1.0; self.deployments.len()],
            scenes: HashMap::new(),
            any_scene: Scene::default(),
            journal: Journal::new(self.journal_capacity),
            departures: 0,
        };
        let config = Config {
            seed: self.seed,
            keys: self.keys,
            deployments: self.deployments,
            names,
            latency: self.latency,
            completion_length: self.completion_length,
            counter: self.counter,
            started,
            unix_time: self.unix_time,
        };
        Simulator {
            shared: Arc::new(Shared {
                config,
                state: Mutex::new(state),
            }),
        }
    }
}

impl fmt::Debug for SimulatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the keys.
        f.debug_struct("SimulatorBuilder")
            .field("seed", &self.seed)
            .field("keys", &self.keys.len())
            .field("deployments", &self.deployments)
            .field("latency", &self.latency)
            .field("completion_length", &self.completion_length)
            .finish_non_exhaustive()
    }
}
