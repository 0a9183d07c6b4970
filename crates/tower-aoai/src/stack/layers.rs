//! The layers of a stack, in their order, over whatever transport.

use std::sync::Arc;

use tower::{
    ServiceBuilder,
    layer::util::{Identity, Stack},
};

use super::{
    boxed::BoxedLayer,
    make::{self, problem},
    parts::{Parts, changed},
    plan::{ChainPlan, EndpointPlan, LegPlan},
    shared::{EndpointState, SharedLimits},
    slot::SlotLayer,
};
use crate::{
    balance::{BalanceHandle, BalanceLayer, Member},
    circuit_breaker::{CircuitBreakerHandle, CircuitBreakerLayer},
    config::Problems,
    core::{AttemptTimeoutLayer, IncludeUsageLayer, ObserveLayer},
    cost::{CostGateLayer, CostLayer, Prices},
    endpoint::{EndpointHandle, EndpointLayer},
    fallback::{ErrorShapeLayer, FallbackLayer, ModelLayer, TokenPrice},
    retry_after::{RetryAfterHandle, RetryAfterLayer},
    telemetry::AttemptTelemetryLayer,
    token_bucket::{TokenBucketHandle, TokenBucketLayer},
};

/// The layers of an endpoint, the innermost first.
pub(super) type EndpointLayers = Stack<
    AttemptTimeoutLayer,
    Stack<
        ObserveLayer,
        Stack<
            IncludeUsageLayer,
            Stack<
                AttemptTelemetryLayer,
                Stack<
                    CostGateLayer,
                    Stack<
                        EndpointLayer,
                        Stack<
                            TokenBucketLayer,
                            Stack<CircuitBreakerLayer, Stack<BoxedLayer, Stack<SlotLayer, Identity>>>,
                        >,
                    >,
                >,
            >,
        >,
    >,
>;

/// The layers of a leg, the innermost first.
pub(super) type LegLayers = Stack<
    BalanceLayer<EndpointLayers>,
    Stack<RetryAfterLayer, Stack<ErrorShapeLayer, Stack<ModelLayer, Stack<SlotLayer, Identity>>>>,
>;

/// What serves one name.
#[derive(Clone)]
pub(super) struct Chain {
    /// What it was made of, without what may change in place.
    pub(super) shape: (ChainPlan, Vec<Option<TokenPrice>>),
    pub(super) layer: FallbackLayer<LegLayers>,
    pub(super) legs: Vec<LegParts>,
}

/// What can be asked of a leg's layers.
#[derive(Clone)]
pub(super) struct LegParts {
    pub(super) retry: RetryAfterHandle,
    pub(super) balance: BalanceHandle<EndpointLayers>,
    pub(super) endpoints: Vec<EndpointParts>,
}

/// What can be asked of an endpoint's.
#[derive(Clone)]
pub(super) struct EndpointParts {
    pub(super) name: Arc<str>,
    pub(super) is_provisioned: bool,
    pub(super) breaker: CircuitBreakerHandle,
    pub(super) bucket: TokenBucketHandle,
    pub(super) endpoint: EndpointHandle,
    pub(super) state: EndpointState,
}

/// What all chains are made with.
pub(super) struct Maker<'a> {
    pub(super) parts: &'a Parts,
    pub(super) limits: &'a SharedLimits,
    pub(super) cost: &'a CostLayer,
    pub(super) prices: &'a Prices,
    /// Those of the stack as it was: what has not changed goes on as it is.
    pub(super) former: &'a [Chain],
}

