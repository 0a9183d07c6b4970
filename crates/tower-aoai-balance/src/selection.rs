//! The choices that one call makes: among the members as they are, with what it has met so far.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tower_aoai_core::{Admission, CallContext, Outcome, Reason, Rejected};

use crate::{
    balancer::Balancer,
    memory::{Memory, may_go_elsewhere},
    pick::{Candidate, Choice, Past, Rotation},
    roster::Lineup,
    seat::Seat,
};

pub(crate) const NAME: &str = "balancer";

/// How long a member where the call has failed before is not taken for an alternative.
const PAUSE: Duration = Duration::from_secs(1);

/// The members that this send of a call is not asking again.
#[derive(Debug, Default)]
pub(crate) struct Spurned {
    seats: Vec<(Arc<Seat>, Said)>,
}

/// What a chosen member's stack said.
#[derive(Debug)]
pub(crate) enum Said {
    /// A layer of it refused, with nothing sent.
    No(Rejected),
    /// It is not ready yet.
    Later,
    /// It will not be ready any more.
    Never,
}

impl Spurned {
    pub(crate) fn add(&mut self, seat: &Arc<Seat>, said: Said) {
        self.seats.push((Arc::clone(seat), said));
    }

    /// What it said counts no more.
    pub(crate) fn withdraw(&mut self, seat: &Arc<Seat>) {
        self.seats.retain(|(theirs, _)| !Arc::ptr_eq(theirs, seat));
    }

    /// Who was only not ready may be asked again.
    pub(crate) fn forgive(&mut self) {
        self.seats.retain(|(_, said)| !matches!(said, Said::Later));
    }

    /// Who refused until an instant that has come may be asked again.
    pub(crate) fn reopen(&mut self, now: Instant) {
        let has_come = |no: &Rejected| no.opens_at().is_some_and(|at| at <= now);
        self.seats.retain(|(_, said)| !matches!(said, Said::No(no) if has_come(no)));
    }

    pub(crate) fn len(&self) -> usize {
        self.seats.len()
    }

    fn admission(&self, seat: &Arc<Seat>) -> Option<Admission> {
        let (_, said) = self.seats.iter().find(|(theirs, _)| Arc::ptr_eq(theirs, seat))?;
        Some(Admission::Shut(match said {
            Said::No(rejected) => rejected.opens_at(),
            Said::Later | Said::Never => None,
        }))
    }

    /// What all of them said, if they agree on the reason.
    fn refusal(&self) -> Option<&Rejected> {
        let mut refusals = self.seats.iter().map(|(_, said)| match said {
            Said::No(rejected) => Some(rejected),
            Said::Later | Said::Never => None,
        });
        let first = refusals.next()??;
        refusals.all(|other| other.is_some_and(|other| other.reason() == first.reason())).then_some(first)
    }
}

/// The member to send the call to, as an index into the lineup; or a refusal.
pub(crate) fn select(
    balancer: &Balancer,
    lineup: &Lineup,
    spurned: &Spurned,
    context: &CallContext,
    now: Instant,
) -> Result<usize, Rejected> {
    let memory = Memory::of(context, balancer.settings.tries);
    let view = balancer.view(context, now);
    let mut indices = Vec::with_capacity(lineup.seats.len());
    let mut candidates = Vec::with_capacity(lineup.seats.len());
    for (index, seat) in lineup.seats.iter().enumerate() {
        let past = memory.past(seat);
        let Some(mut candidate) = seat.candidate(context, view, past) else {
            continue;
        };
        if let Some(admission) = spurned.admission(seat) {
            candidate.admission = admission;
        }
        indices.push(index);
        candidates.push(candidate);
    }
    match balancer.choose(&candidates, context, now) {
        Choice::Enter(chosen) => Ok(indices[chosen]),
        Choice::Refuse { is_late, until } => {
            let all_said_no = spurned.len() == candidates.len();
            let reason = if is_late { late(context) } else { Reason::NoEndpoint };
            let theirs = spurned.refusal().filter(|_| all_said_no).cloned();
            let rejected = theirs.unwrap_or_else(|| Rejected::new(reason, NAME));
            Err(match until {
                Some(until) => rejected.until(until),
                None => rejected,
            })
        }
    }
}

/// Why a call is not started whose time is up.
pub(crate) fn late(context: &CallContext) -> Reason {
    let is_deadline = context.deadline().is_some() && context.latest_start() == context.deadline();
    if is_deadline { Reason::Deadline } else { Reason::StartBy }
}

/// From when on a call that has just failed at `seat` may be tried again, if that is known better here than to the retry
/// layer above: at once if another member could take it, else when the first could.
pub(crate) fn retry_at(
    balancer: &Balancer,
    lineup: &Lineup,
    seat: &Seat,
    context: &CallContext,
    now: Instant,
    outcome: Outcome,
) -> Option<Instant> {
    if !may_go_elsewhere(outcome) {
        return None;
    }
    let memory = Memory::of(context, balancer.settings.tries).after(context, seat, outcome);
    let view = balancer.view(context, now);
    let candidates = lineup.seats.iter().filter_map(|seat| seat.candidate(context, view, memory.past(seat)));
    let candidates: Vec<_> = candidates.collect();
    if candidates.iter().any(|candidate| candidate.past == Past::Stay) {
        return None;
    }
    let others =
        || candidates.iter().filter(|candidate| candidate.slot != seat.slot && candidate.rotation != Rotation::Out);
    let untried = others().filter(|candidate| candidate.past == Past::Untried).filter_map(Candidate::opens).min();
    match outcome {
        Outcome::Misconfigured | Outcome::TooLarge => untried,
        _ if untried.is_some_and(|at| at <= now) => untried,
        _ => {
            // The retry layer waits for the hint by itself.
            let hinted = now.checked_add(outcome.hint().map(|hint| hint.after).filter(|after| !after.is_zero())?)?;
            let may_be_well_again = |at: Instant| if at > now { at } else { now + PAUSE };
            let tried = others().filter(|candidate| candidate.past != Past::Never).filter_map(Candidate::opens);
            tried.map(may_be_well_again).min().filter(|at| *at < hinted)
        }
    }
}
