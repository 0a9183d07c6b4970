//! What the parts of a stack can be asked.

use std::{fmt, sync::Arc, time::Duration};

use tower_aoai_balance::{BalanceHandle, BalanceSnapshot};
use tower_aoai_circuit_breaker::CircuitBreakerHandle;
use tower_aoai_context_window::{ContextWindowHandle, Models};
use tower_aoai_cost::CostHandle;
use tower_aoai_endpoint::EndpointHandle;
use tower_aoai_fallback::FallbackHandle;
use tower_aoai_retry_after::RetryAfterHandle;
use tower_aoai_token_bucket::TokenBucketHandle;

/// The handles of one stack's layers, by the names under which its records come.
///
/// Everything but the name is optional: what is not given is not shown.
///
/// ```
/// use tower_aoai::{
///     circuit_breaker::CircuitBreakerLayer,
///     retry_after::RetryAfterLayer,
///     statistics::{EndpointHandles, LegHandles, ModelHandles, StackHandles},
///     token_bucket::{Quota, TokenBucketLayer},
/// };
///
/// let (retry, breaker) = (RetryAfterLayer::default(), CircuitBreakerLayer::new());
/// let bucket = TokenBucketLayer::of(Quota::standard(150_000));
/// let endpoint = EndpointHandles::new("eastus").breaker(breaker.handle()).bucket(bucket.handle());
/// let leg = LegHandles::new("standard").retry(retry.handle()).endpoint(endpoint);
/// let handles = StackHandles::new("assistant").model(ModelHandles::new("gpt-4o").leg(leg));
/// # let _ = handles;
/// ```
#[derive(Debug, Clone)]
#[must_use = "handles show nothing until statistics have them"]
pub struct StackHandles {
    pub(crate) name: Arc<str>,
    pub(crate) context_window: Option<ContextWindowHandle>,
    pub(crate) windows: Option<Arc<Models>>,
    pub(crate) fits_prompts: bool,
    pub(crate) fits_outputs: bool,
    pub(crate) cost: Option<CostHandle>,
    pub(crate) models: Vec<ModelHandles>,
}

/// The handles of what serves one name by which callers ask: a chain of legs.
#[derive(Debug, Clone)]
#[must_use = "handles show nothing until statistics have them"]
pub struct ModelHandles {
    pub(crate) name: Arc<str>,
    pub(crate) fallback: Option<FallbackHandle>,
    pub(crate) legs: Vec<LegHandles>,
}

/// The handles of one leg.
#[derive(Debug, Clone)]
#[must_use = "handles show nothing until statistics have them"]
pub struct LegHandles {
    pub(crate) name: Arc<str>,
    pub(crate) patience: Option<Duration>,
    pub(crate) retry: Option<RetryAfterHandle>,
    pub(crate) balance: Option<Arc<dyn WatchBalance>>,
    pub(crate) endpoints: Vec<EndpointHandles>,
}

/// The handles of one endpoint. Legs and models may share it: of the same name there is one.
#[derive(Debug, Clone)]
#[must_use = "handles show nothing until statistics have them"]
pub struct EndpointHandles {
    pub(crate) name: Arc<str>,
    pub(crate) is_provisioned: bool,
    pub(crate) breaker: Option<CircuitBreakerHandle>,
    pub(crate) bucket: Option<TokenBucketHandle>,
    pub(crate) endpoint: Option<EndpointHandle>,
}

/// A balancer whose members' type does not matter.
pub(crate) trait WatchBalance: fmt::Debug + Send + Sync {
    fn snapshot(&self) -> BalanceSnapshot;
}

impl<L> WatchBalance for BalanceHandle<L>
where
    Self: Send + Sync,
{
    fn snapshot(&self) -> BalanceSnapshot {
        Self::snapshot(self)
    }
}

