//! What the server's headers teach of its limits.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::window::MINUTE;

/// How much of the server's figure a limit rises in a second, and in how many seconds at most at once.
const RISE_PER_SECOND: f64 = 0.01;
const MOST_SECONDS: f64 = 10.0;

/// A limit that the server tells: obeyed at once where it is lower, approached slowly where it is higher.
///
/// Azure's documentation: a limit may be lowered for hours under load, and the headers say so.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LearnedLimit(Option<(u64, Instant)>);

impl LearnedLimit {
    /// The limit in force, if the server told one that is not the configured one.
    pub(crate) fn get(self) -> Option<u64> {
        self.0.map(|(limit, _)| limit)
    }

    /// The limit in force where so much is configured.
    pub(crate) fn of(self, configured: Option<u64>) -> Option<u64> {
        self.get().or(configured)
    }

    /// The server tells its limit; `server_decides` lifts it above the configured one, too. Whether that changed anything.
    pub(crate) fn hear(&mut self, now: Instant, told: u64, configured: Option<u64>, server_decides: bool) -> bool {
        let target = match configured {
            Some(configured) if !server_decides => told.min(configured),
            None if !server_decides => return false,
            _ => told,
        };
        let Some(before) = self.of(configured) else {
            self.0 = Some((target, now));
            return true;
        };
        let limit = if target <= before { target } else { self.risen(now, before, target) };
        if limit == before {
            return false;
        }
        self.0 = (configured != Some(limit)).then_some((limit, now));
        true
    }

    fn risen(self, now: Instant, before: u64, target: u64) -> u64 {
        let seconds = self.0.map_or(1.0, |(_, since)| now.saturating_duration_since(since).as_secs_f64());
        if seconds < 1.0 {
            return before;
        }
        let step = (target as f64 * RISE_PER_SECOND * seconds.min(MOST_SECONDS)) as u64;
        before.saturating_add(step.max(1)).min(target)
    }
}

/// How much was sent, and by when: bounded, so that what came too long ago is not known any more.
#[derive(Debug, Clone)]
pub(crate) struct Sends {
    start: Instant,
    tick: Duration,
    /// Sent by the end of a tick, for ticks in which something was.
    by: VecDeque<(u64, u64)>,
    total: u64,
}

const TICKS_KEPT: usize = 2_048;

impl Sends {
    /// Told apart to an eighth of the guard.
    pub(crate) fn new(guard: Duration, now: Instant) -> Self {
        let tick = (guard / 8).max(Duration::from_millis(1));
        Self { start: now, tick, by: VecDeque::new(), total: 0 }
    }

    fn tick(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.start).as_nanos() as u64;
        nanos / self.tick.as_nanos() as u64
    }

    /// So much was sent; all of it until now.
    pub(crate) fn note(&mut self, at: Instant, tokens: u64) -> u64 {
        self.total = self.total.wrapping_add(tokens);
        let tick = self.tick(at);
        match self.by.back_mut() {
            Some((last, total)) if *last >= tick => *total = self.total,
            _ => {
                if self.by.len() == TICKS_KEPT {
                    self.by.pop_front();
                }
                self.by.push_back((tick, self.total));
            }
        }
        self.total
    }

    /// What was sent behind `total`, until `at` and the end of its tick; `None` if that is not known any more.
    pub(crate) fn since(&self, total: u64, at: Instant) -> Option<u64> {
        let tick = self.tick(at);
        let behind = self.by.partition_point(|(then, _)| *then <= tick);
        let (_, by_then) = *self.by.get(behind.checked_sub(1)?)?;
        Some(by_then.wrapping_sub(total))
    }
}

/// Tokens that others were seen to use, by the second, for as long as they count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Others {
    seen: VecDeque<(Instant, u64)>,
    /// Ever.
    pub(crate) total: u64,
}

impl Others {
    pub(crate) fn book(&mut self, now: Instant, tokens: u64) {
        self.total = self.total.wrapping_add(tokens);
        self.forget(now);
        match self.seen.back_mut() {
            Some((at, sum)) if now.saturating_duration_since(*at) < Duration::from_secs(1) => {
                *sum = sum.saturating_add(tokens);
            }
            _ => self.seen.push_back((now, tokens)),
        }
    }

    fn forget(&mut self, now: Instant) {
        while self.seen.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= MINUTE) {
            self.seen.pop_front();
        }
    }

    /// In the last minute.
    pub(crate) fn used(&self, now: Instant) -> u64 {
        let young = self.seen.iter().filter(|(at, _)| now.saturating_duration_since(*at) < MINUTE);
        young.fold(0, |sum: u64, (_, tokens)| sum.saturating_add(*tokens))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lower_limit_is_obeyed_at_once_and_a_higher_one_slowly_and_never_above_the_configured() {
        let now = Instant::now();
        let mut limit = LearnedLimit::default();
        assert!(!limit.hear(now, 2_000, Some(1_000), false), "what is configured is less");
        assert!(limit.hear(now, 400, Some(1_000), false));
        assert_eq!(limit.of(Some(1_000)), Some(400));
        assert!(!limit.hear(now, 1_000, Some(1_000), false), "not at once");
        assert!(limit.hear(now + seconds(2), 1_000, Some(1_000), false));
        assert_eq!(limit.of(Some(1_000)), Some(420), "1 % of it a second");
        assert!(limit.hear(now + seconds(500), 1_000, Some(1_000), false));
        assert_eq!(limit.of(Some(1_000)), Some(520), "silence is no reason for a leap");
        for later in 501..=550 {
            limit.hear(now + seconds(later), 5_000, Some(1_000), false);
        }
        assert_eq!((limit.get(), limit.of(Some(1_000))), (None, Some(1_000)));
    }

    #[test]
    fn the_server_decides_where_it_may() {
        let now = Instant::now();
        let mut limit = LearnedLimit::default();
        assert!(!limit.hear(now, 400, None, false), "a dimension that nobody asked for");
        assert!(limit.hear(now, 400, None, true));
        assert_eq!(limit.of(None), Some(400));
        for later in 1..=200 {
            limit.hear(now + seconds(later), 2_000, Some(1_000), true);
        }
        assert_eq!(limit.of(Some(1_000)), Some(2_000));
    }

    proptest! {
        #[test]
        fn sends_are_what_was_sent_since(
            sends in prop::collection::vec((0u64..200, 1u64..1_000), 1..200), which in any::<prop::sample::Index>(),
            within in 0u64..500,
        ) {
            let start = Instant::now();
            let mut kept = Sends::new(Duration::from_millis(8), start);
            let mut at = start;
            let noted: Vec<_> = sends.iter().map(|(after, tokens)| {
                at += Duration::from_millis(*after);
                (at, *tokens, kept.note(at, *tokens))
            }).collect();
            let (from, _, total) = noted[which.index(noted.len())];
            let until = from + Duration::from_millis(within);
            let index = which.index(noted.len());
            let expected: u64 = noted[index + 1..].iter().filter(|(at, ..)| *at <= until).map(|(_, tokens, _)| tokens).sum();
            prop_assert_eq!(kept.since(total, until), Some(expected));
            prop_assert!(kept.by.len() <= TICKS_KEPT);
        }
    }

    #[test]
    fn others_are_forgotten_after_a_minute() {
        let now = Instant::now();
        let mut others = Others::default();
        for second in 0..200 {
            others.book(now + seconds(second), 10);
        }
        assert_eq!((others.used(now + seconds(199)), others.total), (600, 2_000));
        assert!(others.seen.len() <= 61);
        assert_eq!(others.used(now + seconds(260)), 0);
    }
}
