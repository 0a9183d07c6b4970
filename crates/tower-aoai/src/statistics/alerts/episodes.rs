//! When something begins and when it is over: a pure state machine.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    time::Duration,
};

use tokio::time::Instant;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Bad enough to be told of.
    Bad,
    /// Neither: what is going on goes on, and nothing begins.
    Between,
    /// Well.
    Good,
}

impl Level {
    /// Of a figure that is bad from `enter` on, and well again below `leave`.
    pub(crate) fn of(figure: f64, enter: f64, leave: f64) -> Self {
        if figure >= enter {
            Self::Bad
        } else if figure < leave {
            Self::Good
        } else {
            Self::Between
        }
    }

    pub(crate) const fn bad_if(is_bad: bool) -> Self {
        if is_bad { Self::Bad } else { Self::Good }
    }
}

/// What is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// An episode begins; its number.
    Begins(u64),
    /// It is over.
    Ends(u64),
}

/// Episodes under way; more than this are not kept.
pub(crate) const OPEN_AT_MOST: usize = 4_096;

/// The episodes under way. One begins with the first [`Level::Bad`], and is over when it has been [`Level::Good`] for a
/// while without a break.
#[derive(Debug)]
pub(crate) struct Episodes<K> {
    open: HashMap<K, Episode>,
    begun: u64,
    /// Beginnings that found no room.
    untold: u64,
}

#[derive(Debug, Clone, Copy)]
struct Episode {
    number: u64,
    good_since: Option<Instant>,
}

impl<K: Eq + Hash> Episodes<K> {
    pub(crate) fn new() -> Self {
        Self { open: HashMap::new(), begun: 0, untold: 0 }
    }

    /// Notes how something is at `now`; what is well is over once it has been so for `calm`.
    pub(crate) fn note(&mut self, now: Instant, key: K, level: Level, calm: Duration) -> Option<Turn> {
        let has_room = self.open.len() < OPEN_AT_MOST;
        match (self.open.entry(key), level) {
            (Entry::Vacant(place), Level::Bad) => {
                if !has_room {
                    self.untold += 1;
                    return None;
                }
                self.begun += 1;
                place.insert(Episode { number: self.begun, good_since: None });
                Some(Turn::Begins(self.begun))
            }
            (Entry::Occupied(mut open), Level::Good) => {
                let episode = open.get_mut();
                let since = *episode.good_since.get_or_insert(now);
                (now.saturating_duration_since(since) >= calm).then(|| Turn::Ends(open.remove().number))
            }
            (Entry::Occupied(mut open), Level::Bad | Level::Between) => {
                open.get_mut().good_since = None;
                None
            }
            (Entry::Vacant(_), Level::Between | Level::Good) => None,
        }
    }

    pub(crate) fn is_open(&self, key: &K) -> bool {
        self.open.contains_key(key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.open.keys()
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) const fn untold(&self) -> u64 {
        self.untold
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CALM: Duration = Duration::from_secs(60);

    #[test]
    fn a_figure_that_swings_around_its_threshold_is_one_episode() {
        let start = Instant::now();
        let mut episodes = Episodes::new();
        let turns: Vec<_> = [0.19, 0.21, 0.19, 0.22, 0.16, 0.2, 0.1, 0.1, 0.1, 0.25]
            .into_iter()
            .enumerate()
            .filter_map(|(minute, share)| {
                let now = start + CALM * minute as u32;
                let turn = episodes.note(now, "truncation", Level::of(share, 0.2, 0.15), CALM * 2)?;
                Some((minute, turn))
            })
            .collect();
        assert_eq!(turns, [(1, Turn::Begins(1)), (8, Turn::Ends(1)), (9, Turn::Begins(2))]);
    }

    #[test]
    fn a_figure_that_is_no_number_neither_begins_nor_ends_anything() {
        assert_eq!(Level::of(f64::NAN, 0.2, 0.1), Level::Between);
    }

    #[test]
    fn more_than_there_is_room_for_are_counted() {
        let now = Instant::now();
        let mut episodes = Episodes::new();
        let begun = (0..OPEN_AT_MOST + 3).filter_map(|key| episodes.note(now, key, Level::Bad, CALM)).count();
        assert_eq!((begun, episodes.untold()), (OPEN_AT_MOST, 3));
    }

    fn level() -> impl Strategy<Value = Level> {
        prop_oneof![Just(Level::Bad), Just(Level::Between), Just(Level::Good)]
    }

    proptest! {
        #[test]
        fn each_episode_is_told_of_once_and_ended_once(
            steps in prop::collection::vec((0u8..3, 0u64..90, level()), 0..200),
        ) {
            let mut now = Instant::now();
            let mut episodes = Episodes::new();
            let mut told: Vec<(u8, Turn)> = Vec::new();
            // The same, in other words: bad at some time, and not yet well for so long since.
            let mut history: [Vec<(Instant, Level)>; 3] = Default::default();
            for (key, seconds, level) in steps {
                now += Duration::from_secs(seconds);
                let was_open = episodes.is_open(&key);
                let turn = episodes.note(now, key, level, CALM);
                history[usize::from(key)].push((now, level));
                let of_key = &history[usize::from(key)];
                let well_since = of_key.iter().rev().take_while(|(_, level)| *level == Level::Good).last();
                let is_over = well_since.is_some_and(|(since, _)| now - *since >= CALM);
                let expected = match (was_open, level) {
                    (false, Level::Bad) => Some(true),
                    (true, Level::Good) if is_over => Some(false),
                    _ => None,
                };
                prop_assert_eq!(turn.map(|turn| matches!(turn, Turn::Begins(_))), expected);
                prop_assert_eq!(episodes.is_open(&key), level == Level::Bad || (was_open && !is_over));
                told.extend(turn.map(|turn| (key, turn)));
            }
            // Beginning and end by turns, with one number, and no number twice.
            let mut numbers = std::collections::HashSet::new();
            for key in 0..3 {
                let of_key: Vec<_> = told.iter().filter(|(of, _)| *of == key).map(|(_, turn)| *turn).collect();
                for pair in of_key.chunks(2) {
                    let Turn::Begins(number) = pair[0] else { panic!("it ends before it begins") };
                    prop_assert!(numbers.insert(number));
                    if let Some(end) = pair.get(1) {
                        prop_assert_eq!(*end, Turn::Ends(number));
                    }
                }
            }
        }
    }
}
