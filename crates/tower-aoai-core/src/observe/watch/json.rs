//! A non-streamed answer.

use std::sync::Arc;

use super::{News, Witness};
use crate::{Operation, Outcome, Verdict, json_scan::JsonScanner, stream_event::EventError};

/// Reads usage, model and service tier from a JSON answer as it passes.
#[derive(Debug)]
pub(in crate::observe) struct JsonWatch {
    scanner: JsonScanner,
    content: bool,
    /// What it has meant, once the object is complete.
    verdict: Option<Verdict>,
}

impl JsonWatch {
    pub(in crate::observe) fn new() -> Self {
        Self { scanner: JsonScanner::new(), content: false, verdict: None }
    }

    /// Whether anything was handed on.
    pub(super) fn content(&self) -> bool {
        self.content
    }

    pub(super) fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }

    pub(super) fn scan(&mut self, data: &[u8], witness: &Witness, news: &mut News) {
        news.content = !data.is_empty();
        self.content |= news.content;
        if self.verdict.is_none() {
            self.scanner.scan(data);
            if self.scanner.is_complete() {
                // A caller that stops reading here has its answer.
                self.tell(witness);
                self.verdict = Some(self.judge(witness));
            }
        }
        news.if_dropped = self.verdict;
    }

    fn tell(&self, witness: &Witness) {
        let found = self.scanner.found();
        let attempt = witness.attempt();
        if let Some(usage) = found.usage {
            attempt.note_usage(usage);
        }
        if let Some(model) = &found.model {
            attempt.note_model(Arc::clone(model));
        }
        if let Some(tier) = &found.service_tier {
            attempt.note_service_tier(Arc::clone(tier));
        }
    }

    /// A responses object can be a 200 and say that it failed; no output was made then. Objects of other operations
    /// (a file, a batch) speak of something else.
    fn judge(&self, witness: &Witness) -> Verdict {
        let found = self.scanner.found();
        let error = found.error.as_deref().and_then(EventError::in_json);
        let has_failed = error.is_some() || found.status.as_deref() == Some("failed");
        if !has_failed || witness.context().call().operation == Operation::Other {
            return Outcome::Success.into();
        }
        let error = error.as_ref().map(EventError::as_stream_error);
        witness.judge_stream_error(error.unwrap_or_default(), false)
    }
}
