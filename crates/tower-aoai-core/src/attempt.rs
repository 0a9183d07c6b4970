//! One send of a call to one endpoint.

use std::sync::Arc;

use http::{HeaderName, StatusCode};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{Outcome, Usage, Verdict, classify::ResponseHead};

static DEPLOYMENT: HeaderName = HeaderName::from_static("x-ms-deployment-name");

/// The record of one attempt: written by [`ObserveLayer`](crate::ObserveLayer), read by every layer above it.
///
/// A layer that cares takes its own handle from the [`CallContext`](crate::CallContext) before it hands the request
/// down ([`CallContext::attempt`](crate::CallContext::attempt)), and reads it when the response's head, its end, or
/// its own drop comes by. Guards must be dropped *after* the inner future or body: declare them behind it.
#[derive(Debug, Default)]
pub struct Attempt {
    state: Mutex<AttemptState>,
}

/// All that is known of an attempt at one moment; see [`Attempt::look`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct AttemptState {
    /// An [`ObserveLayer`](crate::ObserveLayer) writes it, for one send.
    pub is_observed: bool,
    /// How far it has come.
    pub progress: Progress,
    /// The status of its head.
    pub status: Option<StatusCode>,
    /// What the server said it used.
    pub usage: Option<Usage>,
    /// The model that the answer names.
    pub model: Option<Arc<str>>,
    /// The service tier that the answer names.
    pub service_tier: Option<Arc<str>>,
    /// The deployment that the header `x-ms-deployment-name` names.
    pub deployment: Option<Arc<str>>,
    /// The provisioned deployment from which Azure itself has spilled it.
    pub spilled_from: Option<Arc<str>>,
    /// The endpoint that a balancer sent it to.
    pub endpoint: Option<Arc<str>>,
    /// The leg of a fallback that it is sent in.
    pub leg: Option<Arc<str>>,
}

/// How far an attempt has come.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// When the transport was first polled. An attempt without it was never sent and costs nothing.
    pub sent: Option<Instant>,
    /// When the head of the response came.
    pub first_byte: Option<Instant>,
    /// When the first content was handed on: from here on nothing may be tried again.
    pub first_content: Option<Instant>,
    /// How many streamed events carried content: counted as they are handed on, written when the attempt ends.
    pub content_events: u64,
    /// How often it was sent before, and started over ([`CallContext::restart_attempt`](crate::CallContext::restart_attempt)).
    pub restarts: u32,
    /// When the outcome was known.
    pub ended: Option<Instant>,
    /// What the result means; `None` while it is open.
    pub verdict: Option<Verdict>,
}

impl Attempt {
    /// An attempt that has not been sent.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at all that is known of it at once: for who wants several things, cheaper than to ask for each, and all of
    /// one moment.
    ///
    /// The attempt is locked meanwhile: `look` must not ask it.
    pub fn look<T>(&self, look: impl FnOnce(&AttemptState) -> T) -> T {
        look(&self.state.lock())
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.state.lock().progress
    }

    /// How far it has come as an [`ObserveLayer`](crate::ObserveLayer) below saw it; `None` where there is none, whatever
    /// a layer above has judged by the head alone.
    ///
    /// For a layer that sees the body too, and knows more at its end than whoever judged its head.
    #[must_use]
    pub fn observed(&self) -> Option<Progress> {
        self.state.lock().observed()
    }

    /// When the transport was first polled; `None` while it was not.
    #[must_use]
    pub fn sent(&self) -> Option<Instant> {
        self.state.lock().progress.sent
    }

    /// Whether the transport was polled.
    #[must_use]
    pub fn is_sent(&self) -> bool {
        self.state.lock().progress.sent.is_some()
    }

    /// Whether content was handed on: from here on nothing may be tried again.
    #[must_use]
    pub fn has_content(&self) -> bool {
        self.state.lock().progress.first_content.is_some()
    }

