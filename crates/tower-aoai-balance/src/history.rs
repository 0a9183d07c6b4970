//! What a call has met so far, as its attempts tell.

use std::sync::Arc;

use tower_aoai_core::{Attempt, CallContext, Outcome};

use crate::{pick::Past, seat::Seat};

/// The attempts of a call that failed.
#[derive(Debug)]
pub(crate) struct History {
    attempts: Vec<(Option<Arc<str>>, Outcome)>,
    tries_per_member: usize,
}

impl History {
    pub(crate) fn of(context: &CallContext, tries_per_member: usize) -> Self {
        let judged = |attempt: &Arc<Attempt>| Some((attempt.endpoint(), attempt.verdict()?.outcome));
        Self { attempts: context.attempts().iter().filter_map(judged).collect(), tries_per_member }
    }

    /// The attempt that has just failed at a member, too, if nobody observes and its record is empty.
    pub(crate) fn after(mut self, context: &CallContext, seat: &Seat, outcome: Outcome) -> Self {
        if context.last_attempt().is_none_or(|attempt| attempt.verdict().is_none()) {
            self.attempts.push((Some(Arc::clone(&seat.name)), outcome));
        }
        self
    }

    pub(crate) fn past(&self, seat: &Seat) -> Past {
        let (mut failures, mut is_last, mut is_final) = (0, false, false);
        for (endpoint, outcome) in &self.attempts {
            // A name is not enough: another leg may have a member of the same name.
            is_last = endpoint.as_ref().is_some_and(|name| Arc::ptr_eq(name, &seat.name));
            // Cancelled it was by a time limit below, for the call goes on.
            if is_last && *outcome != Outcome::Success {
                failures += 1;
                is_final = is_final_there(*outcome);
            }
        }
        match failures {
            0 => Past::Untried,
            _ if is_final => Past::Never,
            some if is_last && some < self.tries_per_member => Past::Stay,
            _ if is_last => Past::FailedLast,
            _ => Past::Failed,
        }
    }
}

/// Whether the same call never succeeds at the same member.
const fn is_final_there(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::TooLarge | Outcome::Misconfigured | Outcome::ContextLength | Outcome::Refused)
}

/// Whether another member may do better.
pub(crate) const fn may_go_elsewhere(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Throttled { .. } | Outcome::Transient { .. } | Outcome::Misconfigured | Outcome::TooLarge
    )
}
