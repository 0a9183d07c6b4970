//! What the way of one call through its legs decides, apart from its requests and futures.

use std::{mem, sync::Arc};

use http::Response;
use tokio::time::Instant;
use tower_aoai_core::{
    Attempt, CallContext, Error, FailedLeg, LegFailure, Outcome, Progress, Reason, Rejected, Served,
    classify::{ResponseHead, judge_head},
};

use crate::{
    Failure, Patience, SpillCause,
    chain::Chain,
    patience::{Bound, Plan},
    tally::Tally,
};

/// One call: what it comes to, where it is, and until when it may start there.
#[derive(Debug)]
pub(crate) struct Course {
    /// Taken when the call has an answer.
    tally: Option<Tally>,
    /// As it came from above, but for the clock.
    context: CallContext,
    chain: Chain,
    plan: Plan,
    own_patience: Option<Patience>,
    /// The earliest instant from which on a leg that refused would let the call through.
    opens_at: Option<Instant>,
    /// Whether the leg under way was not ready at once: what the clock said last is not true any more.
    is_clock_stale: bool,
    /// The last attempt that was sent before the leg.
    before: Option<Arc<Attempt>>,
    /// What was said of who serves the call before it came into the leg.
    above: Option<Box<Served>>,
    /// What was said with the last answer of a server that did not serve the call.
    last_answer: Option<Box<Served>>,
}

/// What becomes of a leg's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is what the caller gets.
    Stands,
    /// The call goes to the next leg.
    Leg,
    /// No leg serves the call.
    Nobody,
}

impl Course {
    #[inline]
    pub(crate) const fn new(tally: Tally, context: CallContext, own_patience: Option<Patience>) -> Self {
        Self {
            tally: Some(tally),
            context,
            chain: Chain::first(),
            plan: Plan::LAST,
            own_patience,
            opens_at: None,
            is_clock_stale: false,
            before: None,
            above: None,
            last_answer: None,
        }
    }

    pub(crate) const fn leg(&self) -> usize {
        self.chain.leg()
    }

    /// Whether there are legs behind the one that the call is in.
    pub(crate) fn has_more(&self) -> bool {
        self.tally.as_ref().is_some_and(|tally| self.leg() + 1 < tally.shared().rules().len())
    }

    /// Until when the call may start in the leg; `None` if it may wait for as long as it takes.
    pub(crate) const fn start_by(&self) -> Option<Instant> {
        self.plan.start_by
    }

    pub(crate) const fn waits_for_readiness(&mut self) {
        self.is_clock_stale = true;
    }

    /// The leg is entered; the clock, read anew if the leg was not ready at once.
    pub(crate) fn start(&mut self) -> Option<Instant> {
        if let Some(tally) = &mut self.tally {
            tally.is_in_leg = true;
        }
        mem::take(&mut self.is_clock_stale).then(Instant::now)
    }

    /// For the next leg's request.
    pub(crate) fn context(&self) -> CallContext {
        self.context.clone()
    }

    /// Chooses the leg to enter, from the one the chain has come to on, and writes into the request's context what that
    /// leg has to know.
    pub(crate) fn enter(&mut self, below: &mut CallContext) {
        let (Some(tally), context) = (&mut self.tally, &mut self.context) else {
            return;
        };
        loop {
            let shared = tally.shared();
            let (rules, leg) = (shared.rules(), self.chain.leg());
            let late = Failure::local(&rules[leg].name, LegFailure::Rejected(Reason::StartBy));
            let Some(next) = self.chain.next(rules, &late) else {
                self.plan = Plan::LAST;
                below.set_spill_cost(context.spill_cost());
                break;
            };
            let outlook = shared.outlook(leg, next.leg(), context, self.own_patience);
            self.plan = outlook.plan;
            below.set_spill_cost(outlook.spill_cost);
            let Some(until) = outlook.full_until else {
                break;
            };
            let cause = LegFailure::KnownFull { until };
            let Some(next) = self.chain.next(rules, &Failure::local(&rules[leg].name, cause)) else {
                break;
            };
            self.opens_at = earliest(self.opens_at, Some(until));
            leave(tally, context, leg, next.leg(), cause, outlook.plan.bound);
            self.chain = next;
        }
        tally.leg = self.chain.leg();
        let name = Arc::clone(&tally.shared().rules[tally.leg].name);
        let (before, above) = context.enter_leg(name);
        self.above = above;
        // One that a layer above began, and nobody has sent, is the leg's to send.
        self.before = before.filter(|attempt| attempt.is_sent());
        below.set_retries_owned(false);
        below.set_start_by(earliest(self.plan.start_by, context.start_by()));
    }

