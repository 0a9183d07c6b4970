//! Small tower layers, and a preset that stacks them, that make Azure OpenAI dependable for the people who call it.
//!
//! Azure OpenAI answers 429 when a deployment's tokens or requests are spent, when a provisioned deployment is full, when
//! a region has no capacity. What is here waits as long as is needed and no longer, goes elsewhere where that is sooner
//! or cheaper, and accounts for every token and dollar.
//!
//! # Begin
//!
//! With `AZURE_OPENAI_ENDPOINT`, `AZURE_OPENAI_API_KEY` and `AZURE_OPENAI_DEPLOYMENT` in the environment:
//!
//! ```no_run
//! use bytes::Bytes;
//! use http_body_util::{BodyExt, Full};
//! use tower::ServiceExt;
//! use tower_aoai::Stack;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let stack = Stack::from_env()?;
//! let body = r#"{"messages":[{"role":"user","content":"Hello"}]}"#;
//! let request = http::Request::post("/openai/v1/chat/completions").body(Full::<Bytes>::from(body))?;
//! let answer = stack.oneshot(request).await?.into_body().collect().await?;
//! println!("{}", String::from_utf8_lossy(&answer.to_bytes()));
//! # Ok(())
//! # }
//! ```
//!
//! A [`Stack`] is a `tower::Service` over `http::Request`s: clone it, give it to async-openai, put it into an axum
//! application's state. Its answers stream. A call that is dropped leaves nothing behind, and one that fails says why: each
//! error is a [`core::Error`], each refusal of ours a [`core::Rejected`] that names the layer, the reason, and until when.
//!
//! # Which way in
//!
//! | you want | see |
//! |---|---|
//! | a client that works, from code, a TOML file or the environment | [`stack`], [`config`] |
//! | single layers in a stack you have | [`ServiceBuilderExt`], and the layers below |
//! | no account, or a test | the crate `tower-aoai-simulator`: a service, and a server |
//! | to see what goes on | [`statistics`], [`telemetry`] |
//! | many requests at once, or the same ones again | [`batch`], [`merge`], and `cache` (feature `cache`) |
//! | a connection to the service, and nothing else | [`transport`] |
//!
//! # Layers, from the door to the transport
//!
//! | | layer | its one idea |
//! |---|---|---|
//! | door | [`RejectedResponseLayer`](core::RejectedResponseLayer) | refusals as answers, in OpenAI's shape |
//! | | [`PrepareLayer`](core::PrepareLayer) | the body into memory, read once |
//! | | [`CallTelemetryLayer`](telemetry::CallTelemetryLayer) | a span and a record for each call |
//! | | [`ContextWindowLayer`](context_window::ContextWindowLayer) | prompts counted, refused, or cut so that they fit |
//! | | [`CostLayer`](cost::CostLayer) | usage into money, by tag; budgets that hold |
//! | | [`DeadlineLayer`](core::DeadlineLayer) | one instant for everything below |
//! | | [`FallbackLayer`](fallback::FallbackLayer) | ordered alternatives: PTU, then standard; another model or provider |
//! | each leg | [`RetryAfterLayer`](retry_after::RetryAfterLayer) | again when, and only when, the server says or physics allows |
//! | | [`BalanceLayer`](balance::BalanceLayer) | the endpoint that would finish first |
//! | each endpoint | [`CircuitBreakerLayer`](circuit_breaker::CircuitBreakerLayer) | health, and only health |
//! | | [`TokenBucketLayer`](token_bucket::TokenBucketLayer) | tokens, requests and calls in flight reserved before the send |
//! | | [`EndpointLayer`](endpoint::EndpointLayer) | address, deployment, credential |
//! | | [`AttemptTelemetryLayer`](telemetry::AttemptTelemetryLayer) | a span and a record for each attempt |
//! | | [`IncludeUsageLayer`](core::IncludeUsageLayer), [`ObserveLayer`](core::ObserveLayer) | what an answer means and used, read once |
//! | | [`AttemptTimeoutLayer`](core::AttemptTimeoutLayer) | how long one attempt may take |
//!
//! Each works alone, too, around any service over `http::Request`s, and says what it falls back to without the others. By
//! hand:
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_aoai::core::{DeadlineLayer, Error, IncludeUsageLayer, ObserveLayer, PrepareLayer, RequestBody};
//! use tower_aoai::retry_after::RetryAfterLayer;
//! use tower_aoai::token_bucket::{Quota, TokenBucketLayer};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Error> {
//! let transport = service_fn(|_: http::Request<RequestBody>| async {
//!     Ok::<_, Error>(http::Response::new(Full::<Bytes>::from("{}")))
//! });
//! let service = ServiceBuilder::new()
//!     .layer(PrepareLayer::new())
//!     .layer(DeadlineLayer::new(Duration::from_secs(120)))
//!     .layer(RetryAfterLayer::default())
//!     .layer(TokenBucketLayer::of(Quota::standard(150_000)))
//!     .layer(IncludeUsageLayer::new())
//!     .layer(ObserveLayer::new())
//!     .service(transport);
//! let response = service.oneshot(http::Request::<Full<Bytes>>::default()).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! | feature | default | |
//! |---|---|---|
//! | `balance`, `circuit-breaker`, `context-window`, `cost`, `endpoint`, `fallback`, `retry-after`, `token-bucket` | yes | the layer of that name |
//! | `stack`, `config`, `statistics`, `telemetry`, `transport` | yes | the preset and its parts; each brings what it needs |
//! | `batch`, `merge`, `service-builder` | yes | many requests as a stream; embeddings in one request; the layers by name on `ServiceBuilder` |
//! | `cache` | no | answers kept for those who ask the same again |
//! | `metrics` | no | calls and attempts as metrics, for the exporter of your choice |
//! | `entra` | no | Microsoft Entra ID, by azure_identity |
//! | `bpe` | no | exact token counts: 35 MB of tables and a minute of build |
//! | `chunk` | no | the splitter of long texts |
//! | `native-roots` | no | trusts the system's certificates in place of those built in |
//!
//! With `default-features = false` and the layers' own features, nothing of the preset is built.

