//! What is written: spans, events, and nobody's secrets. A process of its own: which events are wanted is known to a
//! process, not to a thread.

mod secrets;
mod spans;
#[path = "../telemetry/support.rs"]
mod support;
