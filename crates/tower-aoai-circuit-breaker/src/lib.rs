//! Keeps calls from an unhealthy Azure OpenAI endpoint until it has recovered.
//!
//! **As yet this crate only passes calls through** and counts their outcomes: its types, bounds and place in a stack
//! are what they will be; it never opens.
//!
//! [`CircuitBreakerLayer`] stands outermost of an endpoint's layers, and judges health only: a throttled endpoint is
//! a healthy one. Its state lives in the layer, so that every service of it, and a balancer above, sees the same.

mod handle;
mod layer;
mod permit;
mod service;

use tower_aoai_core::{GuardedBody, GuardedFuture};

pub use self::{
    handle::{CircuitBreakerHandle, CircuitCounts},
    layer::CircuitBreakerLayer,
    permit::Permit,
    service::CircuitBreaker,
};

/// The future of a [`CircuitBreaker`].
pub type ResponseFuture<F> = GuardedFuture<F, Permit>;
/// The response body of a [`CircuitBreaker`].
pub type ResponseBody<B> = GuardedBody<B, Permit>;
