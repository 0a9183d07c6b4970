//! The whole stack, put together from a configuration: what most people want.

mod agent;
mod assembly;
mod body;
mod builder;
mod flight;
mod future;
mod invalid;
mod layers;
mod make;
mod parts;
mod plan;
mod router;
mod service;
mod shared;
mod sight;
mod slot;
#[cfg(feature = "transport")]
mod webhook;

pub use self::{
    body::AnswerBody,
    builder::StackBuilder,
    future::StackFuture,
    invalid::InvalidStack,
    service::{Draining, Leftover, Stack},
    shared::SharedLimits,
    slot::Below,
};
