//! Small tower layers that make Azure OpenAI dependable for the people who call it.
//!
//! Every layer of the workspace, each behind a feature of its crate's name, all on by default. **The preset stack and
//! its configuration are not there as yet**; until then a stack is composed by hand.
//!
//! From the door to the transport:
//!
//! ```text
//! PrepareLayer > ContextWindowLayer > CostLayer > DeadlineLayer > FallbackLayer
//!   each leg:      RetryAfterLayer > BalanceLayer
//!   each endpoint:   CircuitBreakerLayer > TokenBucketLayer > EndpointLayer > IncludeUsageLayer
//!                    > ObserveLayer > AttemptTimeoutLayer > transport
//! ```

#[cfg(feature = "balance")]
pub use tower_aoai_balance as balance;
#[cfg(feature = "circuit-breaker")]
pub use tower_aoai_circuit_breaker as circuit_breaker;
#[cfg(feature = "context-window")]
pub use tower_aoai_context_window as context_window;
pub use tower_aoai_core as core;
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
