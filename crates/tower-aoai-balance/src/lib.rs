//! Makes one client service many Azure OpenAI endpoints.
//!
//! **As yet this crate takes the first member that lets the call start soonest**: its types, bounds and place in a
//! stack are what they will be; tiers, weights, strategies and learning are not there.
//!
//! A balancer that asks services for readiness cannot know what a call will cost them, and parks readiness it does not
//! use. [`BalanceLayer`] asks the shared *state* of each member's gates instead
//! ([`Availability`](tower_aoai_core::Availability)), so that anything may stand between them and the client: a
//! foreign layer is stacked with [`Member::layer`], a gate with [`Member::asked`].

mod future;
mod layer;
mod member;
mod service;

pub use self::{
    future::ResponseFuture,
    layer::{BalanceLayer, InvalidMembers},
    member::Member,
    service::Balance,
};
