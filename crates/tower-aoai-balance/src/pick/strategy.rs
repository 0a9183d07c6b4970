//! Which of a tier's members, all of which could serve the call in time.

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
    /// One of `among`, which is not empty.
    pub(super) fn choose(
        self,
        candidates: &[Candidate],
        among: &[usize],
        soonest: Instant,
        ask: &Ask,
        turns: &mut Turns,
    ) -> usize {
        if self == Self::ExpectedFinish {
            return expected_finish(candidates, among, ask);
        }
        let soonest = soonest.max(ask.now);
        let at_once = |index: &&usize| candidates[**index].start().is_some_and(|start| start <= soonest);
        let among = || among.iter().filter(at_once).copied();
        match self {
            Self::RoundRobin => turns.next(among().map(|index| (index, candidates[index].slot, 1))),
            Self::Weighted => {
                turns.next(among().map(|index| (index, candidates[index].slot, candidates[index].weight)))
            }
            Self::Shuffle => {
                let nth = (ask.draw * among().count() as f64) as usize;
                among().nth(nth)
            }
            Self::LeastInFlight | Self::ExpectedFinish => least_in_flight(candidates, among(), turns),
        }
        .or_else(|| among().next())
        .unwrap_or_default()
    }
}

/// Who has the fewest for its weight; of several the one whose turn it is.
fn least_in_flight(
    candidates: &[Candidate],
    among: impl Iterator<Item = usize> + Clone,
    turns: &mut Turns,
) -> Option<usize> {
    let load = |index: usize| {
        let candidate = &candidates[index];
        (candidate.risk > 0.0, candidate.load as f64 / f64::from(candidate.weight))
    };
    let least =
        among.clone().map(load).min_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    let ties = among.filter(|&index| least.is_some_and(|least| load(index) <= least));
    turns.next(ties.map(|index| (index, candidates[index].slot, candidates[index].weight)))
}

fn expected_finish(candidates: &[Candidate], among: &[usize], ask: &Ask) -> usize {
    let known = among.iter().filter_map(|&index| candidates[index].takes);
    let fastest = known.min_by(f64::total_cmp).unwrap_or_default();
    let finish = |index: usize| {
        let candidate = &candidates[index];
        let wait = candidate.start().map_or(0.0, |start| start.saturating_duration_since(ask.now).as_secs_f64());
        // Who may well be as fast as the fastest, and who is not known, is worth a try.
        let takes = candidate.takes.map_or(fastest, |takes| fastest.max(takes * (1.0 - candidate.doubt)));
        wait + takes.max(candidate.silent) + candidate.risk * FAILURE
    };
    let least = among.iter().map(|&index| finish(index)).min_by(f64::total_cmp).unwrap_or_default();
    let ties = || among.iter().copied().filter(|&index| finish(index) <= least * (1.0 + TIE));
    let total: f64 = ties().map(|index| f64::from(candidates[index].weight)).sum();
    let mut left = ask.draw * total;
    let drawn = ties().find(|&index| {
        left -= f64::from(candidates[index].weight);
        left < 0.0
    });
    drawn.or_else(|| ties().next_back()).or(among.first().copied()).unwrap_or_default()
}
