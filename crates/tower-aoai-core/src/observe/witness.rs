//! The one hand that writes an attempt.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::{Observer, layer::Settings};
use crate::{
    Attempt, CallContext, Error, Outcome, Verdict,
    classify::{HeadVerdict, ResponseHead, StreamError},
};

/// Writes one attempt and tells the observers; moves from the future into the body, and cancels when dropped.
#[derive(Debug)]
pub(super) struct Witness {
    attempt: Arc<Attempt>,
    context: CallContext,
    settings: Arc<Settings>,
    status: StatusCode,
    /// The response's headers, where an error may still come.
    headers: HeaderMap,
    first_content: Option<Instant>,
    content_events: u64,
    if_dropped: Option<Verdict>,
    sent: bool,
    ended: bool,
}

/// What handing on a frame, or the body's end, makes known.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct News {
    /// The frame holds content.
    pub(super) content: bool,
    /// How many of its events do.
    pub(super) events: u64,
    /// What it will have meant if the caller reads no further; without it, that the caller went away.
    pub(super) if_dropped: Option<Verdict>,
    /// The attempt ends.
    pub(super) end: Option<Verdict>,
    /// It failed before any content.
    pub(super) early: bool,
}

impl News {
    /// Adds what became known later.
    pub(super) fn add(&mut self, later: Self) {
        self.content |= later.content;
        self.events += later.events;
        self.if_dropped = later.if_dropped;
        self.end = self.end.or(later.end);
        self.early |= later.early;
    }
}

impl Witness {
    pub(super) fn new(attempt: Arc<Attempt>, context: CallContext, settings: Arc<Settings>) -> Self {
        Self {
            attempt,
            context,
            settings,
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            first_content: None,
            content_events: 0,
            if_dropped: None,
            sent: false,
            ended: false,
        }
    }

    pub(super) fn attempt(&self) -> &Attempt {
        &self.attempt
    }

    pub(super) fn context(&self) -> &CallContext {
        &self.context
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The transport is about to be polled; only the first time counts.
    pub(super) fn sent(&mut self) {
        if std::mem::replace(&mut self.sent, true) {
            return;
        }
        self.attempt.mark_sent(Instant::now());
        self.tell(|observer| observer.sent(&self.context, &self.attempt));
    }

    /// The head came: what does it say?
    pub(super) fn head(&mut self, now: Instant, head: ResponseHead<'_>) -> HeadVerdict {
        self.status = head.status;
        self.attempt.mark_first_byte(now, head);
        self.tell(|observer| observer.first_byte(&self.context, &self.attempt));
        let classify = &self.settings.classify;
        classify.head(self.context.call(), head)
    }

    /// Keeps the headers for errors that the body may hold.
    pub(super) fn keep_headers(&mut self, headers: &HeaderMap) {
        self.headers.clone_from(headers);
    }

    pub(super) fn judge_error_body(&self, headers: &HeaderMap, body: &[u8]) -> Verdict {
        let status = self.status;
        let head = ResponseHead { status, headers };
        let classify = &self.settings.classify;
        classify.error_body(self.context.call(), head, body)
    }

    pub(super) fn judge_stream_error(&self, error: StreamError<'_>, after_content: bool) -> Verdict {
        let head = ResponseHead { status: self.status, headers: &self.headers };
        let classify = &self.settings.classify;
        classify.stream_error(self.context.call(), head, error, after_content)
    }

    pub(super) fn judge_failure(&self, error: &Error, after_content: bool) -> Verdict {
        self.settings.classify.failure(error, after_content)
    }

    /// Writes down a failure before any content without waiting for the frame to be handed on, so that a layer above
    /// that gets the response finds the verdict with it.
    pub(super) fn note_early(&mut self, news: News) {
        if news.early {
            self.if_dropped = news.if_dropped;
            if let Some(verdict) = news.end {
                self.end(verdict);
            }
        }
    }

    /// Ends the attempt if it is known to have failed, though not why.
    pub(super) fn settle(&mut self) {
        if let Some(verdict) = self.if_dropped.filter(|verdict| verdict.outcome != Outcome::Success) {
            self.end(verdict);
        }
    }

    /// Writes down what the handing on of a frame makes known.
    pub(super) fn note(&mut self, news: News) {
        self.content_events += news.events;
        self.if_dropped = news.if_dropped;
        let mut now = None;
        if news.content && self.first_content.is_none() {
            let first = *now.insert(Instant::now());
            self.first_content = Some(first);
            self.attempt.mark_content(first, 0);
            self.tell(|observer| observer.first_content(&self.context, &self.attempt));
        }
        if let Some(verdict) = news.end {
            self.end_with(now, |attempt, now| attempt.end(now, verdict));
        }
    }

    /// Ends the attempt. The first verdict stands.
    pub(super) fn end(&mut self, verdict: Verdict) {
        self.end_with(None, |attempt, now| attempt.end(now, verdict));
    }

    /// The clock is read unless it was just now.
    fn end_with(&mut self, now: Option<Instant>, end: impl FnOnce(&Attempt, Instant)) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let Some(first) = self.first_content {
            self.attempt.mark_content(first, self.content_events);
        }
        end(&self.attempt, now.unwrap_or_else(Instant::now));
        self.log();
        self.tell(|observer| observer.ended(&self.context, &self.attempt));
    }

    fn tell(&self, what: impl FnMut(&Arc<dyn Observer>)) {
        self.settings.observers.iter().for_each(what);
    }

    /// One event for each attempt that ended; its target and fields are stable. No headers, no prompt, no answer.
    fn log(&self) {
        if !tracing::enabled!(target: "tower_aoai::attempt", tracing::Level::DEBUG) {
            return;
        }
        let call = self.context.call();
        let progress = self.attempt.progress();
        let usage = self.attempt.usage();
        let model = self.attempt.model();
        let millis = progress
            .sent
            .zip(progress.ended)
            .map(|(sent, ended)| u64::try_from(ended.saturating_duration_since(sent).as_millis()).unwrap_or(u64::MAX));
        tracing::debug!(
            target: "tower_aoai::attempt",
            operation = ?call.operation,
            deployment = self.attempt.deployment().as_deref().or(call.target()),
            model = model.as_deref(),
            status = progress.first_byte.map(|_| self.status.as_u16()),
            outcome = progress.verdict.map(|verdict| verdict.outcome.name()),
            input_tokens = usage.map(|usage| usage.input),
            output_tokens = usage.map(|usage| usage.output),
            content_events = progress.content_events,
            millis,
            "attempt ended"
        );
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        match self.if_dropped {
            _ if !self.sent => self.attempt.give_back(),
            Some(verdict) => self.end(verdict),
            None => self.end_with(None, Attempt::cancel),
        }
    }
}