    /// What becomes of a leg's result. `can_resend` says whether the request is there for another one.
    pub(crate) fn after<ResB>(&mut self, result: &Result<Response<ResB>, Error>, can_resend: bool) -> Next {
        let (Some(tally), context) = (&mut self.tally, &mut self.context) else {
            return Next::Stands;
        };
        let (last, waited) = context.last_attempt_and_wait();
        let is_of_leg = |last: &Arc<Attempt>| self.before.as_ref().is_none_or(|before| !Arc::ptr_eq(before, last));
        let attempt = last.filter(is_of_leg);
        let progress = attempt.as_ref().map(|attempt| attempt.progress()).unwrap_or_default();
        let error = result.as_ref().err();
        let head = result.as_ref().ok().map(head);
        let Some(cause) = judge(tally, context, head, error, &progress) else {
            let is_provisioned = tally.shared().rules[tally.leg].is_provisioned;
            let spilled_by_azure = head.as_ref().filter(|_| is_provisioned).and_then(ResponseHead::spilled_from);
            let spilled_by_azure = spilled_by_azure.map(Arc::from);
            tally.answered(attempt, waited, spilled_by_azure.is_some());
            if spilled_by_azure.is_some() {
                context.note_served(|served| served.spilled_from = spilled_by_azure);
            }
            return Next::Stands;
        };
        let now = Instant::now();
        context.set_now(now);
        let shared = Arc::clone(tally.shared());
        let leg = self.chain.leg();
        if let LegFailure::Outcome(Outcome::Throttled { hint: Some(hint), .. }) = cause
            && let Some(until) = now.checked_add(hint.after)
        {
            shared.note_full(leg, until);
        }
        let rules = shared.rules();
        self.opens_at = earliest(self.opens_at, error.and_then(Error::rejected).and_then(Rejected::opens_at));
        let failure = Failure { leg: &rules[leg].name, cause, head, error };
        let next = if progress.first_content.is_some() { None } else { self.chain.next(rules, &failure) };
        match next {
            Some(next) if can_resend => {
                context.note_served(|served| {
                    if head.is_some() {
                        self.last_answer = Some(Box::new(served.clone()));
                    }
                    restore(served, self.above.take().map_or_else(Served::default, |above| *above));
                });
                leave(tally, context, leg, next.leg(), cause, self.plan.bound);
                self.chain = next;
                Next::Leg
            }
            Some(_) => {
                shared.warn_unreplayable();
                self.fail(leg, cause, head.is_some())
            }
            // What this leg says would be said anywhere: it is the answer.
            None if head.is_some() && !crate::condition::may_be_served_elsewhere(cause) => {
                tally.answered(attempt, waited, false);
                Next::Stands
            }
            None => self.fail(leg, cause, head.is_some()),
        }
    }

    fn fail(&mut self, leg: usize, cause: LegFailure, is_answer: bool) -> Next {
        if let (Some(tally), context) = (&mut self.tally, &self.context) {
            note(tally, context, leg, cause);
            tally.failed();
            if let Some(said) = self.last_answer.take().filter(|_| !is_answer) {
                context.note_served(|served| restore(served, *said));
            }
            let served = context.served();
            let tried: Vec<_> = served.failed_legs.iter().map(ToString::to_string).collect();
            tracing::info!(legs = tried.join(", "), "no leg could serve the call");
        }
        Next::Nobody
    }

    /// The error of a call that no leg could serve: with the earliest instant that any of them named.
    pub(crate) fn error(&self, error: Error) -> Error {
        match (error, self.opens_at) {
            (Error::Rejected(rejected), Some(at)) => rejected.until(at).into(),
            (error, _) => error,
        }
    }

