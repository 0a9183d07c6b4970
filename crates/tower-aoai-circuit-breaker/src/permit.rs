use std::{fmt, sync::Arc};

use tokio::time::Instant;
use tower_aoai_core::{
    Attempt, Call, CallContext, Error, Guard, Outcome,
    classify::{ResponseHead, judge_head},
};

use crate::{circuit::Circuit, finding::Finding, stamp::Stamp};

/// Held while a call that the breaker let through is under way; reports what came of it, once.
///
/// Dropped with the call's future or body at whatever point, it gives a probe's place back.
pub struct Permit {
    circuit: Arc<Circuit>,
    call: Arc<Call>,
    attempt: Arc<Attempt>,
    /// `None` once its result is in.
    stamp: Option<Stamp>,
    /// What the breaker judged itself, for want of an observer below, or of an answer.
    own: Option<Outcome>,
    /// An error came up: that the attempt was cancelled below is not the caller's doing.
    has_failed: bool,
    /// Only where late first bytes matter.
    begun: Option<Instant>,
}

impl Permit {
    pub(crate) fn new(circuit: &Arc<Circuit>, context: &mut CallContext, stamp: Stamp) -> Self {
        circuit.state.enter();
        Self {
            circuit: Arc::clone(circuit),
            call: context.shared_call(),
            attempt: context.attempt(),
            stamp: Some(stamp),
            own: None,
            has_failed: false,
            begun: circuit.state.slow().map(|_| Instant::now()),
        }
    }

    /// What is known of the attempt: by the observer below, else by what the breaker saw itself.
    fn outcome(&self, observed: Option<Outcome>) -> Option<Outcome> {
        match observed {
            // A layer in between gave up on the endpoint and dropped what was observed; the caller did not.
            Some(Outcome::Cancelled) if self.has_failed => self.own,
            None => self.own,
            observed => observed,
        }
    }

    fn finish(&mut self, outcome: Option<Outcome>, now: Instant, head: Instant) {
        if let Some(stamp) = self.stamp.take() {
            let finding = outcome.map_or(Finding::Neither, |outcome| Finding::of(outcome, head));
            self.circuit.finish(now, stamp, finding);
        }
    }
}

impl Guard for Permit {
    fn head(&mut self, head: ResponseHead<'_>) {
        self.own = Some(judge_head(&*self.circuit.classify, &self.call, head).outcome);
        let slow = self.circuit.state.slow();
        let is_good = head.status.is_success();
        if is_good && slow.is_none() && !self.stamp.is_some_and(Stamp::is_probe) {
            // Its end decides.
            return;
        }
        let observed = self.attempt.observed();
        let now = observed.and_then(|progress| progress.first_byte).unwrap_or_else(Instant::now);
        let known = match observed {
            Some(progress) => progress.verdict.map(|verdict| verdict.outcome),
            None => self.own.filter(|own| *own != Outcome::Success),
        };
        if known.is_some() {
            self.finish(known, now, now);
        } else if let Some(stamp) = self.stamp.filter(|_| is_good) {
            let begun = observed.and_then(|progress| progress.sent).or(self.begun);
            let is_slow = slow.zip(begun).is_some_and(|(slow, begun)| now.saturating_duration_since(begun) > slow);
            self.stamp = Some(self.circuit.first_byte(now, stamp, is_slow));
        }
    }

    fn failed(&mut self, error: &Error) {
        self.has_failed = true;
        // What a layer below refused says nothing of the endpoint.
        let is_answer = error.rejected().is_none();
        self.own = is_answer.then(|| self.circuit.classify.failure(error, self.attempt.has_content()).outcome);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.circuit.state.leave();
        if self.stamp.is_some() {
            let progress = self.attempt.observed().unwrap_or_default();
            let now = progress.ended.unwrap_or_else(Instant::now);
            let outcome = self.outcome(progress.verdict.map(|verdict| verdict.outcome));
            self.finish(outcome, now, progress.first_byte.unwrap_or(now));
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("stamp", &self.stamp).field("own", &self.own).finish_non_exhaustive()
    }
}
