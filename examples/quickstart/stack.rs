//! Retries alone, composed by hand.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use tower::{BoxError, Service, ServiceBuilder, util::BoxCloneSyncService};
use tower_aoai::{
    core::{
        AttemptTimeoutLayer, DeadlineLayer, Error, IncludeUsageLayer, ObserveLayer, PrepareLayer, RequestBody,
        RetryBudget,
    },
    retry_after::{Backoff, Jitter, RetryAfterLayer, RetryPolicy},
};

pub(crate) type Stack = BoxCloneSyncService<Request<Full<Bytes>>, Response<BoxBody<Bytes, Error>>, Error>;

/// Retries, observed and timed, around any service that talks to Azure OpenAI.
pub(crate) fn stack<S, B>(client: S, retry: RetryAfterLayer) -> Stack
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + Sync + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let timeouts = AttemptTimeoutLayer::new().first_byte(Duration::from_secs(60)).idle(Duration::from_secs(30));
    let service = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(BodyExt::boxed))
        .layer(PrepareLayer::new())
        .layer(DeadlineLayer::new(Duration::from_secs(300)))
        .layer(retry)
        .layer(IncludeUsageLayer::new())
        .layer(ObserveLayer::new())
        .layer(timeouts)
        .service(client);
    BoxCloneSyncService::new(service)
}

/// Retries for a service that would rather wait for minutes than fail.
pub(crate) fn patient() -> RetryAfterLayer {
    let backoff = Backoff::exponential(Duration::from_secs(1)).jitter(Jitter::Proportional(0.5));
    let policy = RetryPolicy::new().max_attempts(30).backoff(backoff).elapsed_limit(Duration::from_secs(240));
    RetryAfterLayer::new(policy).budget(RetryBudget::new(0.2, 200)).seed(7)
}
