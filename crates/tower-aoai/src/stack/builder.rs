use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Below, InvalidStack, SharedLimits, Stack,
    assembly::{Foundation, Over},
    parts::Parts,
    slot::around,
};
use crate::{
    circuit_breaker::CircuitBreakerLayer,
    config::{Config, Problem},
    context_window::ContextWindowLayer,
    core::{BoxError, Classify, ObserveLayer, Observer, RequestBody},
    cost::CostLayer,
    endpoint::{Credential, EndpointLayer, TokenCache},
    retry_after::RetryAfterLayer,
    telemetry::Recorder,
    token_bucket::{Quota, TokenBucketLayer},
};

/// A stack to be: its configuration, and what is said in code.
///
/// Where a layer is changed, it is given as the configuration made it, with the name of its leg or endpoint, and may be
/// replaced by another of its type. What is said here holds after a [reload](Stack::reload), too.
#[must_use = "a builder does nothing until it builds"]
pub struct StackBuilder {
    config: Config,
    foundation: Option<Box<dyn Foundation>>,
    parts: Parts,
    limits: SharedLimits,
}

impl StackBuilder {
    pub(super) fn new(config: Config) -> Self {
        Self { config, foundation: None, parts: Parts::default(), limits: SharedLimits::default() }
    }

    /// The stack's name, under which its statistics are found.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = Some(name.into());
        self
    }

    /// What stands at the bottom in place of the built-in transport: any service that sends requests to where they are
    /// addressed, or a simulator that answers them.
    ///
    /// Its own retries are to be off.
    pub fn transport<T, B>(mut self, transport: T) -> Self
    where
        T: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        T::Error: Into<BoxError>,
        T::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + Sync + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        self.foundation = Some(Box::new(Over(transport)));
        self
    }

    /// Shares limits with other stacks. Default: the stack has its own.
    pub fn shared_limits(mut self, limits: &SharedLimits) -> Self {
        self.limits = limits.clone();
        self
    }

    /// What endpoints of the resource of this name send, in place of what its configuration says.
    pub fn credential(self, resource: impl Into<String>, credential: impl Credential + 'static) -> Self {
        self.token_cache(resource, TokenCache::new(credential))
    }

    /// The same, from a cache that others may share.
    pub fn token_cache(mut self, resource: impl Into<String>, tokens: TokenCache) -> Self {
        self.parts.credentials.insert(resource.into(), tokens);
        self
    }

    /// Judges answers by this. Default [`AzureClassifier`](crate::core::AzureClassifier).
    pub fn classify(mut self, classify: Arc<dyn Classify>) -> Self {
        self.parts.classify = Some(classify);
        self
    }

    /// Draws all chance from this seed, so that the same calls go the same way. Default: a seed of the system's.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.parts.seed = Some(seed);
        self
    }

    /// Tells this recorder of every call and attempt, too.
    pub fn recorder(mut self, recorder: Arc<dyn Recorder>) -> Self {
        self.parts.recorders.push(recorder);
        self
    }

    /// Tells this observer of what comes of attempts, as it comes.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.parts.observers.push(observer);
        self
    }

    /// Puts a layer in at the door: every call passes it once, before anything is checked or booked. A cache stands here,
    /// one for each stack: what it keeps is what this one's endpoints, and its limits for agents, have made of a call.
    pub fn door_layer<L, B>(mut self, layer: L) -> Self
    where
        L: Layer<Below> + Send + Sync + 'static,
        L::Service: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request<RequestBody>>>::Error: Into<BoxError>,
        <L::Service as Service<Request<RequestBody>>>::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        self.parts.door = Some(around(layer));
        self
    }

    /// Puts a layer in at the top of each leg, as `layer` makes it for the leg of that name: a call passes it once in
    /// each leg that it comes to, above the retries.
    pub fn leg_layer<L, B>(mut self, layer: impl Fn(&str) -> L + Send + Sync + 'static) -> Self
    where
        L: Layer<Below> + Send + Sync + 'static,
        L::Service: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request<RequestBody>>>::Error: Into<BoxError>,
        <L::Service as Service<Request<RequestBody>>>::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        self.parts.leg = Some(Arc::new(move |name| around(layer(name))));
        self
    }

    /// Puts a layer in at the top of each endpoint, as `layer` makes it for the endpoint of that name: every attempt
    /// passes it, before the endpoint's circuit and quota.
    pub fn endpoint_layer<L, B>(mut self, layer: impl Fn(&str) -> L + Send + Sync + 'static) -> Self
    where
        L: Layer<Below> + Send + Sync + 'static,
        L::Service: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request<RequestBody>>>::Error: Into<BoxError>,
        <L::Service as Service<Request<RequestBody>>>::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        self.parts.endpoint = Some(Arc::new(move |name| around(layer(name))));
        self
    }

    /// Changes what tries again in a leg: a hook ([`RetryAfterLayer::on_retry`]), another budget or policy.
    pub fn map_retry(
        mut self,
        change: impl Fn(&str, RetryAfterLayer) -> RetryAfterLayer + Send + Sync + 'static,
    ) -> Self {
        self.parts.map_retry = Some(Arc::new(change));
        self
    }

    /// Changes an endpoint's circuit, when it is made: once, as it outlasts reloads. The name is the endpoint's.
    pub fn map_breaker(
        mut self,
        change: impl Fn(&str, CircuitBreakerLayer) -> CircuitBreakerLayer + Send + Sync + 'static,
    ) -> Self {
        self.parts.map_breaker = Some(Arc::new(change));
        self
    }

    /// Makes an endpoint's quota into its layer, when it is made: with an estimate or an accounting of one's own, or off.
    pub fn map_bucket(mut self, make: impl Fn(&str, Quota) -> TokenBucketLayer + Send + Sync + 'static) -> Self {
        self.parts.map_bucket = Some(Arc::new(make));
        self
    }

    /// Changes how an endpoint is addressed, when the stack is made and at each reload. The name is the endpoint's.
    pub fn map_endpoint(
        mut self,
        change: impl Fn(&str, EndpointLayer) -> EndpointLayer + Send + Sync + 'static,
    ) -> Self {
        self.parts.map_endpoint = Some(Arc::new(change));
        self
    }

    /// Changes how an endpoint's answers are watched, when the stack is made and at each reload. The name is the endpoint's.
    pub fn map_observe(mut self, change: impl Fn(&str, ObserveLayer) -> ObserveLayer + Send + Sync + 'static) -> Self {
        self.parts.map_observe = Some(Arc::new(change));
        self
    }

    /// Changes how prompts are made to fit: another counter of tokens, other models.
    pub fn map_context_window(
        mut self,
        change: impl Fn(ContextWindowLayer) -> ContextWindowLayer + Send + Sync + 'static,
    ) -> Self {
        self.parts.map_context_window = Some(Arc::new(change));
        self
    }

    /// Changes how spend is booked, at the start: more budgets, a callback for their alerts. How calls are assessed, their
    /// prices included, is said in the configuration, and goes over what is said of it here.
    pub fn map_cost(mut self, change: impl Fn(CostLayer) -> CostLayer + Send + Sync + 'static) -> Self {
        self.parts.map_cost = Some(Arc::new(change));
        self
    }

    /// The stack.
    ///
    /// # Errors
    ///
    /// [`InvalidStack`], with all that is wrong.
    pub fn build(self) -> Result<Stack, InvalidStack> {
        let Self { config, foundation, parts, limits } = self;
        let foundation = match foundation {
            Some(foundation) => foundation,
            None => built_in(&config).map_err(|error| with_all_else(error, &config))?,
        };
        Stack::make(config, foundation, parts, limits)
    }
}

