//! Bodies that can be sent again, and rewritten without being copied.

mod edits;
mod from;
mod replay;
mod request;

pub use self::{
    edits::EditError,
    replay::{Replay, ReplayWith, replay_with, try_clone_request},
    request::RequestBody,
};
