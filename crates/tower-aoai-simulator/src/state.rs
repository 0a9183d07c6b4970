use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    CompletionLength, Latency, TokenCounter, TokenIssuer,
    booking::Quota,
    deployment::{Deployment, Quirks},
    draw::Draws,
    journal::{Journal, Served},
    scene::Scene,
    script::Scripted,
    ticket::Settlement,
};

/// What all clones of a simulator share. Nothing is awaited while the lock is held.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) state: Mutex<State>,
}

/// What does not change.
pub(crate) struct Config {
    pub(crate) seed: u64,
    pub(crate) keys: Vec<String>,
    pub(crate) issuer: Option<TokenIssuer>,
    pub(crate) region: Arc<str>,
    pub(crate) custom_headers: Option<usize>,
    pub(crate) body_limit: usize,
    pub(crate) nowhere: bool,
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) names: HashMap<Arc<str>, usize>,
    pub(crate) latency: Latency,
    pub(crate) completion_length: CompletionLength,
    pub(crate) counter: Arc<dyn TokenCounter>,
    pub(crate) started: Instant,
    pub(crate) unix_time: u64,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the keys.
        f.debug_struct("Config")
            .field("seed", &self.seed)
            .field("keys", &self.keys.len())
            .field("deployments", &self.deployments)
            .field("latency", &self.latency)
            .field("completion_length", &self.completion_length)
            .field("counter", &self.counter)
            .finish_non_exhaustive()
    }
}

/// What does.
#[derive(Debug)]
pub(crate) struct State {
    /// One for each deployment, in the order of the configuration.
    pub(crate) quotas: Vec<Quota>,
    pub(crate) slowness: Vec<f64>,
    pub(crate) quirks: Vec<Quirks>,
    pub(crate) scenes: HashMap<Arc<str>, Scene>,
    /// By the region's name as [`region_key`] writes it.
    pub(crate) region_scenes: HashMap<String, Scene>,
    pub(crate) any_scene: Scene,
    pub(crate) journal: Journal,
    /// How many requests have set out.
    pub(crate) departures: u64,
}

impl Shared {
    pub(crate) fn write(&self, sequence: u64, change: impl FnOnce(&mut Served)) {
        if let Some(served) = self.state.lock().journal.get_mut(sequence) {
            change(served);
        }
    }

    pub(crate) fn settle(&self, now: Instant, settlement: Settlement) {
        if let Some(quota) = self.state.lock().quotas.get_mut(settlement.deployment) {
            quota.settle(now, settlement.reserved, settlement.used);
        }
    }

    /// How long a request that sets out now is on its way.
    pub(crate) fn network_delay(&self) -> Duration {
        let latency = &self.config.latency;
        if latency.network_spread.is_zero() {
            return latency.network;
        }
        let departure = {
            let mut state = self.state.lock();
            state.departures += 1;
            state.departures
        };
        // The ways draw from another seed than the answers.
        latency.draw_network(&mut Draws::of(!self.config.seed, departure))
    }

    pub(crate) fn find(&self, deployment: &str) -> Option<usize> {
        self.config.names.get(deployment).copied()
    }
}

impl State {
    /// How a deployment's headers are now.
    pub(crate) fn quirks(&self, index: Option<usize>) -> Quirks {
        let quirks = index.and_then(|index| self.quirks.get(index));
        quirks.copied().unwrap_or_default()
    }

    /// The answer that is dictated to a request for this deployment, in this region if it was
    /// built, if one is.
    pub(crate) fn scripted(
        &mut self,
        deployment: &str,
        region: Option<&str>,
        now: Instant,
        draws: &mut Draws,
    ) -> Option<Scripted> {
        if let Some(scene) = self.scenes.get_mut(deployment)
            && let Some(scripted) = scene.take(now, draws)
        {
            return Some(scripted);
        }
        if !self.region_scenes.is_empty()
            && let Some(scene) = region.and_then(|name| self.region_scenes.get_mut(&region_key(name)))
            && let Some(scripted) = scene.take(now, draws)
        {
            return Some(scripted);
        }
        self.any_scene.take(now, draws)
    }
}

/// A region's name as it is in addresses: `Sweden Central` and `swedencentral` are the same.
pub(crate) fn region_key(name: &str) -> String {
    name.replace(' ', "").to_ascii_lowercase()
}