pub use tower_aoai_core as core;

#[cfg(any(feature = "cache", feature = "merge"))]
mod answer;
#[cfg(feature = "batch")]
pub mod batch;
#[cfg(feature = "cache")]
pub mod cache;
#[cfg(feature = "config")]
pub mod config;
#[cfg(any(feature = "batch", feature = "cache", feature = "merge"))]
mod gather;
#[cfg(feature = "merge")]
pub mod merge;

#[cfg(feature = "balance")]
pub use tower_aoai_balance as balance;
#[cfg(feature = "circuit-breaker")]
pub use tower_aoai_circuit_breaker as circuit_breaker;
#[cfg(feature = "context-window")]
pub use tower_aoai_context_window as context_window;
#[cfg(feature = "cost")]
pub use tower_aoai_cost as cost;
#[cfg(feature = "endpoint")]
pub use tower_aoai_endpoint as endpoint;
#[cfg(feature = "fallback")]
pub use tower_aoai_fallback as fallback;
#[cfg(feature = "retry-after")]
pub use tower_aoai_retry_after as retry_after;
#[cfg(feature = "token-bucket")]
pub use tower_aoai_token_bucket as token_bucket;

#[cfg(feature = "service-builder")]
mod service_builder_ext;
#[cfg(feature = "stack")]
pub mod stack;
#[cfg(feature = "statistics")]
pub mod statistics;
#[cfg(feature = "telemetry")]
pub mod telemetry;
#[cfg(feature = "transport")]
pub mod transport;

#[cfg(feature = "service-builder")]
pub use self::service_builder_ext::ServiceBuilderExt;
#[cfg(feature = "stack")]
pub use self::stack::Stack;
