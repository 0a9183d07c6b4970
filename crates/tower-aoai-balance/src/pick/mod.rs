//! Which member a call goes to: pure decisions over what the members have answered and what was learned of them.

mod pace;
mod standing;
mod strategy;
#[cfg(test)]
mod tests;
mod turns;

use tokio::time::Instant;
use tower_aoai_core::Admission;

pub(crate) use self::{
    pace::{DecayingMean, Pace, Size},
    standing::{FAILURE_LASTS, ProbeId, Rotation, Standing, THROTTLE_LASTS},
    turns::Turns,
};
pub use self::{standing::OutOfRotation, strategy::Strategy};

/// A member as one call sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    /// What a [`Choice`] names it by.
    pub(crate) index: usize,
    /// Its place among the [`Turns`].
    pub(crate) slot: usize,
    pub(crate) tier: usize,
    pub(crate) weight: u32,
    pub(crate) admission: Admission,
    pub(crate) rotation: Rotation,
    pub(crate) past: Past,
    /// Calls there that have not ended.
    pub(crate) load: usize,
    /// How long it takes from the start to the end of this call, in seconds, if that is known.
    pub(crate) takes: Option<f64>,
    /// By what share of it the call may well take less: the less is known, and the longer ago it was learned, the more.
    pub(crate) doubt: f64,
    /// For how many seconds those who wait for an answer have had none.
    pub(crate) silent: f64,
    /// How likely the next call fails, from 0 to 1.
    pub(crate) risk: f64,
}

/// What the call has met at a member, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Past {
    /// It failed there last, and has tries left there.
    Stay,
    /// Nothing yet.
    Untried,
    /// It failed there, and elsewhere since.
    Failed,
    /// It failed there last.
    FailedLast,
    /// It will never succeed there.
    Never,
}

/// What is asked of a choice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) now: Instant,
    /// A start at this instant is too late.
    pub(crate) latest: Option<Instant>,
    pub(crate) deadline: Option<Instant>,
    /// Whether somebody above comes back at the instant that a refusal names.
    pub(crate) is_retried: bool,
    /// From 0 up to 1.
    pub(crate) draw: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The candidate of this index.
    Enter(usize),
    /// None can serve the call in time, or one soon will sooner.
    Refuse {
        /// Whether one could, but too late.
        is_late: bool,
        /// When the first could.
        until: Option<Instant>,
    },
}

impl Candidate {
    /// When the call could start there; `None` if it is shut.
    pub(crate) const fn start(&self) -> Option<Instant> {
        match self.admission {
            Admission::At(start) => Some(start),
            Admission::Shut(_) => None,
        }
    }

    /// When a call that is not asking now could start there.
    pub(crate) const fn opens(&self) -> Option<Instant> {
        match self.admission {
            Admission::At(at) | Admission::Shut(Some(at)) => Some(at),
            Admission::Shut(None) => None,
        }
    }

    fn starts_by(&self, at: Instant) -> bool {
        self.start().is_some_and(|start| start <= at)
    }

    fn starts_in_time(&self, ask: &Ask) -> bool {
        self.start().is_some_and(|start| ask.latest.is_none_or(|latest| start < latest))
    }

    fn meets_deadline(&self, ask: &Ask) -> bool {
        let (Some(start), Some(deadline)) = (self.start(), ask.deadline) else {
            return true;
        };
        let takes = self.takes.unwrap_or_default();
        deadline.saturating_duration_since(start).as_secs_f64() >= takes
    }
}

/// Chooses among `candidates`, of which it leaves those that the strategy chose from.
///
/// A misconfigured member counts only if all are, and one where the call will never succeed only if it will at none. Then
/// what the call has met decides, then whether it can start in time (and, as far as is known, end in time), then the tier,
/// then the strategy.
pub(crate) fn choose(candidates: &mut Vec<Candidate>, ask: &Ask, strategy: Strategy, turns: &mut Turns) -> Choice {
    retain_if_any(candidates, |candidate| candidate.rotation != Rotation::Out);
    retain_if_any(candidates, |candidate| candidate.past != Past::Never);
    let opens = |candidates: &[Candidate]| candidates.iter().filter_map(Candidate::opens).min();

    // The deadline by what was learned, which may be wrong: it decides where to, not whether.
    let rank = |candidate: &Candidate| (candidate.past, !candidate.meets_deadline(ask), candidate.tier);
    let able = candidates.iter().filter(|candidate| candidate.starts_in_time(ask));
    let Some(best) = able.clone().map(rank).min() else {
        let is_late = candidates.iter().any(|candidate| candidate.start().is_some());
        return Choice::Refuse { is_late, until: opens(candidates) };
    };
    let soonest = able.filter(|candidate| rank(candidate) == best).filter_map(Candidate::start).min();
    let soonest = soonest.unwrap_or(ask.now);
    if soonest > ask.now && ask.is_retried {
        let (past, _, tier) = best;
        let is_as_good =
            |candidate: &&Candidate| candidate.start().is_none() && candidate.past <= past && candidate.tier <= tier;
        let until = candidates.iter().filter(is_as_good).filter_map(Candidate::opens).min();
        if until.is_some_and(|until| until < soonest) {
            return Choice::Refuse { is_late: false, until };
        }
    }
    candidates.retain(|candidate| candidate.starts_in_time(ask) && rank(candidate) == best);
    let is_due = |candidate: &&Candidate| candidate.rotation == Rotation::Due && candidate.starts_by(ask.now);
    let probe = candidates.iter().find(is_due).map(|candidate| candidate.index);
    let chosen = probe.or_else(|| strategy.choose(candidates, soonest.max(ask.now), ask, turns));
    chosen.map_or(Choice::Refuse { is_late: false, until: None }, Choice::Enter)
}

/// Leaves those who are `preferred`, unless nobody is.
fn retain_if_any(candidates: &mut Vec<Candidate>, preferred: impl Fn(&Candidate) -> bool) {
    if candidates.iter().any(&preferred) {
        candidates.retain(preferred);
    }
}
