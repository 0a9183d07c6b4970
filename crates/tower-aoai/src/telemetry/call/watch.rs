use std::{fmt, sync::Arc};

use http::StatusCode;
use tokio::time::Instant;
use tower_aoai_core::{
    Attempt, CallContext, Error, Guard, Outcome,
    classify::{ResponseHead, judge_head},
};
use tracing::Span;

use super::{
    ending::{self, Last, Seen},
    layer::Settings,
    log, span,
};
use crate::telemetry::{CallRecord, Recorder, figures::clamped};

/// Follows a call from the door to its end; tells of it when it is dropped, once.
pub struct CallWatch {
    settings: Arc<Settings>,
    context: CallContext,
    span: Span,
    /// The answer's status, and what its head means.
    head: Option<(StatusCode, Outcome)>,
    is_streamed: bool,
    last: Last,
}

impl CallWatch {
    pub(super) fn new(settings: Arc<Settings>, context: CallContext, span: Span) -> Self {
        let operation = context.call().operation;
        settings.recorders.iter().for_each(|recorder| recorder.call_began(operation));
        Self { settings, context, span, head: None, is_streamed: false, last: Last::Dropped }
    }

    /// The attempt whose answer the caller got, or, where they got none, the last one.
    fn attempt(&self) -> Option<Arc<Attempt>> {
        let is_the_answers = |attempt: &Arc<Attempt>| {
            let of_attempt = attempt.status();
            self.head.is_none_or(|(status, _)| of_attempt.is_none_or(|of_attempt| of_attempt == status))
        };
        self.context.last_sent_attempt().filter(is_the_answers)
    }

    fn record(&self, ended: Instant) -> CallRecord {
        let attempt = self.attempt();
        let progress = attempt.as_ref().and_then(|attempt| attempt.observed()).unwrap_or_default();
        let ending = ending::ending(Seen {
            last: self.last,
            head: self.head.map(|(_, means)| means),
            observed: progress.verdict.map(|verdict| verdict.outcome),
            has_content: progress.first_content.is_some(),
        });
        let (call, started) = (self.context.call(), self.context.started());
        let served = self.context.served();
        let asked = call.deployment.as_ref().or(call.model.as_ref()).cloned();
        let since_start = |at: Instant| at.saturating_duration_since(started);
        let is_whole_stream =
            self.is_streamed && progress.verdict.is_some_and(|verdict| verdict.outcome == Outcome::Success);
        CallRecord {
            operation: call.operation,
            model: served.model.clone().or_else(|| asked.clone()),
            asked,
            answer_model: attempt.as_ref().and_then(|attempt| attempt.model()),
            status: self.head.map(|(status, _)| status),
            is_streamed: self.is_streamed,
            attempts: clamped(served.attempts),
            retries: if served.attempts > 1 { clamped(self.context.retry_count()) } else { 0 },
            waited: served.waited,
            served,
            duration: since_start(ended),
            first_content: progress.first_content.map(since_start),
            last_content: progress.ended.filter(|_| is_whole_stream).map(since_start),
            content_events: progress.content_events,
            usage: attempt.and_then(|attempt| attempt.usage()),
            reserved_output: call.max_output_tokens.map(|most| most.saturating_mul(call.choices)),
            spend_nano_dollars: self.context.spend(),
            priority: self.context.priority(),
            ..CallRecord::new(ending, ended)
        }
    }
}

impl Guard for CallWatch {
    fn head(&mut self, head: ResponseHead<'_>) {
        let means = judge_head(&*self.settings.classify, self.context.call(), head);
        self.head = Some((head.status, means.outcome));
        self.is_streamed = head.is_event_stream();
    }

    fn failed(&mut self, error: &Error) {
        self.last = match error {
            Error::Rejected(rejected) => Last::Refused { reason: rejected.reason(), by: rejected.by() },
            Error::Timeout(timeout) => Last::TimedOut(*timeout),
            other => Last::Failed(self.settings.classify.failure(other, false).outcome),
        };
    }

    fn ended(&mut self) {
        self.last = Last::Read;
    }
}

impl Drop for CallWatch {
    fn drop(&mut self) {
        let record = self.record(Instant::now());
        self.settings.recorders.iter().for_each(|recorder: &Arc<dyn Recorder>| recorder.call(&record));
        span::end(&self.span, &record);
        self.span.in_scope(|| log::ended(&record, &self.context, self.settings.long_wait));
    }
}

impl fmt::Debug for CallWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallWatch").field("last", &self.last).field("head", &self.head).finish_non_exhaustive()
    }
}
