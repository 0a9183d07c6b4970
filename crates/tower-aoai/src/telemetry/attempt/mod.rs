//! The layer of an endpoint.

mod layer;
mod log;
mod service;
mod span;
mod watch;

pub use self::{layer::AttemptTelemetryLayer, service::AttemptTelemetry, watch::AttemptWatch};
