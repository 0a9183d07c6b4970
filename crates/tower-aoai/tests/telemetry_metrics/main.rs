//! Metrics as an exporter gets them. What an exporter has is told to the thread that installs it, so each test has one of
//! its own.

mod amounts;
mod bounds;
#[path = "../telemetry/support.rs"]
mod support;
