//! What endpoints have used and how they do, by name, for all stacks that share it.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    make::{self, problem},
    plan::EndpointPlan,
};
use crate::{
    circuit_breaker::CircuitBreakerLayer,
    config::{CircuitBreakerConfig, Problems, QuotaConfig, ResourceConfig},
    endpoint::TokenCache,
    token_bucket::{Limits, Quota, TokenBucketLayer},
};

/// For how long the state of an endpoint is kept that no stack has any more: longer than any window of a quota.
const KEPT_UNUSED: Duration = Duration::from_secs(15 * 60);

/// Limits that several stacks of a process share, as the agents of one application do: an endpoint of the same name,
/// address and deployment has one quota, one circuit and one credential, whoever calls it.
///
/// Each stack has one of its own, unless it is [given](super::StackBuilder::shared_limits) one. Clones are the same.
///
/// Stacks that share are expected to say the same of an endpoint. Where they do not, the limits of the one that was built,
/// or reloaded, last are those of all; and one that *counts* otherwise (its window, its order of waiting) has a quota of
/// its own.
///
/// ```
/// use tower_aoai::{
///     config::{Config, EndpointConfig, ResourceConfig},
///     stack::{SharedLimits, Stack},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::new()
///     .resource(ResourceConfig::new("contoso", "https://contoso.openai.azure.com").api_key("0123456789abcdef"))
///     .endpoint(EndpointConfig::new("chat", "contoso").deployment("gpt-4o").tokens_per_minute(150_000));
/// let limits = SharedLimits::new();
/// let planner = Stack::builder(config.clone()).name("planner").shared_limits(&limits).build()?;
/// let writer = Stack::builder(config).name("writer").shared_limits(&limits).build()?;
/// // Together they are never above 150,000 tokens a minute.
/// # let _ = (planner, writer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct SharedLimits {
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    buckets: HashMap<BucketKey, Kept<Bucket>>,
    breakers: HashMap<EndpointKey, Kept<Breaker>>,
    credentials: HashMap<String, Kept<Credential>>,
}

/// Which deployment it is, under a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct EndpointKey {
    name: String,
    base_url: String,
    deployment: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum BucketKey {
    Own(EndpointKey),
    /// Of several endpoints, by the name that they give it.
    Shared(String),
}

/// A state, as long as somebody has it, and some time longer.
struct Kept<T> {
    state: Arc<T>,
    unused_since: Option<Instant>,
}

/// A quota and how it counts.
pub(super) struct Bucket {
    rules: QuotaConfig,
    /// As they were configured last.
    limits: Mutex<Limits>,
    pub(super) layer: TokenBucketLayer,
}

impl Bucket {
    /// Other limits, if they are other ones; what was used stays used.
    pub(super) fn limit(&self, limits: Limits) {
        let mut configured = self.limits.lock();
        if *configured != limits {
            self.layer.handle().set_limits(limits);
            *configured = limits;
        }
    }
}

/// A circuit and by which policy.
pub(super) struct Breaker {
    policy: (CircuitBreakerConfig, bool),
    pub(super) layer: CircuitBreakerLayer,
}

/// What the endpoints of a resource send.
pub(super) struct Credential {
    resource: ResourceConfig,
    pub(super) tokens: Option<TokenCache>,
}

/// The state of one endpoint; as long as a stack holds it, it is the same for all.
#[derive(Clone)]
pub(super) struct EndpointState {
    pub(super) bucket: Arc<Bucket>,
    pub(super) breaker: Arc<Breaker>,
}

impl SharedLimits {
    /// Nothing used as yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The endpoint's state, made where there is none; limits that differ are changed in place.
    ///
    /// `quota` and `breaker` make what is not there.
    pub(super) fn endpoint(
        &self,
        plan: &EndpointPlan,
        has_stand_in: bool,
        quota: impl FnOnce(Quota) -> TokenBucketLayer,
        breaker: impl FnOnce(CircuitBreakerLayer) -> CircuitBreakerLayer,
    ) -> Result<EndpointState, Problems> {
        let key = EndpointKey {
            name: plan.config.name.clone(),
            base_url: plan.resource.base_url.clone(),
            deployment: plan.config.deployment.clone(),
        };
        let bucket_key = match &plan.config.quota.shared {
            Some(name) => BucketKey::Shared(name.clone()),
            None => BucketKey::Own(key.clone()),
        };
        let mut known = self.known.lock();
        let policy = (plan.config.circuit_breaker.clone(), has_stand_in);
        let breaker = match known.breakers.get_mut(&key).filter(|kept| kept.state.policy == policy) {
            Some(kept) => kept.take(),
            None => {
                let layer = make::breaker::layer(&policy.0, has_stand_in).map_err(|error| {
                    problem(format!("endpoints.{}.circuit_breaker", plan.config.name), error.to_string())
                })?;
                let layer = breaker(layer.name(plan.config.name.as_str()));
                keep(&mut known.breakers, key, Breaker { policy, layer })
            }
        };
        let rules = make::quota::rules(&plan.config);
        let bucket = match known.buckets.get_mut(&bucket_key).filter(|kept| kept.state.rules == rules) {
            Some(kept) => kept.take(),
            None => {
                let layer = quota(make::quota::quota(&plan.config));
                let limits = Mutex::new(make::quota::limits(&plan.config));
                keep(&mut known.buckets, bucket_key, Bucket { rules, limits, layer })
            }
        };
        Ok(EndpointState { bucket, breaker })
    }

    /// What the endpoints of this resource send, kept as long as nothing of the resource changes.
    pub(super) fn credential(
        &self,
        resource: &ResourceConfig,
        make: impl FnOnce() -> Result<Option<TokenCache>, Problems>,
    ) -> Result<Arc<Credential>, Problems> {
        let mut known = self.known.lock();
        match known.credentials.get_mut(&resource.name).filter(|kept| kept.state.resource == *resource) {
            Some(kept) => Ok(kept.take()),
            None => {
                let credential = Credential { resource: resource.clone(), tokens: make()? };
                Ok(keep(&mut known.credentials, resource.name.clone(), credential))
            }
        }
    }

    /// Lets go of what nobody has had for a while.
    pub(super) fn tidy(&self, now: Instant) {
        let Known { buckets, breakers, credentials } = &mut *self.known.lock();
        buckets.retain(|_, kept| kept.is_wanted(now));
        breakers.retain(|_, kept| kept.is_wanted(now));
        credentials.retain(|_, kept| kept.is_wanted(now));
    }
}

fn keep<K: std::hash::Hash + Eq, T>(known: &mut HashMap<K, Kept<T>>, key: K, state: T) -> Arc<T> {
    let state = Arc::new(state);
    known.insert(key, Kept { state: Arc::clone(&state), unused_since: None });
    state
}

impl<T> Kept<T> {
    fn take(&mut self) -> Arc<T> {
        self.unused_since = None;
        Arc::clone(&self.state)
    }

    fn is_wanted(&mut self, now: Instant) -> bool {
        if Arc::strong_count(&self.state) > 1 {
            self.unused_since = None;
            return true;
        }
        let since = *self.unused_since.get_or_insert(now);
        now.saturating_duration_since(since) < KEPT_UNUSED
    }
}

impl fmt::Debug for SharedLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.lock();
        f.debug_struct("SharedLimits")
            .field("quotas", &known.buckets.len())
            .field("circuits", &known.breakers.len())
            .finish_non_exhaustive()
    }
}
