//! The handles of one label set. What is not always recorded is registered when it first is, so that no exporter shows
//! what never was.

use std::sync::OnceLock;

use metrics::{Counter, Histogram, counter, histogram};

use super::{
    labels::{OfAttempt, OfCall, with_token_type},
    names::{
        ATTEMPT_DURATION, ATTEMPT_TOKENS, ATTEMPTS, DURATION, FIRST_BYTE, FIRST_CHUNK, PER_CHUNK, SPEND, TOKEN_USAGE,
        WAITED,
    },
};
use crate::telemetry::{AttemptRecord, CallRecord};

/// Of one call no more are recorded: exporters take them one by one.
const CHUNKS_AT_MOST: usize = 10_000;

/// Of calls with these labels.
pub(super) struct CallSeries {
    labels: OfCall,
    duration: Histogram,
    waited: Histogram,
    first_chunk: OnceLock<Histogram>,
    per_chunk: OnceLock<Histogram>,
    input: OnceLock<Histogram>,
    output: OnceLock<Histogram>,
    spend: OnceLock<Histogram>,
}

impl CallSeries {
    pub(super) fn new(labels: &OfCall) -> Self {
        Self {
            labels: labels.clone(),
            duration: histogram!(DURATION, labels.models_and_error()),
            waited: histogram!(WAITED, labels.models()),
            first_chunk: OnceLock::new(),
            per_chunk: OnceLock::new(),
            input: OnceLock::new(),
            output: OnceLock::new(),
            spend: OnceLock::new(),
        }
    }

    pub(super) fn record(&self, record: &CallRecord) {
        let models = || self.labels.models();
        self.duration.record(record.duration);
        self.waited.record(record.waited);
        if let Some(first_chunk) = record.first_content.filter(|_| record.is_streamed) {
            self.first_chunk.get_or_init(|| histogram!(FIRST_CHUNK, models())).record(first_chunk);
        }
        if let Some((mean, count)) = record.time_per_chunk() {
            let count = usize::try_from(count).unwrap_or(usize::MAX).min(CHUNKS_AT_MOST);
            self.per_chunk.get_or_init(|| histogram!(PER_CHUNK, models())).record_many(mean, count);
        }
        if let Some(usage) = record.usage {
            let tokens = |kind| histogram!(TOKEN_USAGE, with_token_type(models(), kind));
            self.input.get_or_init(|| tokens("input")).record(usage.input as f64);
            self.output.get_or_init(|| tokens("output")).record(usage.output as f64);
        }
        if let Some(nano_dollars) = record.spend_nano_dollars {
            self.spend.get_or_init(|| histogram!(SPEND, models())).record(nano_dollars as f64 / 1e9);
        }
    }
}

/// Of attempts with these labels.
pub(super) struct AttemptSeries {
    labels: OfAttempt,
    count: Counter,
    duration: Histogram,
    first_byte: OnceLock<Histogram>,
    input: OnceLock<Counter>,
    output: OnceLock<Counter>,
}

impl AttemptSeries {
    pub(super) fn new(labels: &OfAttempt) -> Self {
        Self {
            labels: labels.clone(),
            count: counter!(ATTEMPTS, labels.outcome()),
            duration: histogram!(ATTEMPT_DURATION, labels.outcome()),
            first_byte: OnceLock::new(),
            input: OnceLock::new(),
            output: OnceLock::new(),
        }
    }

    pub(super) fn record(&self, record: &AttemptRecord) {
        self.count.increment(1);
        self.duration.record(record.duration);
        if let Some(first_byte) = record.first_byte {
            self.first_byte.get_or_init(|| histogram!(FIRST_BYTE, self.labels.endpoint())).record(first_byte);
        }
        if let Some(usage) = record.usage {
            let tokens = |kind| counter!(ATTEMPT_TOKENS, with_token_type(self.labels.model(), kind));
            self.input.get_or_init(|| tokens("input")).increment(usage.input);
            self.output.get_or_init(|| tokens("output")).increment(usage.output);
        }
    }
}
