//! Makes one client service many Azure OpenAI endpoints.

mod balancer;
mod fleet;
mod future;
mod handle;
mod layer;
mod mark;
mod member;
mod memory;
mod pick;
mod roster;
mod seat;
mod selection;
mod sending;
mod service;

use tower_aoai_core::GuardedBody;

pub use self::{
    future::ResponseFuture,
    handle::{BalanceHandle, BalanceSnapshot, Draining, MemberSnapshot, UnknownMember},
    layer::BalanceLayer,
    mark::Mark,
    member::Member,
    pick::{OutOfRotation, Strategy},
    roster::InvalidMembers,
    service::Balance,
};

/// The response body of a [`Balance`].
pub type ResponseBody<B> = GuardedBody<B, Mark>;
