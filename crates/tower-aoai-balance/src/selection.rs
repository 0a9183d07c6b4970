//! The choices that one call makes: among the members as they are, with what it has met so far.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tower_aoai_core::{CallContext, Outcome, Reason, Rejected};

use crate::{
    balancer::Balancer,
    history::{History, may_go_elsewhere},
    pick::{Candidate, Choice, Past, Rotation},
    roster::Lineup,
    seat::Seat,
    spurned::Spurned,
};

pub(crate) const NAME: &str = "balancer";

/// How long a member where the call has failed before is not taken for an alternative.
const PAUSE: Duration = Duration::from_secs(1);

/// The member to send the call to, as an index into the lineup; or a refusal.
pub(crate) fn select(
    balancer: &Balancer,
    lineup: &Lineup,
    spurned: &Spurned,
    context: &CallContext,
    now: Instant,
) -> Result<usize, Rejected> {
    let history = History::of(context, balancer.settings.tries);
    let view = balancer.view(context, now);
    let mut candidates = Vec::with_capacity(lineup.seats.len());
    for (index, seat) in lineup.seats.iter().enumerate() {
        let asked = spurned.admission(seat);
        candidates.extend(seat.candidate(index, context, view, history.past(seat), asked));
    }
    let all_said_no = spurned.len() == candidates.len();
    match balancer.choose(&mut candidates, context, now) {
        Choice::Enter(index) => Ok(index),
        Choice::Refuse { is_late, until } => {
            let reason = if is_late { late(context) } else { Reason::NoEndpoint };
            let theirs = spurned.refusal().filter(|_| all_said_no).cloned();
            let theirs = theirs.or_else(|| never(lineup, context).filter(|_| until.is_none() && !is_late));
            let rejected = theirs.unwrap_or_else(|| Rejected::new(reason, NAME));
            Err(match until {
                Some(until) => rejected.until(until),
                None => rejected,
            })
        }
    }
}

/// What all members would say to the call, if they agree that they never let it in, and why.
fn never(lineup: &Lineup, context: &CallContext) -> Option<Rejected> {
    let mut refusals = lineup.seats.iter().map(|seat| seat.refusal(context));
    let first = refusals.next()??;
    refusals.all(|other| other.is_some_and(|other| other.reason() == first.reason())).then_some(first)
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
    let history = History::of(context, balancer.settings.tries).after(context, seat, outcome);
    let view = balancer.view(context, now);
    let seen = |(index, seat): (usize, &Arc<Seat>)| seat.candidate(index, context, view, history.past(seat), None);
    let candidates: Vec<_> = lineup.seats.iter().enumerate().filter_map(seen).collect();
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