    /// What the result means; `None` while it is open, or when no [`ObserveLayer`](crate::ObserveLayer) stands below.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        self.state.lock().progress.verdict
    }

    /// The status of its head; `None` where none came, or when no [`ObserveLayer`](crate::ObserveLayer) stands below.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.state.lock().status
    }

    /// What the server said it used, once it said so.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.state.lock().usage
    }

    /// The model that the answer names: what was served, and is billed.
    #[must_use]
    pub fn model(&self) -> Option<Arc<str>> {
        self.state.lock().model.clone()
    }

    /// The service tier that the answer names (`default`, `flex`, `priority`, …).
    #[must_use]
    pub fn service_tier(&self) -> Option<Arc<str>> {
        self.state.lock().service_tier.clone()
    }

    /// The deployment that the header `x-ms-deployment-name` names.
    #[must_use]
    pub fn deployment(&self) -> Option<Arc<str>> {
        self.state.lock().deployment.clone()
    }

    /// The provisioned deployment from which Azure itself has spilled it to a standard one
    /// ([`ResponseHead::spilled_from`](crate::classify::ResponseHead::spilled_from)); its name is empty where the answer
    /// does not tell it.
    #[must_use]
    pub fn spilled_from(&self) -> Option<Arc<str>> {
        self.state.lock().spilled_from.clone()
    }

    /// The endpoint that a balancer sent it to, the very `Arc` of its name.
    #[must_use]
    pub fn endpoint(&self) -> Option<Arc<str>> {
        self.state.lock().endpoint.clone()
    }

    /// The leg of a fallback that it is sent in.
    #[must_use]
    pub fn leg(&self) -> Option<Arc<str>> {
        self.state.lock().leg.clone()
    }

    /// Says which endpoint it is sent to; of two that say so, the one further down stands.
    pub fn note_endpoint(&self, name: Arc<str>) {
        self.state.lock().endpoint = Some(name);
    }

    /// Stamps the send; later stamps change nothing.
    pub fn mark_sent(&self, now: Instant) {
        self.state.lock().progress.sent.get_or_insert(now);
    }

    /// What a layer judged by the head alone, where no [`ObserveLayer`](crate::ObserveLayer) below saw the attempt;
    /// changes nothing where one did.
    pub fn judge_unobserved(&self, now: Instant, verdict: Verdict) {
        let mut state = self.state.lock();
        if state.progress.sent.is_none() {
            state.progress.sent = Some(now);
            state.progress.ended = Some(now);
            state.progress.verdict = Some(verdict);
        }
    }

    /// One that is to be sent in that leg.
    pub(crate) fn within(leg: Option<Arc<str>>) -> Self {
        Self { state: Mutex::new(AttemptState { leg, ..AttemptState::default() }) }
    }

    /// Unless it was sent, it is to be sent in that leg.
    pub(crate) fn enter_leg(&self, leg: &Arc<str>) {
        let mut state = self.state.lock();
        if state.progress.sent.is_none() {
            state.leg = Some(Arc::clone(leg));
        }
    }

    /// Takes it for one send that is observed; `false` if another one has.
    pub(crate) fn observe(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().is_observed, true)
    }

    /// Becomes an attempt that was never sent, to the same endpoint; returns what it was.
    pub(crate) fn start_over(&self) -> Self {
        let mut state = self.state.lock();
        let restarts = state.progress.restarts.saturating_add(1);
        let progress = Progress { restarts, ..Progress::default() };
        let (endpoint, leg) = (state.endpoint.clone(), state.leg.clone());
        let afresh = AttemptState { progress, endpoint, leg, ..AttemptState::default() };
        Self { state: Mutex::new(std::mem::replace(&mut state, afresh)) }
    }

    /// Gives it back: what was to be observed was never sent.
    pub(crate) fn give_back(&self) {
        self.state.lock().is_observed = false;
    }

    /// Whether an observer writes it.
    pub(crate) fn is_observed(&self) -> bool {
        self.state.lock().is_observed
    }

    pub(crate) fn mark_first_byte(&self, now: Instant, head: ResponseHead<'_>) {
        let deployment = head.headers.get(&DEPLOYMENT).and_then(|name| name.to_str().ok());
        let mut state = self.state.lock();
        state.progress.first_byte.get_or_insert(now);
        state.status = Some(head.status);
        state.deployment = deployment.map(Arc::from);
        state.spilled_from = head.spilled_from().map(Arc::from);
    }

    pub(crate) fn mark_content(&self, now: Instant, events: u64) {
        let mut state = self.state.lock();
        state.progress.first_content.get_or_insert(now);
        state.progress.content_events += events;
    }

    pub(crate) fn note_usage(&self, usage: Usage) {
        self.state.lock().usage = Some(usage);
    }

    pub(crate) fn note_model(&self, model: Arc<str>) {
        self.state.lock().model = Some(model);
    }

    pub(crate) fn note_service_tier(&self, tier: Arc<str>) {
        self.state.lock().service_tier = Some(tier);
    }

    /// Ends the attempt; the first verdict stands.
    pub(crate) fn end(&self, now: Instant, verdict: Verdict) {
        let mut state = self.state.lock();
        if state.progress.verdict.is_none() {
            state.progress.verdict = Some(verdict);
            state.progress.ended = Some(now);
        }
    }

    /// Ends a sent attempt whose caller went away; one that has ended keeps its verdict.
    pub(crate) fn cancel(&self, now: Instant) {
        if self.is_sent() {
            self.end(now, Outcome::Cancelled.into());
        }
    }
}

impl AttemptState {
    /// What [`Attempt::observed`] tells.
    #[must_use]
    pub fn observed(&self) -> Option<Progress> {
        self.is_observed.then_some(self.progress)
    }
}
