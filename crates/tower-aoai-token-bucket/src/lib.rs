//! Reserves tokens, requests and in-flight places of an Azure OpenAI quota together, in order, before the send.
//!
//! **As yet this crate only passes calls through** and counts those in flight: its types, bounds and place in a stack
//! are what they will be; nothing waits and nothing is refused.
//!
//! [`TokenBucketLayer`] stands below the circuit breaker and above the endpoint's address. It is always ready: a quota
//! cannot be reserved before the request is there to be priced, so waiting happens inside the call's future, and the
//! reservation lives until the response's body ends.

mod future;
mod handle;
mod layer;
mod reservation;
mod service;

use tower_aoai_core::GuardedBody;

pub use self::{
    future::ResponseFuture,
    handle::{TokenBucketHandle, TokenBucketSnapshot},
    layer::TokenBucketLayer,
    reservation::Reservation,
    service::TokenBucket,
};

/// The response body of a [`TokenBucket`].
pub type ResponseBody<B> = GuardedBody<B, Reservation>;
