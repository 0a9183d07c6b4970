//! What cannot be written down in a configuration: code.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::slot::Around;
use crate::{
    circuit_breaker::CircuitBreakerLayer,
    context_window::ContextWindowLayer,
    core::{Classify, ObserveLayer, Observer},
    cost::CostLayer,
    endpoint::{EndpointLayer, TokenCache},
    retry_after::RetryAfterLayer,
    telemetry::Recorder,
    token_bucket::{Quota, TokenBucketLayer},
};

/// Changes a layer that the configuration has made, of the leg or endpoint of that name.
pub(super) type Change<T, U = T> = Arc<dyn Fn(&str, T) -> U + Send + Sync>;

/// A layer of somebody's own, for the leg or endpoint of that name.
pub(super) type Own = Arc<dyn Fn(&str) -> Around + Send + Sync>;

/// What is said in code of a stack.
#[derive(Clone, Default)]
pub(super) struct Parts {
    pub(super) classify: Option<Arc<dyn Classify>>,
    pub(super) seed: Option<u64>,
    pub(super) recorders: Vec<Arc<dyn Recorder>>,
    pub(super) observers: Vec<Arc<dyn Observer>>,
    /// By the names of resources.
    pub(super) credentials: BTreeMap<String, TokenCache>,
    pub(super) door: Option<Around>,
    pub(super) leg: Option<Own>,
    pub(super) endpoint: Option<Own>,
    pub(super) map_retry: Option<Change<RetryAfterLayer>>,
    pub(super) map_breaker: Option<Change<CircuitBreakerLayer>>,
    pub(super) map_bucket: Option<Change<Quota, TokenBucketLayer>>,
    pub(super) map_endpoint: Option<Change<EndpointLayer>>,
    pub(super) map_observe: Option<Change<ObserveLayer>>,
    pub(super) map_context_window: Option<Arc<dyn Fn(ContextWindowLayer) -> ContextWindowLayer + Send + Sync>>,
    pub(super) map_cost: Option<Arc<dyn Fn(CostLayer) -> CostLayer + Send + Sync>>,
}

/// `layer`, changed if anybody wants that.
pub(super) fn changed<T>(change: Option<&Change<T>>, name: &str, layer: T) -> T {
    match change {
        Some(change) => change(name, layer),
        None => layer,
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("seed", &self.seed)
            .field("recorders", &self.recorders.len())
            .field("credentials", &self.credentials.keys())
            .finish_non_exhaustive()
    }
}
