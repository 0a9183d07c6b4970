//! Ordered alternatives for a call: a provisioned deployment, then standard; another model, another provider.

mod chain;
mod condition;
mod course;
pub mod error_shape;
mod experience;
mod future;
mod handle;
mod kept;
mod layer;
mod leg;
pub mod model;
mod patience;
mod price;
mod service;
mod shared;
mod tally;

use tower_aoai_core::GuardedBody;

pub use self::{
    condition::{Condition, Failure},
    error_shape::{ErrorShape, ErrorShapeLayer},
    future::ResponseFuture,
    handle::{FallbackHandle, FallbackSnapshot, LegSnapshot, SpillCause, SpillCounts},
    kept::KeptBody,
    layer::{FallbackLayer, InvalidLegs},
    leg::Leg,
    model::{Model, ModelLayer},
    patience::Patience,
    price::TokenPrice,
    service::Fallback,
    tally::Tally,
};

/// The response body of a [`Fallback`].
pub type ResponseBody<B> = GuardedBody<KeptBody<B>, Tally>;