impl StackHandles {
    /// Of a stack of this name, which alerts and [`all_stacks`](crate::statistics::all_stacks) tell.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            context_window: None,
            windows: None,
            fits_prompts: false,
            fits_outputs: false,
            cost: None,
            models: Vec::new(),
        }
    }

    /// What was truncated and refused for its length.
    pub fn context_window(mut self, handle: ContextWindowHandle) -> Self {
        self.context_window = Some(handle);
        self
    }

    /// How long prompts may be, for the [risk](crate::statistics::Statistics::risk) of planned calls.
    pub fn windows(mut self, models: impl Into<Arc<Models>>) -> Self {
        self.windows = Some(models.into());
        self
    }

    /// Prompts that are longer are made to fit
    /// ([`Policy::truncate`](tower_aoai_context_window::Policy::truncate)): no planned call is too long.
    pub const fn truncates(mut self) -> Self {
        self.fits_prompts = true;
        self
    }

    /// The output that is asked for is lowered to what is left
    /// ([`Policy::clamp_output`](tower_aoai_context_window::Policy::clamp_output)): a planned call is too long by its
    /// prompt alone.
    pub const fn clamps_outputs(mut self) -> Self {
        self.fits_outputs = true;
        self
    }

    /// What was spent.
    pub fn cost(mut self, handle: CostHandle) -> Self {
        self.cost = Some(handle);
        self
    }

    /// What serves one more name.
    pub fn model(mut self, model: ModelHandles) -> Self {
        self.models.push(model);
        self
    }

    /// Each endpoint once, in the order in which they were named.
    pub(crate) fn endpoints(&self) -> Vec<&EndpointHandles> {
        let mut endpoints: Vec<&EndpointHandles> = Vec::new();
        for endpoint in self.models.iter().flat_map(|model| &model.legs).flat_map(|leg| &leg.endpoints) {
            if endpoints.iter().all(|known| known.name != endpoint.name) {
                endpoints.push(endpoint);
            }
        }
        endpoints
    }
}

impl ModelHandles {
    /// Of what serves this name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), fallback: None, legs: Vec::new() }
    }

    /// The fallback over the legs.
    pub fn fallback(mut self, handle: FallbackHandle) -> Self {
        self.fallback = Some(handle);
        self
    }

    /// One more leg, in the order in which they are tried.
    pub fn leg(mut self, leg: LegHandles) -> Self {
        self.legs.push(leg);
        self
    }
}

impl LegHandles {
    /// Of a leg of this name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), patience: None, retry: None, balance: None, endpoints: Vec::new() }
    }

    /// How long a call waits here before it goes on to the next leg. Default: as long as it takes.
    pub fn patience(mut self, at_most: Duration) -> Self {
        self.patience = Some(at_most);
        self
    }

    /// The layer that tries again.
    pub fn retry(mut self, handle: RetryAfterHandle) -> Self {
        self.retry = Some(handle);
        self
    }

    /// The balancer over the endpoints; its members are to have the endpoints' names.
    pub fn balance<L>(mut self, handle: BalanceHandle<L>) -> Self
    where
        BalanceHandle<L>: Send + Sync + 'static,
    {
        self.balance = Some(Arc::new(handle));
        self
    }

    /// One more endpoint.
    pub fn endpoint(mut self, endpoint: EndpointHandles) -> Self {
        self.endpoints.push(endpoint);
        self
    }
}

impl EndpointHandles {
    /// Of an endpoint of this name, which is the balancer's member and stands in the records.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), is_provisioned: false, breaker: None, bucket: None, endpoint: None }
    }

    /// Says that it is paid for by the hour (PTU).
    pub const fn provisioned(mut self) -> Self {
        self.is_provisioned = true;
        self
    }

    /// Its circuit.
    pub fn breaker(mut self, handle: CircuitBreakerHandle) -> Self {
        self.breaker = Some(handle);
        self
    }

    /// Its quota.
    pub fn bucket(mut self, handle: TokenBucketHandle) -> Self {
        self.bucket = Some(handle);
        self
    }

    /// Its address and credential.
    pub fn endpoint(mut self, handle: EndpointHandle) -> Self {
        self.endpoint = Some(handle);
        self
    }
}
