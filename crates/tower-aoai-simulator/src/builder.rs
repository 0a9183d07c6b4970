use std::{collections::HashMap, fmt, sync::Arc};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    CompletionLength, Deployment, FourCharacters, Latency, Simulator, TokenCounter, TokenIssuer,
    booking::Quota,
    journal::Journal,
    scene::Scene,
    state::{Config, Shared, State},
};

/// Puts a [`Simulator`] together.
#[must_use]
pub struct SimulatorBuilder {
    seed: u64,
    keys: Vec<String>,
    issuer: Option<TokenIssuer>,
    region: Arc<str>,
    custom_headers: Option<usize>,
    body_limit: usize,
    nowhere: bool,
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
            issuer: None,
            region: "Sweden Central".into(),
            custom_headers: Some(10),
            body_limit: 64 * 1024 * 1024,
            nowhere: false,
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
    /// any, and without an [issuer](Self::token_issuer), every request is let in.
    pub fn api_key(mut self, key: &str) -> Self {
        self.keys.push(key.to_owned());
        self
    }

    /// Whose Bearer tokens are accepted beside the keys. Default nobody's.
    pub fn token_issuer(mut self, issuer: TokenIssuer) -> Self {
        self.issuer = Some(issuer);
        self
    }

    /// The region of deployments that do not [say](Deployment::region) their own. Default
    /// `Sweden Central`.
    pub fn region(mut self, region: &str) -> Self {
        self.region = region.into();
        self
    }

    /// How many custom headers a request may have; one with more is answered 431. Default 10, by
    /// Azure's documentation, which does not say what a custom header is: here any but those of
    /// HTTP itself, of credentials, of tracing and of SDKs (`x-ms-*`, `x-stainless-*`,
    /// `openai-*`) and the simulator's own. `None`: as many as one likes.
    pub fn custom_headers(mut self, most: Option<usize>) -> Self {
        self.custom_headers = most;
        self
    }

    /// How many bytes a request's body may have; a larger one is answered 413 and not read
    /// further. Default 64 MiB; what Azure allows is not documented.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Nothing is to be found here, whatever is asked for.
    pub(crate) fn nowhere(mut self) -> Self {
        self.nowhere = true;
        self
    }

    /// Adds a deployment, in place of one of the same name.
    pub fn deployment(mut self, deployment: Deployment) -> Self {
        self.deployments.retain(|other| other.name != deployment.name);
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
    pub fn build(mut self) -> Simulator {
        for deployment in &mut self.deployments {
            if deployment.region.is_empty() {
                deployment.region = Arc::clone(&self.region);
            }
        }
        let started = self.started.unwrap_or_else(Instant::now);
        let names: HashMap<_, _> = self
            .deployments
            .iter()
            .enumerate()
            .map(|(index, deployment)| (Arc::clone(&deployment.name), index))
            .collect();
        let state = State {
            quotas: self.deployments.iter().map(|deployment| Quota::of(deployment, started)).collect(),
            slowness: vec![1.0; self.deployments.len()],
            quirks: self.deployments.iter().map(Deployment::quirks).collect(),
            scenes: HashMap::new(),
            region_scenes: HashMap::new(),
            any_scene: Scene::default(),
            journal: Journal::new(self.journal_capacity),
            departures: 0,
        };
        let config = Config {
            seed: self.seed,
            keys: self.keys,
            issuer: self.issuer,
            region: self.region,
            custom_headers: self.custom_headers,
            body_limit: self.body_limit,
            nowhere: self.nowhere,
            deployments: self.deployments,
            names,
            latency: self.latency,
            completion_length: self.completion_length,
            counter: self.counter,
            started,
            unix_time: self.unix_time,
        };
        Simulator { shared: Arc::new(Shared { config, state: Mutex::new(state) }) }
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
