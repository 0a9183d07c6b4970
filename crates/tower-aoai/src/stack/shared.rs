//! What endpoints have used and how they do, by name, for all stacks that share it.

use std::{collections::HashMap, fmt, hash::Hash, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    make::{self, problem, quota::Rules},
    plan::EndpointPlan,
};
use crate::{
    circuit_breaker::CircuitBreakerLayer,
    config::{CircuitBreakerConfig, Problems, ResourceConfig},
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
/// or reloaded, last are those of all. One that *counts* otherwise (its window, its order of waiting) has a quota of its
/// own, and one whose circuit follows another policy a circuit of its own; the policy is another one, too, where no other
/// endpoint can stand in.
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
    buckets: Keeping<BucketKey, Bucket>,
    breakers: Keeping<EndpointKey, Breaker>,
    credentials: Keeping<String, Credential>,
}

/// More than one under a key only while those who have them say different things of it.
type Keeping<K, T> = HashMap<K, Vec<Kept<T>>>;

/// Which deployment it is, under a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct EndpointKey {
    name: String,
    address: String,
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
    rules: Rules,
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
        quota: impl FnOnce(Quota) -> TokenBucketLayer,
        breaker: impl FnOnce(CircuitBreakerLayer) -> CircuitBreakerLayer,
    ) -> Result<EndpointState, Problems> {
        let key = EndpointKey {
            name: plan.config.name.clone(),
            address: address(&plan.resource),
            deployment: plan.config.deployment.clone(),
        };
        let bucket_key = match &plan.config.quota.shared {
            Some(name) => BucketKey::Shared(name.clone()),
            None => BucketKey::Own(key.clone()),
        };
        let mut known = self.known.lock();
        let policy = (plan.config.circuit_breaker.clone(), plan.has_stand_in);
        let breaker = match find(&mut known.breakers, &key, |breaker: &Breaker| breaker.policy == policy) {
            Some(breaker) => breaker,
            None => {
                let layer = make::breaker::layer(&policy.0, policy.1).map_err(|error| {
                    problem(format!("endpoints.{}.circuit_breaker", plan.config.name), error.to_string())
                })?;
                let layer = breaker(layer.name(plan.config.name.as_str()));
                keep(&mut known.breakers, key, Breaker { policy, layer })
            }
        };
        let rules = make::quota::rules(&plan.config);
        let bucket = match find(&mut known.buckets, &bucket_key, |bucket: &Bucket| bucket.rules == rules) {
            Some(bucket) => bucket,
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
        match find(&mut known.credentials, &resource.name, |credential| credential.resource == *resource) {
            Some(credential) => Ok(credential),
            None => {
                let credential = Credential { resource: resource.clone(), tokens: make()? };
                Ok(keep(&mut known.credentials, resource.name.clone(), credential))
            }
        }
    }

    /// Lets go of what nobody has had for a while.
    pub(super) fn tidy(&self, now: Instant) {
        let Known { buckets, breakers, credentials } = &mut *self.known.lock();
        tidy(buckets, now);
        tidy(breakers, now);
        tidy(credentials, now);
    }
}

/// Of whatever is written for the same place, the same.
fn address(resource: &ResourceConfig) -> String {
    let text = resource.address().map_or_else(|_| resource.base_url.clone(), |base| base.to_string());
    let host = text.find("://").map_or(0, |scheme| scheme + "://".len());
    let (host, path) = text.split_at(text[host..].find('/').map_or(text.len(), |path| host + path));
    host.to_ascii_lowercase() + path
}

fn find<K: Hash + Eq, T>(keeping: &mut Keeping<K, T>, key: &K, is_it: impl Fn(&T) -> bool) -> Option<Arc<T>> {
    let kept = keeping.get_mut(key)?.iter_mut().find(|kept| is_it(&kept.state))?;
    kept.unused_since = None;
    Some(Arc::clone(&kept.state))
}

/// Beside what others have under that key; what nobody has there gives way.
fn keep<K: Hash + Eq, T>(keeping: &mut Keeping<K, T>, key: K, state: T) -> Arc<T> {
    let state = Arc::new(state);
    let kept = keeping.entry(key).or_default();
    kept.retain(Kept::is_used);
    kept.push(Kept { state: Arc::clone(&state), unused_since: None });
    state
}

fn tidy<K, T>(keeping: &mut Keeping<K, T>, now: Instant) {
    keeping.retain(|_, kept| {
        kept.retain_mut(|kept| kept.is_wanted(now));
        !kept.is_empty()
    });
}

impl<T> Kept<T> {
    fn is_used(&self) -> bool {
        Arc::strong_count(&self.state) > 1
    }

    fn is_wanted(&mut self, now: Instant) -> bool {
        if self.is_used() {
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
            .field("quotas", &known.buckets.values().map(Vec::len).sum::<usize>())
            .field("circuits", &known.breakers.values().map(Vec::len).sum::<usize>())
            .finish_non_exhaustive()
    }
}
