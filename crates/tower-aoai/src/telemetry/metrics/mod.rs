//! Metrics by the `metrics` facade: what exporters for Prometheus, OpenTelemetry and others take.
//!
//! [`MetricsRecorder`] is a [`Recorder`](crate::telemetry::Recorder): it turns records into counters, histograms and
//! gauges of whatever exporter the process has installed. **Install the exporter first**: handles are resolved when a set
//! of labels is first met, once, and those resolved without an exporter go nowhere.
//!
//! ```
//! use std::sync::Arc;
//! use tower_aoai::telemetry::{AttemptTelemetryLayer, CallTelemetryLayer, metrics::MetricsRecorder};
//!
//! // An exporter's `install()` stands here.
//! let metrics = Arc::new(MetricsRecorder::new());
//! let door = CallTelemetryLayer::new().recorder(metrics.clone());
//! let eastus = AttemptTelemetryLayer::new("eastus").recorder(metrics);
//! # let _ = (door, eastus);
//! ```
//!
//! # Metrics
//!
//! Names and labels of generative AI are OpenTelemetry's, which are still in development there; ours begin with
//! `tower_aoai.`. Prometheus writes `_` where a `.` stands. Every call also has `gen_ai.operation.name` and
//! `gen_ai.provider.name`; its models are `gen_ai.request.model`, which the caller named, and `gen_ai.response.model`,
//! which the answer names, if it does.
//!
//! | of calls | | labels |
//! |---|---|---|
//! | `gen_ai.client.operation.duration` | histogram, seconds from the door to the end | models, `error.type` of what was not [answered](crate::telemetry::CallEnding::error_type) |
//! | `gen_ai.client.operation.time_to_first_chunk` | histogram, seconds; streams only | models |
//! | `gen_ai.client.operation.time_per_output_chunk` | histogram, seconds from one event with content to the next, at most 10,000 a call; streams that ended well only. The clock is not read for each: each is the mean of its call, so that sums and counts are right, and what is below and above it within a call is not told | models |
//! | `gen_ai.client.token.usage` | histogram, tokens | models, `gen_ai.token.type`: `input`, `output` |
//! | `tower_aoai.call.waited` | histogram, seconds spent waiting here: for hints, backoff and quota | models |
//! | `tower_aoai.call.spend_dollars` | histogram, US dollars; where a cost layer counts and the price is known | models |
//! | `tower_aoai.calls.in_flight` | gauge | |
//! | `tower_aoai.spills` | counter: calls that left a provisioned leg, or were spilled by Azure itself | `from`, `cause` |
//! | `tower_aoai.leg.failures` | counter: legs that did not serve a call | `leg`, `cause` |
//!
//! | of attempts | | labels |
//! |---|---|---|
//! | `tower_aoai.attempts` | counter | `endpoint`, `outcome` (`not_sent` of what was refused or dropped before it was sent) |
//! | `tower_aoai.attempt.duration` | histogram, seconds from the send | `endpoint`, `outcome` |
//! | `tower_aoai.attempt.first_byte` | histogram, seconds from the send | `endpoint` |
//! | `tower_aoai.attempt.tokens` | counter, tokens as the answers say | `endpoint`, `gen_ai.response.model`, `gen_ai.token.type` |
//! | `tower_aoai.attempts.in_flight` | gauge | `endpoint` |
//! | `tower_aoai.retries` | counter: attempts that sent a call again, in the same leg or another | `endpoint`, `reason`: the outcome before |
//! | `tower_aoai.gate.duration` | histogram, seconds that a 429 asks to wait | `endpoint`, `scope`: `tokens`, `requests`, `provisioned`, `capacity`, `unknown` |
//!
//! Their histograms want buckets: [`SECONDS`] and [`TOKENS`] are those that OpenTelemetry recommends.
//!
//! # Bounds
//!
//! A caller may name any model, and each name would be a time series for ever. So each table of label sets has a
//! [bound](MetricsRecorder::bound), 1,000 by default; in what comes then, names are [`OTHER`], as is a name of more than
//! 128 bytes. The tables: calls (operation, models, error), attempts (endpoint, model, outcome), what is in flight
//! (endpoint), and retries, gates, spills and legs (a name and a word each). Once a set is known, recording allocates
//! nothing and takes one shared lock.

mod labels;
mod names;
mod recorder;
mod series;
mod table;

pub use self::{
    labels::OTHER,
    names::{SECONDS, TOKENS},
    recorder::MetricsRecorder,
};
