//! A stack over one simulated endpoint, with its statistics.
#![allow(dead_code, reason = "each test uses its own part of it")]

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_aoai::{
    circuit_breaker::CircuitBreakerLayer,
    context_window::ContextWindowLayer,
    core::{Error, IncludeUsageLayer, ObserveLayer, PrepareLayer},
    cost::{CostLayer, DeploymentType, Prices},
    retry_after::{RetryAfterLayer, RetryPolicy},
    statistics::{
        Alert, Alerts, EndpointHandles, LegHandles, ModelHandles, Settings, StackHandles, Statistics,
        alerts::{AlertKind, Phase},
    },
    telemetry::{AttemptTelemetryLayer, CallTelemetryLayer},
    token_bucket::{Quota, TokenBucketLayer},
};
use tower_aoai_simulator::Simulator;

pub(crate) type Client = BoxCloneSyncService<Request<Full<Bytes>>, Response<UnsyncBoxBody<Bytes, Error>>, Error>;

/// A clock that goes with tokio's, from 2026-11-19 22:00 UTC on.
pub(crate) fn evening() -> impl Fn() -> SystemTime + Send + Sync + 'static {
    let start = Instant::now();
    move || UNIX_EPOCH + Duration::from_secs(1_795_125_600) + (Instant::now() - start)
}

/// The layers that a test wants otherwise.
pub(crate) struct Layers {
    pub(crate) window: ContextWindowLayer,
    pub(crate) cost: CostLayer,
    pub(crate) retry: RetryAfterLayer,
    pub(crate) breaker: CircuitBreakerLayer,
    pub(crate) bucket: TokenBucketLayer,
}

impl Default for Layers {
    fn default() -> Self {
        Self {
            window: ContextWindowLayer::new(),
            cost: cost(),
            retry: RetryAfterLayer::new(RetryPolicy::new().max_attempts(1)),
            breaker: CircuitBreakerLayer::new().seed(1),
            bucket: TokenBucketLayer::of(Quota::standard(1_000_000)),
        }
    }
}

pub(crate) fn cost() -> CostLayer {
    let prices = Prices::built_in().deployment("gpt-4o", "gpt-4o", DeploymentType::Global);
    CostLayer::new().prices(prices).wall_clock(evening())
}

pub(crate) struct Bench {
    pub(crate) client: Client,
    pub(crate) statistics: Statistics,
    alerts: Alerts,
}

impl Layers {
    pub(crate) fn handles(&self) -> StackHandles {
        let endpoint = EndpointHandles::new("eastus").breaker(self.breaker.handle()).bucket(self.bucket.handle());
        let leg = LegHandles::new("standard").retry(self.retry.handle()).endpoint(endpoint);
        StackHandles::new("bench")
            .context_window(self.window.handle())
            .cost(self.cost.handle())
            .model(ModelHandles::new("gpt-4o").leg(leg))
    }

    pub(crate) fn over(self, simulator: &Simulator) -> Bench {
        let statistics = Statistics::with(self.handles(), Settings::new().wall_clock(evening()));
        let recorder = || statistics.recorder();
        let service = ServiceBuilder::new()
            .map_response(|response: Response<_>| response.map(BodyExt::boxed_unsync))
            .layer(PrepareLayer::new())
            .layer(CallTelemetryLayer::new().recorder(recorder()))
            .layer(self.window)
            .layer(self.cost)
            .layer(self.retry)
            .layer(self.breaker)
            .layer(self.bucket)
            .layer(AttemptTelemetryLayer::new("eastus").recorder(recorder()))
            .layer(IncludeUsageLayer::new())
            .layer(ObserveLayer::new())
            .service(simulator.clone());
        Bench { client: BoxCloneSyncService::new(service), alerts: statistics.alerts(), statistics }
    }
}

impl Bench {
    /// A call; whether it was answered well.
    pub(crate) async fn call(&self, request: Request<Full<Bytes>>) -> bool {
        match self.client.clone().oneshot(request).await {
            Ok(response) => {
                let is_good = response.status().is_success();
                response.into_body().collect().await.is_ok() && is_good
            }
            Err(_) => false,
        }
    }

    /// One call a second, for so many seconds.
    pub(crate) async fn calls(&self, seconds: u64, request: impl Fn() -> Request<Full<Bytes>>) {
        for _ in 0..seconds {
            self.call(request()).await;
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Nothing but a look each second, of a long time every ten.
    pub(crate) async fn quiet(&self, seconds: u64) {
        let step = if seconds < 300 { 1 } else { 10 };
        for _ in 0..seconds / step {
            sleep(Duration::from_secs(step)).await;
            self.statistics.tick(Instant::now());
        }
    }

    /// What was told since the last time.
    pub(crate) fn told(&mut self) -> Vec<Alert> {
        std::iter::from_fn(|| self.alerts.try_next()).collect()
    }

    /// Of what was told since the last time: kinds and whether they began.
    pub(crate) fn turns(&mut self) -> Vec<(AlertKind, Phase)> {
        self.told().iter().map(|alert| (alert.kind, alert.phase)).collect()
    }
}

pub(crate) fn chat(deployment: &str, messages: &str, max_tokens: u64) -> Request<Full<Bytes>> {
    let body = format!(r#"{{"messages":[{messages}],"max_tokens":{max_tokens}}}"#);
    Request::post(format!("/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21"))
        .body(Full::from(body))
        .expect("a valid request")
}

pub(crate) fn message(words: usize) -> String {
    format!(r#"{{"role":"user","content":"{}"}}"#, "word ".repeat(words))
}

/// 50 words, and at most 100 tokens.
pub(crate) fn small() -> Request<Full<Bytes>> {
    chat("gpt-4o", &message(50), 100)
}

/// The handles of an endpoint's recorder and of nothing else.
pub(crate) fn bare(name: &str) -> Arc<Statistics> {
    Arc::new(Statistics::with(StackHandles::new(name), Settings::new().wall_clock(evening())))
}
