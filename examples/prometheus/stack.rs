//! The stack: a provisioned deployment first, then two standard ones, with telemetry at the door and at each endpoint.

use std::{sync::Arc, time::Duration};

use crate::Endpoint;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use tower::{BoxError, ServiceBuilder, ServiceExt, layer::layer_fn, util::BoxCloneSyncService};
use tower_aoai::{
    balance::{BalanceLayer, Member},
    circuit_breaker::CircuitBreakerLayer,
    core::{DeadlineLayer, Error, IncludeUsageLayer, ObserveLayer, PrepareLayer, RequestBody},
    cost::{CostLayer, DeploymentType, Prices},
    endpoint::{BaseUrl, EndpointLayer},
    fallback::{FallbackLayer, Leg},
    retry_after::{RetryAfterLayer, RetryPolicy},
    telemetry::{AttemptTelemetryLayer, CallTelemetryLayer, Recorder},
    token_bucket::TokenBucketLayer,
};

pub(crate) type Stack = BoxCloneSyncService<Request<Full<Bytes>>, Response<BoxBody<Bytes, Error>>, Error>;

/// Every recorder is told of every call and every attempt.
pub(crate) fn stack(endpoints: &[Endpoint; 3], recorders: &[Arc<dyn Recorder>]) -> Result<Stack, BoxError> {
    let mut calls = CallTelemetryLayer::new();
    for recorder in recorders {
        calls = calls.recorder(recorder.clone());
    }
    let base: BaseUrl = "https://contoso.openai.azure.com".parse()?;
    let member = |endpoint: &Endpoint| {
        let server = endpoint.server.clone();
        let mut attempts = AttemptTelemetryLayer::new(endpoint.name);
        for recorder in recorders {
            attempts = attempts.recorder(recorder.clone());
        }
        let bucket = endpoint.quota.clone().map_or_else(TokenBucketLayer::off, TokenBucketLayer::of);
        Member::new(endpoint.name)
            .asked(CircuitBreakerLayer::below_balancer().name(endpoint.name).seed(7))
            .asked(bucket)
            .layer(EndpointLayer::new(base.clone()).deployment(endpoint.deployment))
            .layer(attempts)
            .layer(IncludeUsageLayer::new())
            .layer(ObserveLayer::new())
            // In place of a client: the simulator.
            .layer(layer_fn(move |()| ServiceExt::<Request<RequestBody>>::map_err(server.clone(), Error::flatten)))
    };
    let leg = |name, members: &[Endpoint]| -> Result<_, BoxError> {
        let retry = RetryAfterLayer::new(RetryPolicy::new().max_retries(4)).seed(7);
        Ok(Leg::new(name, (retry, BalanceLayer::new(members.iter().map(member))?.seed(7))))
    };
    let legs = [
        leg("provisioned", &endpoints[..1])?.provisioned().max_wait(Duration::from_millis(500)),
        leg("standard", &endpoints[1..])?,
    ];
    let prices = Prices::built_in().deployment(endpoints[0].deployment, "gpt-4o", DeploymentType::Provisioned);
    let service = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(BodyExt::boxed))
        .layer(PrepareLayer::new())
        .layer(calls)
        .layer(CostLayer::new().prices(prices))
        .layer(DeadlineLayer::new(Duration::from_secs(120)))
        .layer(FallbackLayer::new(legs)?)
        .service(());
    Ok(BoxCloneSyncService::new(service))
}