impl Maker<'_> {
    pub(super) fn chain(&self, plan: &ChainPlan) -> Result<Chain, Problems> {
        let shape = (unlimited(plan), plan.legs.iter().map(|leg| self.price(leg)).collect::<Vec<_>>());
        if let Some(former) = self.former.iter().find(|former| former.shape == shape) {
            return Ok(former.clone());
        }
        let mut legs = Vec::new();
        let mut parts = Vec::new();
        for (leg, price) in plan.legs.iter().zip(&shape.1) {
            let (layers, of_leg) = self.leg(&plan.name, leg)?;
            let made = make::leg::leg(&leg.config, layers, leg.is_provisioned);
            legs.push(price.map_or_else(|| made.clone(), |price| made.clone().price(price)));
            parts.push(of_leg);
        }
        let layer = FallbackLayer::new(legs)
            .map_err(|error| problem(format!("models.{}.legs", plan.name), error.to_string()))?;
        let layer = plan.margin.map_or_else(|| layer.clone(), |margin| layer.clone().margin(margin));
        let layer = match &self.parts.classify {
            Some(classify) => layer.classify(Arc::clone(classify)),
            None => layer,
        };
        Ok(Chain { shape, layer, legs: parts })
    }

    /// What a leg's tokens cost: those of its first endpoint.
    fn price(&self, leg: &LegPlan) -> Option<TokenPrice> {
        let endpoint = &leg.endpoints.first()?.config;
        make::leg::price(self.prices, endpoint.priced_as()?, endpoint.kind().billing())
    }

    fn leg(&self, chain: &str, plan: &LegPlan) -> Result<(LegLayers, LegParts), Problems> {
        let name = plan.config.name.as_str();
        let mut members = Vec::new();
        let mut endpoints = Vec::new();
        for endpoint in &plan.endpoints {
            let (member, parts) = self.endpoint(endpoint)?;
            members.push(member);
            endpoints.push(parts);
        }
        let mut balance = BalanceLayer::new(members)
            .map_err(|error| problem(format!("models.{chain}.legs.{name}.endpoints"), error.to_string()))?;
        if let Some(strategy) = plan.config.strategy {
            balance = balance.strategy(strategy);
        }
        if let Some(tries) = plan.config.tries_per_endpoint {
            balance = balance.tries_per_member(tries);
        }
        let mut retry = make::retry::layer(&plan.config.retry);
        if let Some(classify) = &self.parts.classify {
            balance = balance.classify(Arc::clone(classify));
            retry = retry.classify(Arc::clone(classify));
        }
        if let Some(seed) = self.parts.seed {
            balance = balance.seed(seed);
            retry = retry.seed(seed);
        }
        let retry = changed(self.parts.map_retry.as_ref(), name, retry);
        let parts = LegParts { retry: retry.handle(), balance: balance.handle(), endpoints };
        let own = self.parts.leg.as_ref().map(|own| own(name));
        let model = plan.config.model.as_deref().map_or(ModelLayer::off(), ModelLayer::new);
        let is_reshaped = plan.config.reshape_errors == Some(true);
        let shape = if is_reshaped { ErrorShapeLayer::new() } else { ErrorShapeLayer::off() };
        let layers = ServiceBuilder::new()
            .layer(SlotLayer::new(own))
            .layer(model)
            .layer(shape)
            .layer(retry)
            .layer(balance)
            .into_inner();
        Ok((layers, parts))
    }

    fn endpoint(&self, plan: &EndpointPlan) -> Result<(Member<EndpointLayers>, EndpointParts), Problems> {
        let parts = self.parts;
        let name: Arc<str> = plan.config.name.as_str().into();
        let state = self.limits.endpoint(
            plan,
            |quota| match &parts.map_bucket {
                Some(change) => change(&name, quota),
                None => TokenBucketLayer::of(quota),
            },
            |breaker| {
                let breaker = match parts.seed {
                    Some(seed) => breaker.seed(seed),
                    None => breaker,
                };
                let breaker = match &parts.classify {
                    Some(classify) => breaker.classify(Arc::clone(classify)),
                    None => breaker,
                };
                changed(parts.map_breaker.as_ref(), &name, breaker)
            },
        )?;
        let endpoint = changed(parts.map_endpoint.as_ref(), &name, self.addressed(plan)?);
        let (breaker, bucket) = (state.breaker.layer.clone(), state.bucket.layer.clone());
        let handles = EndpointParts {
            name: Arc::clone(&name),
            is_provisioned: plan.config.kind().is_provisioned(),
            breaker: breaker.handle(),
            bucket: bucket.handle(),
            endpoint: endpoint.handle(),
            state,
        };
        let asks_usage = plan.config.include_usage != Some(false);
        let include_usage = if asks_usage { IncludeUsageLayer::new() } else { IncludeUsageLayer::off() };
        let tier = usize::try_from(plan.config.tier.unwrap_or(0)).unwrap_or(usize::MAX);
        let member = Member::new(Arc::clone(&name))
            .tier(tier)
            .weight(plan.config.weight.unwrap_or(1))
            .layer(SlotLayer::new(parts.endpoint.as_ref().map(|own| own(&name))))
            .layer(BoxedLayer)
            .asked(breaker)
            .asked(bucket)
            .asked(endpoint)
            .layer(self.cost.gate())
            .layer(self.told(&name))
            .layer(include_usage)
            .layer(self.watched(&name, plan))
            .layer(make::timeouts::attempt(&plan.config.timeouts));
        Ok((member, handles))
    }

    fn addressed(&self, plan: &EndpointPlan) -> Result<EndpointLayer, Problems> {
        let base = make::endpoint::base_url(&plan.resource)?;
        let given = self.parts.credentials.get(&plan.resource.name).cloned();
        let layer = make::endpoint::layer(&plan.config, &plan.resource, base.clone())?;
        let tokens = match given {
            Some(tokens) => Some(tokens),
            None => {
                let credential =
                    self.limits.credential(&plan.resource, || make::endpoint::credential(&plan.resource, &base))?;
                credential.tokens.clone()
            }
        };
        Ok(match tokens {
            Some(tokens) => layer.token_cache(tokens),
            None => layer,
        })
    }

    fn told(&self, name: &Arc<str>) -> AttemptTelemetryLayer {
        let recorders = self.parts.recorders.iter().cloned();
        let layer = recorders.fold(AttemptTelemetryLayer::new(Arc::clone(name)), AttemptTelemetryLayer::recorder);
        match &self.parts.classify {
            Some(classify) => layer.classify(Arc::clone(classify)),
            None => layer,
        }
    }

    fn watched(&self, name: &str, plan: &EndpointPlan) -> ObserveLayer {
        let layer = make::timeouts::observe(&plan.observe, &plan.config.timeouts);
        let layer = match &self.parts.classify {
            Some(classify) => layer.classify(Arc::clone(classify)),
            None => layer,
        };
        let layer = self.parts.observers.iter().cloned().fold(layer, ObserveLayer::subscribe);
        changed(self.parts.map_observe.as_ref(), name, layer)
    }
}

/// The plan without what may change while its layers are used.
fn unlimited(plan: &ChainPlan) -> ChainPlan {
    let mut plan = plan.clone();
    for endpoint in plan.legs.iter_mut().flat_map(|leg| &mut leg.endpoints) {
        (endpoint.config.quota, _) = make::quota::rules(&endpoint.config);
        (endpoint.config.ptus, endpoint.config.tokens_per_minute_per_ptu) = (None, None);
    }
    plan
}
