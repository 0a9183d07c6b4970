//! What a call comes to: counted once, when its answer ends or is dropped.

use std::{fmt, sync::Arc, time::Duration};

use tower_aoai_core::{Attempt, Call, Guard, Outcome};

use crate::{
    asked::Asked,
    shared::{Answered, Shared, Spend},
};

/// Held while a call is under way: in the future, then in the body of the answer.
pub struct Tally {
    shared: Arc<Shared>,
    asked: Asked,
    /// The leg the call is in, or waits for.
    pub(crate) leg: usize,
    pub(crate) is_in_leg: bool,
    /// The last one in the leg, once that has an answer.
    attempt: Option<Arc<Attempt>>,
    /// How long the call had waited before it came to the leg, and in it.
    pub(crate) waited_before: Duration,
    waited: Duration,
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
    #[inline]
    pub(crate) fn new(shared: Arc<Shared>, call: &Call) -> Self {
        Self {
            shared,
            asked: Asked::by(call),
            leg: 0,
            is_in_leg: false,
            attempt: None,
            waited_before: Duration::ZERO,
            waited: Duration::ZERO,
            is_spill: false,
            spilled_by_azure: false,
            end: End::Cancelled,
        }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The leg has answered, with this attempt; the whole call has waited so long.
    pub(crate) fn answered(&mut self, attempt: Option<Arc<Attempt>>, waited: Duration, spilled_by_azure: bool) {
        self.end = End::Answered;
        self.attempt = attempt;
        self.waited = waited.saturating_sub(self.waited_before);
        self.spilled_by_azure = spilled_by_azure;
    }

    pub(crate) const fn failed(&mut self) {
        self.end = End::Failed;
    }

    fn account(&self) -> Answered {
        let usage = self.attempt.as_ref().and_then(|attempt| attempt.usage());
        let price = self.shared.rules[self.leg].price.filter(|_| self.is_spill);
        let spend = price.map(|price| match usage {
            Some(usage) => Spend::Exact(price.of(&usage)),
            None => Spend::Estimated(self.shared.expected_spend(self.leg, price, self.asked)),
        });
        Answered {
            service: self.attempt.as_ref().and_then(|attempt| service(attempt)),
            output: usage.map(|usage| usage.output),
            waited: self.waited,
            spend,
            is_spill: self.is_spill,
            spilled_by_azure: self.spilled_by_azure,
        }
    }
}

/// From the send to the last byte, of a success.
fn service(attempt: &Attempt) -> Option<Duration> {
    let progress = attempt.progress();
    progress.verdict.filter(|verdict| verdict.outcome == Outcome::Success)?;
    let (ended, sent) = progress.ended.zip(progress.sent)?;
    Some(ended.saturating_duration_since(sent))
}

impl Guard for Tally {}

impl Drop for Tally {
    fn drop(&mut self) {
        match self.end {
            End::Cancelled => self.shared.cancelled(self.leg, self.is_in_leg),
            End::Failed => self.shared.failed(self.leg),
            End::Answered => self.shared.answered(self.leg, self.asked, self.account()),
        }
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally").field("leg", &self.leg).field("end", &self.end).finish_non_exhaustive()
    }
}
