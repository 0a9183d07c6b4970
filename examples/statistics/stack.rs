//! A stack made by hand, as the preset makes it: a provisioned deployment, and two standard ones behind it. What each layer
//! can be asked goes to the statistics.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tower::{ServiceBuilder, util::BoxCloneSyncService};
use tower_aoai::{
    balance::{BalanceLayer, Member},
    circuit_breaker::CircuitBreakerLayer,
    context_window::{ContextWindowLayer, Models},
    core::{DeadlineLayer, Error, IncludeUsageLayer, ObserveLayer, PrepareLayer},
    cost::CostLayer,
    endpoint::EndpointLayer,
    fallback::{FallbackLayer, Leg, Patience, TokenPrice},
    retry_after::{RetryAfterLayer, RetryPolicy},
    statistics::{EndpointHandles, LegHandles, ModelHandles, StackHandles},
    telemetry::{AttemptTelemetryLayer, CallTelemetryLayer, Recorder},
    token_bucket::{Quota, TokenBucketLayer},
};
use tower_aoai_simulator::World;

pub(crate) type Client = BoxCloneSyncService<Request<Full<Bytes>>, Response<UnsyncBoxBody<Bytes, Error>>, Error>;

/// What outlasts a reload.
pub(crate) struct Kept {
    pub(crate) cost: CostLayer,
    pub(crate) window: ContextWindowLayer,
    /// How long prompts may be, for calls that are planned.
    pub(crate) models: Models,
}

/// How long a call waits for the provisioned deployment.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the standard deployments are taken to have, in tokens a minute.
pub(crate) const TOKENS_PER_MINUTE: u64 = 200_000;

/// One deployment behind one address.
struct Endpoint {
    /// As it is called in statistics; a reload may call it otherwise.
    name: String,
    resource: &'static str,
    deployment: &'static str,
    quota: Quota,
    is_provisioned: bool,
}

fn endpoints(generation: u64) -> [Endpoint; 3] {
    let standard = |region: &'static str| Endpoint {
        name: format!("{region}-{generation}"),
        resource: region,
        deployment: "gpt-4o",
        quota: Quota::standard(TOKENS_PER_MINUTE).requests_per_minute(1_200),
        is_provisioned: false,
    };
    let ptu = Endpoint {
        name: "ptu".to_owned(),
        resource: "sweden",
        deployment: "gpt-4o-ptu",
        quota: Quota::provisioned(25 * 2_500, 4),
        is_provisioned: true,
    };
    [ptu, standard("eastus"), standard("sweden")]
}

/// The stack, and the handles of its layers.
pub(crate) fn build(
    world: &World,
    kept: &Kept,
    recorder: &Arc<dyn Recorder>,
    generation: u64,
) -> Result<(Client, StackHandles), Box<dyn std::error::Error>> {
    let [ptu, eastus, sweden] = endpoints(generation);
    let mut shown = Vec::new();
    let mut member = |endpoint: Endpoint| -> Result<_, Box<dyn std::error::Error>> {
        let address = format!("https://{}.openai.azure.com", endpoint.resource).parse()?;
        let address = EndpointLayer::new(address).classic("2024-10-21")?.deployment(endpoint.deployment);
        let breaker = CircuitBreakerLayer::below_balancer().seed(1);
        let bucket = TokenBucketLayer::of(endpoint.quota);
        let name = endpoint.name.as_str();
        let handles = EndpointHandles::new(name).breaker(breaker.handle()).bucket(bucket.handle());
        let handles = handles.endpoint(address.handle());
        shown.push(if endpoint.is_provisioned { handles.provisioned() } else { handles });
        Ok(Member::new(name)
            .asked(breaker)
            .asked(bucket)
            .layer(address)
            .layer(AttemptTelemetryLayer::new(name).recorder(Arc::clone(recorder)))
            .layer(IncludeUsageLayer::new())
            .layer(ObserveLayer::new()))
    };
    let provisioned = BalanceLayer::new([member(ptu)?])?.seed(1);
    let standard = BalanceLayer::new([member(eastus)?, member(sweden)?])?.seed(1);
    let policy = || RetryAfterLayer::new(RetryPolicy::new().max_attempts(4)).seed(1);
    let (in_ptu, in_standard) = (policy(), policy());
    let mut shown = shown.into_iter();
    let mut first = LegHandles::new("ptu").patience(PATIENCE).retry(in_ptu.handle()).balance(provisioned.handle());
    first = shown.by_ref().take(1).fold(first, LegHandles::endpoint);
    let mut second = LegHandles::new("standard").retry(in_standard.handle()).balance(standard.handle());
    second = shown.fold(second, LegHandles::endpoint);

    let leg = |retry, balance| ServiceBuilder::new().layer(retry).layer(balance).into_inner();
    let fallback = FallbackLayer::new([
        Leg::new("ptu", leg(in_ptu, provisioned)).provisioned().patience(Patience::AtMost(PATIENCE)),
        Leg::new("standard", leg(in_standard, standard)).price(TokenPrice::new(2_500, 10_000)),
    ])?;
    let model = ModelHandles::new("gpt-4o").fallback(fallback.handle()).leg(first).leg(second);
    let handles = StackHandles::new("assistant")
        .context_window(kept.window.handle())
        .windows(kept.models.clone())
        .cost(kept.cost.handle())
        .model(model);

    let service = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(BodyExt::boxed_unsync))
        .layer(PrepareLayer::new())
        .layer(CallTelemetryLayer::new().recorder(Arc::clone(recorder)))
        .layer(kept.window.clone())
        .layer(kept.cost.clone())
        .layer(DeadlineLayer::new(Duration::from_secs(120)))
        .layer(fallback)
        .service(world.clone());
    Ok((BoxCloneSyncService::new(service), handles))
}
