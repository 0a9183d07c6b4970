use std::{fmt, sync::Arc};

use http::StatusCode;
use tokio::time::Instant;
use tower_aoai_core::{
    Attempt, Call, CallContext, Error, Guard, Outcome, Reason, Timeout,
    classify::{ResponseHead, judge_head},
};
use tracing::Span;

use super::{layer::Settings, log, span};
use crate::telemetry::{AttemptRecord, Recorder, figures::clamped};

/// Follows what goes down to an endpoint to its end; tells of it once, at the latest when it is dropped.
pub struct AttemptWatch {
    settings: Arc<Settings>,
    call: Arc<Call>,
    attempt: Arc<Attempt>,
    began: Instant,
    resends: u32,
    resent_after: Option<Outcome>,
    span: Span,
    status: Option<StatusCode>,
    is_streamed: bool,
    refused: Option<Reason>,
    timed_out: Option<Timeout>,
    /// What it means as far as this layer can see.
    own: Option<Outcome>,
    has_failed: bool,
    is_read: bool,
    is_told: bool,
}

impl AttemptWatch {
    pub(super) fn new(settings: Arc<Settings>, context: &mut CallContext) -> Self {
        let resends = clamped(context.attempt_count());
        let before = if resends > 0 { context.last_sent_attempt() } else { None };
        settings.recorders.iter().for_each(|recorder| recorder.attempt_began(&settings.endpoint));
        Self {
            settings,
            call: context.shared_call(),
            attempt: context.attempt(),
            began: context.now(),
            resends,
            resent_after: before.and_then(|before| before.verdict()).map(|verdict| verdict.outcome),
            span: Span::none(),
            status: None,
            is_streamed: false,
            refused: None,
            timed_out: None,
            own: None,
            has_failed: false,
            is_read: false,
            is_told: false,
        }
    }

    pub(super) const fn resends(&self) -> u32 {
        self.resends
    }

    pub(super) fn enter(&mut self, span: Span) {
        self.span = span;
    }

    /// What it came to; `observed` is what an observer below says.
    fn outcome(&self, observed: Option<Outcome>) -> Outcome {
        let own = || match self.own {
            // Nobody below knows more of an answer that nobody has read to its end.
            Some(Outcome::Success) if !self.is_read => Outcome::Cancelled,
            own => own.unwrap_or(Outcome::Cancelled),
        };
        match observed {
            // A layer in between gave up and dropped what was observed; the caller did not go away.
            Some(Outcome::Cancelled) if self.has_failed => own(),
            Some(outcome) => outcome,
            None => own(),
        }
    }

    /// The record, and whether an observer below knows of it.
    fn record(&self) -> (AttemptRecord, bool) {
        self.attempt.look(|state| {
            let progress = state.observed().unwrap_or_default();
            let outcome = self.outcome(progress.verdict.map(|verdict| verdict.outcome));
            let ended = progress.ended.unwrap_or_else(Instant::now);
            let since_send = |at: Instant| at.saturating_duration_since(progress.sent.unwrap_or(self.began));
            let asked = self.call.deployment.as_ref().or(self.call.model.as_ref());
            let record = AttemptRecord {
                leg: state.leg.clone(),
                operation: self.call.operation,
                model: state.model.as_ref().or(asked).cloned(),
                answer_model: state.model.clone(),
                deployment: state.deployment.as_ref().or(asked).cloned(),
                status: self.status.or(state.status),
                refused: self.refused,
                timed_out: self.timed_out,
                is_sent: if state.is_observed {
                    progress.sent.is_some()
                } else {
                    self.own.is_some() && self.refused.is_none()
                },
                is_streamed: self.is_streamed,
                resends: self.resends,
                resent_after: self.resent_after,
                first_byte: progress.first_byte.map(since_send),
                first_content: progress.first_content.map(since_send),
                duration: since_send(ended),
                usage: state.usage,
                ..AttemptRecord::new(Arc::clone(&self.settings.endpoint), outcome, ended)
            };
            (record, state.is_observed)
        })
    }

    fn tell(&mut self) {
        if std::mem::replace(&mut self.is_told, true) {
            return;
        }
        let (record, is_observed) = self.record();
        self.settings.recorders.iter().for_each(|recorder: &Arc<dyn Recorder>| recorder.attempt(&record));
        span::end(&self.span, &record);
        if !is_observed {
            self.span.in_scope(|| log::unobserved(&record));
        }
    }
}

impl Guard for AttemptWatch {
    /// What is known by now is told now: a layer above may send once more under the same attempt while it keeps this
    /// answer.
    fn head(&mut self, head: ResponseHead<'_>) {
        let means = judge_head(&*self.settings.classify, &self.call, head).outcome;
        self.status = Some(head.status);
        self.is_streamed = head.is_event_stream();
        self.own = Some(means);
        let is_known = match self.attempt.observed() {
            Some(progress) => progress.verdict.is_some(),
            None => means != Outcome::Success,
        };
        if is_known {
            self.tell();
        }
    }

    fn failed(&mut self, error: &Error) {
        self.has_failed = true;
        self.refused = error.rejected().map(tower_aoai_core::Rejected::reason);
        self.timed_out = error.timeout();
        self.own = Some(self.settings.classify.failure(error, self.status.is_some()).outcome);
    }

    fn ended(&mut self) {
        self.is_read = true;
    }
}

impl Drop for AttemptWatch {
    fn drop(&mut self) {
        self.tell();
    }
}

impl fmt::Debug for AttemptWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = &self.settings.endpoint;
        f.debug_struct("AttemptWatch").field("endpoint", endpoint).field("status", &self.status).finish_non_exhaustive()
    }
}
