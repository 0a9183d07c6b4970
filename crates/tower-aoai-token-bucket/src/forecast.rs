//! What will be asked for, by what was.

use std::time::Duration;

use tokio::time::Instant;

use crate::Charge;

/// So many seconds are remembered, and the forecast rests on them.
const SECONDS: u64 = 30;

/// What a quota's use will be, if calls go on to come as they did in the last 30 s; see
/// [`TokenBucketHandle::forecast`](crate::TokenBucketHandle::forecast).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forecast {
    /// Tokens that will be in their window, or wanted there: what of the present ones will still count, what waits, and
    /// what will come. More than the limit says that calls will wait.
    pub tokens_wanted: u64,
    /// What the window holds; 0 without a limit.
    pub tokens_limit: u64,
    /// The same of requests, in their window.
    pub requests_wanted: u64,
    /// What their window holds; 0 without a limit.
    pub requests_limit: u64,
}

impl Forecast {
    /// The fuller of the two dimensions, as a share of its limit; `None` without a limit.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let share = |wanted: u64, limit: u64| (limit > 0).then(|| wanted as f64 / limit as f64);
        let shares = [share(self.tokens_wanted, self.tokens_limit), share(self.requests_wanted, self.requests_limit)];
        shares.into_iter().flatten().max_by(f64::total_cmp)
    }
}

/// What was asked for, by the second.
#[derive(Debug, Clone)]
pub(crate) struct Demand {
    start: Instant,
    slots: [Slot; SECONDS as usize],
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    second: u64,
    tokens: u64,
    requests: u64,
}

impl Demand {
    pub(crate) fn new(now: Instant) -> Self {
        Self { start: now, slots: [Slot::default(); SECONDS as usize] }
    }

    fn second(&self, now: Instant) -> u64 {
        // From 1, so that an empty slot is of no second.
        now.saturating_duration_since(self.start).as_secs() + 1
    }

    pub(crate) fn note(&mut self, now: Instant, charge: Charge) {
        let second = self.second(now);
        if let Some(slot) = self.slots.get_mut((second % SECONDS) as usize) {
            if slot.second != second {
                *slot = Slot { second, ..Slot::default() };
            }
            slot.tokens = slot.tokens.saturating_add(charge.tokens);
            slot.requests = slot.requests.saturating_add(charge.requests);
        }
    }

    /// What will be asked for in this time.
    pub(crate) fn within(&self, now: Instant, time: Duration) -> Charge {
        let second = self.second(now);
        let known = self.slots.iter().filter(|slot| slot.second > 0 && slot.second + SECONDS > second);
        let (tokens, requests) = known.fold((0u64, 0u64), |(tokens, requests), slot| {
            (tokens.saturating_add(slot.tokens), requests.saturating_add(slot.requests))
        });
        // The current second has only begun.
        let passed = now.saturating_duration_since(self.start).as_secs_f64();
        let remembered = passed.min(SECONDS as f64 - 1.0 + passed.fract()).max(1.0);
        let scaled = |amount: u64| (amount as f64 * time.as_secs_f64() / remembered).round() as u64;
        Charge { tokens: scaled(tokens), requests: scaled(requests) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_goes_on_and_what_is_long_ago_does_not() {
        let start = Instant::now();
        let mut demand = Demand::new(start);
        let at = |millis| start + Duration::from_millis(millis);
        for call in 0..400 {
            demand.note(at(call * 250), Charge::tokens(100));
        }
        let soon = demand.within(at(100_000), Duration::from_secs(10));
        assert!((3_800..=4_200).contains(&soon.tokens), "400 a second: {soon:?}");
        assert!((38..=42).contains(&soon.requests), "{soon:?}");
        assert_eq!(demand.within(at(131_000), Duration::from_secs(10)), Charge::NONE);
        demand.note(at(200_000), Charge::tokens(u64::MAX));
        demand.note(at(200_000), Charge::tokens(u64::MAX));
        assert!(demand.within(at(200_000), Duration::MAX).tokens > 0, "and saturates");
    }

    #[test]
    fn little_history_is_not_taken_for_little_demand() {
        let start = Instant::now();
        let mut demand = Demand::new(start);
        for call in 0..8 {
            demand.note(start + Duration::from_millis(call * 250), Charge::tokens(100));
        }
        let soon = demand.within(start + Duration::from_secs(2), Duration::from_secs(10));
        assert_eq!(soon.tokens, 4_000);
    }
}
