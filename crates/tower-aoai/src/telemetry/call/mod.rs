//! The layer at the door.

mod ending;
mod layer;
mod log;
mod service;
pub(super) mod span;
mod watch;

pub use self::{layer::CallTelemetryLayer, service::CallTelemetry, watch::CallWatch};
