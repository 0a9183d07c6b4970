//! What a call comes to: counted once, when its answer ends or is dropped.

use std::{fmt, sync::Arc, time::Duration};

use tower_aoai_core::{Attempt, CallContext, Guard, Outcome};

use crate::{
    Patience,
    shared::{Answered, Shared, Spend},
};

/// Held while a call is under way: in the future, then in the body of the answer.
pub struct Tally {
    shared: Arc<Shared>,
    pub(crate) context: CallContext,
    pub(crate) own_patience: Option<Patience>,
    /// The leg the call is in, or waits for.
    pub(crate) leg: usize,
    pub(crate) is_in_leg: bool,
    /// The last attempt that was sent before it, and the last one in it, once that has an answer.
    pub(crate) before: Option<Arc<Attempt>>,
    attempt: Option<Arc<Attempt>>,
    /// How long the call had waited before.
    pub(crate) waited_before: Duration,
    pub(crate) is_spill: bool,
    spilled_by_azure: bool,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The future was dropped.
    Cancelled,
    Failed,
    Answered,
}

impl Tally {
    pub(crate) fn new(shared: Arc<Shared>, context: CallContext, own_patience: Option<Patience>) -> Self {
        Self {
            shared,
            context,
            own_patience,
            leg: 0,
            is_in_leg: false,
            before: None,
            attempt: None,
            waited_before: Duration::ZERO,
            is_spill: false,
            spilled_by_azure: false,
            end: End::Cancelled,
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The last attempt of the leg that the call is in, if it has made one.
    pub(crate) fn find_attempt(&mut self) -> Option<&Arc<Attempt>> {
        let is_new = |last: &Arc<Attempt>| self.before.as_ref().is_none_or(|before| !Arc::ptr_eq(before, last));
        self.attempt = self.context.last_attempt().filter(is_new);
        self.attempt.as_ref()
    }

    /// The leg has answered; Azure has spilled the call from that deployment.
    pub(crate) fn answered(&mut self, spilled_by_azure: Option<Arc<str>>) {
        self.end = End::Answered;
        if spilled_by_azure.is_some() {
            self.spilled_by_azure = true;
            self.context.note_served(|served| served.spilled_from = spilled_by_azure);
        }
    }

    pub(crate) const fn failed(&mut self) {
        self.end = End::Failed;
    }

    fn account(&self) -> Answered {
        let progress = self.attempt.as_ref().map(|attempt| attempt.progress()).unwrap_or_default();
        let usage = self.attempt.as_ref().and_then(|attempt| attempt.usage());
        let is_success = progress.verdict.is_some_and(|verdict| verdict.outcome == Outcome::Success);
        let service = progress.ended.zip(progress.sent).filter(|_| is_success);
        let price = self.shared.rules[self.leg].price.filter(|_| self.is_spill);
        let spend = price.map(|price| match usage {
            Some(usage) => Spend::Exact(price.of(&usage)),
            None => Spend::Estimated(self.shared.expected_spend(self.leg, price, self.context.call())),
        });
        Answered {
            service: service.map(|(ended, sent)| ended.saturating_duration_since(sent)),
            output: usage.map(|usage| usage.output),
            waited: self.context.waited().saturating_sub(self.waited_before),
            spend,
            is_spill: self.is_spill,
            spilled_by_azure: self.spilled_by_azure,
        }
    }
}

impl Guard for Tally {}

impl Drop for Tally {
    fn drop(&mut self) {
        match self.end {
            End::Cancelled => self.shared.cancelled(self.leg, self.is_in_leg),
            End::Failed => self.shared.failed(self.leg),
            End::Answered => self.shared.answered(self.leg, self.context.call(), self.account()),
        }
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally").field("leg", &self.leg).field("end", &self.end).finish_non_exhaustive()
    }
}
