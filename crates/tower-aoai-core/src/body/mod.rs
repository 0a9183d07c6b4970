//! Bodies that can be sent again, and rewritten without being copied.

mod replay;
mod request;

pub use self::{replay::Replay, request::RequestBody};