    /// What goes with the answer's body.
    pub(crate) const fn take_tally(&mut self) -> Option<Tally> {
        self.tally.take()
    }
}

/// Who serves the call is who was said to then.
fn restore(served: &mut Served, said: Served) {
    (served.leg, served.endpoint) = (said.leg, said.endpoint);
    (served.tier, served.model) = (said.tier, said.model);
}

fn head<ResB>(response: &Response<ResB>) -> ResponseHead<'_> {
    ResponseHead { status: response.status(), headers: response.headers() }
}

/// Why the leg did not serve the call; `None` if it did.
fn judge(
    tally: &Tally,
    context: &CallContext,
    head: Option<ResponseHead<'_>>,
    error: Option<&Error>,
    progress: &Progress,
) -> Option<LegFailure> {
    let classify = &*tally.shared().settings.classify;
    let observed = progress.verdict.map(|verdict| verdict.outcome).filter(|outcome| *outcome != Outcome::Cancelled);
    let outcome = match (error, head) {
        (Some(Error::Rejected(rejected)), _) => return Some(LegFailure::Rejected(rejected.reason())),
        // Where the server answered well, a layer of the leg has made the error.
        (Some(error), _) => observed
            .filter(|outcome| *outcome != Outcome::Success)
            .unwrap_or_else(|| classify.failure(error, progress.first_content.is_some()).outcome),
        (None, head) => match (observed, head) {
            (Some(outcome), _) => outcome,
            // An observed answer without a verdict is a stream that is well so far.
            (None, _) if progress.first_byte.is_some() => Outcome::Success,
            (None, Some(head)) => judge_head(classify, context.call(), head).outcome,
            (None, None) => Outcome::Success,
        },
    };
    (outcome != Outcome::Success).then_some(LegFailure::Outcome(outcome))
}

/// The call leaves a leg for another.
fn leave(tally: &mut Tally, context: &CallContext, leg: usize, next: usize, cause: LegFailure, bound: Bound) {
    let shared = Arc::clone(tally.shared());
    let why = spill_cause(cause, bound);
    let was_asked = !matches!(cause, LegFailure::KnownFull { .. });
    shared.left(leg, why, was_asked);
    tally.is_in_leg = false;
    note(tally, context, leg, cause);
    let rule = &shared.rules[leg];
    if rule.is_provisioned {
        tally.is_spill = true;
        context.note_served(|served| served.spilled_from = Some(Arc::clone(&rule.name)));
    }
    tally.waited_before = context.waited();
    tracing::info!(
        leg = &*rule.name,
        to = &*shared.rules[next].name,
        cause = why.name(),
        failure = cause.name(),
        waited_ms = u64::try_from(tally.waited_before.as_millis()).unwrap_or(u64::MAX),
        "the call goes to the next leg"
    );
}

fn note(tally: &Tally, context: &CallContext, leg: usize, cause: LegFailure) {
    let leg = Arc::clone(&tally.shared().rules[leg].name);
    context.note_served(|served| served.failed_legs.push(FailedLeg { leg, cause }));
}

fn spill_cause(cause: LegFailure, bound: Bound) -> SpillCause {
    let wait = |patience| match bound {
        Bound::Patience => patience,
        Bound::Price => SpillCause::Price,
        Bound::Deadline => SpillCause::Deadline,
    };
    match cause {
        LegFailure::KnownFull { .. } | LegFailure::Outcome(Outcome::Throttled { .. }) => wait(SpillCause::Hint),
        LegFailure::Rejected(Reason::QueueFull) => SpillCause::Queue,
        LegFailure::Rejected(Reason::StartBy | Reason::QuotaSpent) => wait(SpillCause::Queue),
        LegFailure::Outcome(Outcome::Transient { .. } | Outcome::Misconfigured)
        | LegFailure::Rejected(Reason::CircuitOpen | Reason::NoEndpoint) => SpillCause::Outage,
        LegFailure::Outcome(Outcome::ContextLength | Outcome::TooLarge)
        | LegFailure::Rejected(Reason::ContextLength | Reason::TooLarge) => SpillCause::Size,
        _ => SpillCause::Other,
    }
}

fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
