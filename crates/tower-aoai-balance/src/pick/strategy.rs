//! Which of a tier's members, all of which could serve the call in time.

use std::cmp::Ordering;

use tokio::time::Instant;

use super::{Ask, Candidate, Turns};

/// How a member is chosen inside a tier.
///
/// Whatever the strategy: of members that would let the call start at once and members that would let it wait, the former
/// are chosen from, and of those that would all let it wait the soonest; [`ExpectedFinish`](Self::ExpectedFinish) weighs
/// the wait instead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// Where the call is expected to end first: the wait, plus the learned times to the first token and per token, plus up
    /// to 5 s where calls have just failed. Among those who differ by 5 % at most, or by less than can be told of so few
    /// answers, it is drawn by weight.
    #[default]
    ExpectedFinish,
    /// Each in turn, exactly evenly, whatever the weights; with any number of threads.
    RoundRobin,
    /// At random, evenly.
    Shuffle,
    /// Each in turn as often as its weight says, evenly spread in between.
    Weighted,
    /// Where the fewest calls for its weight are under way; a member where calls have just failed comes after the others.
    LeastInFlight,
}

/// What differs by less is a tie.
const TIE: f64 = 0.05;

/// What an attempt that fails costs, in seconds.
const FAILURE: f64 = 5.0;

impl Strategy {
    /// The index of one of `among`; `None` if there is none. The first of them starts at `soonest`, or before it.
    pub(super) fn choose(
        self,
        among: &mut Vec<Candidate>,
        soonest: Instant,
        ask: &Ask,
        turns: &mut Turns,
    ) -> Option<usize> {
        if self == Self::ExpectedFinish {
            return expected_finish(among, ask);
        }
        among.retain(|candidate| candidate.starts_by(soonest));
        match self {
            Self::RoundRobin => turns.next(among.iter().map(|candidate| (candidate.index, candidate.slot, 1))),
            Self::Weighted => turns.next(among.iter().map(by_weight)),
            Self::Shuffle => {
                let nth = (ask.draw * among.len() as f64) as usize;
                among.get(nth).or(among.last()).map(|candidate| candidate.index)
            }
            Self::LeastInFlight | Self::ExpectedFinish => least_in_flight(among, turns),
        }
    }
}

const fn by_weight(candidate: &Candidate) -> (usize, usize, u32) {
    (candidate.index, candidate.slot, candidate.weight)
}

/// Who has the fewest for its weight; of several the one whose turn it is.
fn least_in_flight(among: &[Candidate], turns: &mut Turns) -> Option<usize> {
    let load = |candidate: &Candidate| (candidate.risk > 0.0, candidate.load as f64 / f64::from(candidate.weight));
    let order = |one: &(bool, f64), other: &(bool, f64)| one.partial_cmp(other).unwrap_or(Ordering::Equal);
    let least = among.iter().map(load).min_by(order)?;
    turns.next(among.iter().filter(|candidate| load(candidate) <= least).map(by_weight))
}

fn expected_finish(among: &mut Vec<Candidate>, ask: &Ask) -> Option<usize> {
    let known = among.iter().filter_map(|candidate| candidate.takes);
    let fastest = known.min_by(f64::total_cmp).unwrap_or_default();
    let finish = |candidate: &Candidate| {
        let wait =
            candidate.start().filter(|start| *start > ask.now).map_or(0.0, |start| (start - ask.now).as_secs_f64());
        // Who may well be as fast as the fastest, and who is not known, is worth a try.
        let takes = candidate.takes.map_or(fastest, |takes| fastest.max(takes * (1.0 - candidate.doubt)));
        wait + takes.max(candidate.silent) + candidate.risk * FAILURE
    };
    let least = among.iter().map(finish).min_by(f64::total_cmp)?;
    among.retain(|candidate| finish(candidate) <= least * (1.0 + TIE));
    let total: f64 = among.iter().map(|candidate| f64::from(candidate.weight)).sum();
    let mut left = ask.draw * total;
    let drawn = among.iter().find(|candidate| {
        left -= f64::from(candidate.weight);
        left < 0.0
    });
    drawn.or(among.last()).map(|candidate| candidate.index)
}
