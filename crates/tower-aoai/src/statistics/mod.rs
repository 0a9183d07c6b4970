//! One place that tells how a stack does: now, over the last hours, and for the call that is planned.
//!
//! Callers learn of their throttling from their users, of a wrong key from a log, of a `max_tokens` ten times too large from
//! nobody. Each layer's handle knows its own part. [`Statistics`] asks them all, and keeps what no layer keeps: what was
//! done in each of the last minutes and hours, how fast answers were of late, how much of what was reserved was used.
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use http_body_util::{BodyExt, Full};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_aoai::{
//!     core::{Error, ObserveLayer, PrepareLayer, RequestBody},
//!     retry_after::RetryAfterLayer,
//!     statistics::{EndpointHandles, LegHandles, ModelHandles, PlannedCall, StackHandles, Statistics},
//!     telemetry::{AttemptTelemetryLayer, CallTelemetryLayer},
//!     token_bucket::{Quota, TokenBucketLayer},
//! };
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Error> {
//! let retry = RetryAfterLayer::default();
//! let bucket = TokenBucketLayer::of(Quota::standard(6_000));
//! let endpoint = EndpointHandles::new("eastus").bucket(bucket.handle());
//! let leg = LegHandles::new("standard").retry(retry.handle()).endpoint(endpoint);
//! let statistics = Statistics::new(StackHandles::new("assistant").model(ModelHandles::new("gpt-4o").leg(leg)));
//!
//! let transport = service_fn(|_: http::Request<RequestBody>| async {
//!     let answer = r#"{"usage":{"prompt_tokens":1000,"completion_tokens":200}}"#;
//!     let response = http::Response::builder().header("content-type", "application/json");
//!     Ok::<_, Error>(response.body(Full::<Bytes>::from(answer)).unwrap())
//! });
//! let service = ServiceBuilder::new()
//!     .layer(PrepareLayer::new())
//!     .layer(CallTelemetryLayer::new().recorder(statistics.recorder()))
//!     .layer(retry)
//!     .layer(bucket)
//!     .layer(AttemptTelemetryLayer::new("eastus").recorder(statistics.recorder()))
//!     .layer(ObserveLayer::new())
//!     .service(transport);
//! let body = r#"{"messages":[],"max_tokens":4000}"#;
//! let request = http::Request::post("/openai/deployments/gpt-4o/chat/completions").body(Full::<Bytes>::from(body)).unwrap();
//! service.oneshot(request).await?.into_body().collect().await?;
//!
//! let snapshot = statistics.snapshot();
//! assert_eq!((snapshot.total.answered, snapshot.endpoints[0].tokens.output), (1, 200));
//! assert!(statistics.health().is_up());
//! // 4,000 of 6,000 tokens are in use for a minute from the send.
//! let risk = statistics.risk(&PlannedCall::new("gpt-4o", 1_000, 2_000));
//! assert!(risk.to_string().starts_with("waits about 60"), "{risk}");
//! # Ok(())
//! # }
//! ```
//!
//! # What is asked of it
//!
//! - [`snapshot`](Statistics::snapshot): the whole stack in one value that `serde` writes and `Display` prints as a table.
//! - [`health`](Statistics::health): ok, degraded or down, with reasons in words and data.
//! - [`insights`](Statistics::insights): trends, peaks, how much of the reserved output is used, a forecast, and what to
//!   change, each with its figures: "you reserve 4.8x what you use: lower max_tokens to 640 and serve 2.4x the calls".
//! - [`risk`](Statistics::risk): what would become of a call that is planned: sent now, waits about 3 s, spills, cannot.
//! - [`alerts`](Statistics::alerts): see the [module](alerts).
//! - [`reset_breaker`](Statistics::reset_breaker), [`reset_breakers`](Statistics::reset_breakers).
//! - [`all_stacks`]: the same of every stack of the process.
//!
//! # What it is told
//!
//! A [`Recorder`](crate::telemetry::Recorder) brings what became of each call and attempt, and
//! [`StackHandles`] name the layers that can be asked. Both may be incomplete: what is not given is not shown. A stack that
//! is made anew [replaces](Statistics::replace) its handles, and keeps its history.
//!
//! # What it costs
//!
//! Memory does not grow with uptime, calls, models or callers: 90 minutes and 48 hours of counts (30 KiB), HDR histograms
//! of two digits that take turns, so that quantiles speak of the last 5 to 10 minutes (at most 36 KiB for each of at most
//! 64 endpoints and some), outputs of at most 16 models; further names are `other`.
//!
//! A record takes one short mutex, some 150 ns; a look at ten endpoints some 8 µs, a snapshot of them 90 µs
//! (`cargo bench -p tower-aoai --bench statistics`). The whole program of the example `statistics`, simulator and all, has
//! 342 kB after two hours, 411 kB after 24 and 451 kB after 72 (315,000 calls, 72 reloads); what grows are the cost layer's
//! sums of each hour, until there are 48 of them.
//!
//! # Neighbours
//!
//! The `metrics` facade and OpenTelemetry carry figures away, to be looked at elsewhere and later; this looks at them here
//! and now, and knows what they mean. Nothing in tower or tower-http keeps figures over calls.

mod activity;
pub mod alerts;
mod handles;
mod health;
mod insights;
mod meter;
mod registry;
mod ring;
mod risk;
mod rotating;
mod settings;
mod shared;
pub mod snapshot;
#[expect(clippy::module_inception, reason = "it is what the module is for")]
mod statistics;

pub use self::{
    activity::{Activity, Outcomes},
    alerts::{Alert, Alerts},
    handles::{EndpointHandles, LegHandles, ModelHandles, StackHandles},
    health::{Health, HealthReason, HealthStatus},
    insights::{Direction, Forecast, Insights, Peaks, QuotaForecast, Recommendation, Reservation, Trend},
    registry::all_stacks,
    risk::{EndpointRisk, LegRisk, PlannedCall, StackRisk, Verdict},
    rotating::Spread,
    settings::Settings,
    snapshot::StackSnapshot,
    statistics::{Statistics, UnknownEndpoint},
};