/// Whoever corrects the transport is told in one go what is wrong besides.
fn with_all_else(error: InvalidStack, config: &Config) -> InvalidStack {
    let mut problems = config.findings().problems;
    match error {
        InvalidStack::Config(own) => problems.extend(own.iter().cloned()),
        other if problems.is_empty() => return other,
        other => problems.push(Problem::new("transport", other.to_string())),
    }
    problems.into()
}

#[cfg(feature = "transport")]
fn built_in(config: &Config) -> Result<Box<dyn Foundation>, InvalidStack> {
    use super::make::timeouts;
    use crate::{
        config::Proxy,
        transport::{InvalidTransport, Transport},
    };

    let section = &config.transport;
    let mut builder = Transport::builder();
    builder = match timeouts::connect(&config.timeouts) {
        Some(limit) => builder.connect_timeout(limit),
        None => builder.no_connect_timeout(),
    };
    if section.http2 == Some(false) {
        builder = builder.http1_only();
    }
    builder = match &section.proxy {
        None | Some(Proxy::Environment) => builder,
        Some(Proxy::None) => builder.no_proxy(),
        Some(Proxy::At(address)) => builder.proxy(address.expose()),
    };
    if let Some(connections) = section.idle_connections {
        builder = builder.idle_connections(connections);
    }
    if let Some(time) = section.idle_connection_time {
        builder = builder.idle_connection(time);
    }
    let transport = builder.build().map_err(|error| match error {
        InvalidTransport::Proxy(_) => vec![Problem::new("transport.proxy", error.to_string())].into(),
        error => InvalidStack::Transport(error),
    })?;
    Ok(Box::new(Over(transport)))
}

#[cfg(not(feature = "transport"))]
fn built_in(_: &Config) -> Result<Box<dyn Foundation>, InvalidStack> {
    let message = "no transport is given, and there is none built in: give one, or turn the feature `transport` on";
    Err(vec![Problem::new("transport", message)].into())
}

impl fmt::Debug for StackBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackBuilder").field("config", &self.config).field("parts", &self.parts).finish_non_exhaustive()
    }
}
