//! Small tower layers that make Azure OpenAI dependable for the people who call it.
//!
//! Every layer of the workspace, each behind a feature of its crate's name, all on by default. **The preset stack and
//! its configuration are not there as yet**; until then a stack is composed by hand:
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
//! # From the door to the transport
//!
//! | | layer | state |
//! |---|---|---|
//! | door | [`RejectedResponseLayer`](core::RejectedResponseLayer), [`PrepareLayer`](core::PrepareLayer) | works |
//! | | `ContextWindowLayer` | works; counts exactly with feature `bpe`, and splits texts with feature `chunk` |
//! | | `CostLayer` | works |
//! | | [`DeadlineLayer`](core::DeadlineLayer) | works |
//! | | `FallbackLayer` | works |
//! | each leg | `RetryAfterLayer` | works |
//! | | `BalanceLayer` | works |
//! | each endpoint | `CircuitBreakerLayer` | works |
//! | | `TokenBucketLayer` | works |
//! | | `EndpointLayer` | works |
//! | | [`IncludeUsageLayer`](core::IncludeUsageLayer), [`ObserveLayer`](core::ObserveLayer), [`AttemptTimeoutLayer`](core::AttemptTimeoutLayer) | works |

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
