//! How many retries a service may add to its load.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A share of the successes of the last minute, and a floor: what may be spent on retries.
///
/// In any 60 seconds at most `floor + share * successes` retries are sent, exactly, also when many tasks ask at once:
/// a retry that waits for its time counts from its grant on, and for a minute from its send. When nothing succeeds any
/// more only the floor is left, so that retries cannot keep an outage alive. Clones share the budget.
///
/// tower's `TpsBudget` counts the same things, but rounds the share to a whole number of calls a retry and may be
/// overdrawn by as many threads as ask at once.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    share: f64,
    floor: u64,
    window: Arc<Mutex<Window>>,
}

/// A retry that the budget has granted: given back when dropped, unless it was [spent](Self::spend).
#[derive(Debug)]
#[must_use = "a grant that is dropped goes back to the budget"]
pub struct RetryGrant {
    window: Option<Arc<Mutex<Window>>>,
}

/// One slot more than the window has seconds, so that the slots always cover all of it.
const SLOTS: usize = 61;

#[derive(Debug)]
struct Window {
    anchor: Instant,
    latest: u64,
    /// Retries that were granted and not yet sent.
    outstanding: u64,
    slots: [Slot; SLOTS],
}

#[derive(Debug, Default, Clone, Copy)]
struct Slot {
    second: u64,
    successes: u64,
    retries: u64,
}

impl RetryBudget {
    /// A budget of `share` (0.2: one retry for five successes; not below 0) and `floor` retries a minute.
    #[must_use]
    pub fn new(share: f64, floor: u32) -> Self {
        let window = Window { anchor: Instant::now(), latest: 0, outstanding: 0, slots: [Slot::default(); SLOTS] };
        Self {
            share: if share.is_finite() { share.max(0.0) } else { 0.0 },
            floor: u64::from(floor),
            window: Arc::new(Mutex::new(window)),
        }
    }

    /// Says that a call succeeded: for the next minute it earns its share of a retry.
    pub fn deposit(&self, now: Instant) {
        self.window.lock().slot(now).successes += 1;
    }

    /// Takes one retry, if there is one left. The grant counts until it is dropped, which gives the retry back, or
    /// [spent](RetryGrant::spend), after which it counts for a minute.
    #[must_use = "a grant that is dropped goes back to the budget"]
    pub fn withdraw(&self, now: Instant) -> Option<RetryGrant> {
        let mut window = self.window.lock();
        window.slot(now);
        (window.taken() < self.allowance(window.successes())).then(|| {
            window.outstanding += 1;
            RetryGrant { window: Some(Arc::clone(&self.window)) }
        })
    }

    /// How many retries could be taken now, those that are granted and not yet spent taken off.
    #[must_use]
    pub fn balance(&self, now: Instant) -> u64 {
        let mut window = self.window.lock();
        window.slot(now);
        self.allowance(window.successes()).saturating_sub(window.taken())
    }

    fn allowance(&self, successes: u64) -> u64 {
        // 29 % of 100 is 28.999999999999996 in binary.
        self.floor.saturating_add((self.share * successes as f64 + 1e-9) as u64)
    }
}

impl Default for RetryBudget {
    /// A fifth of the successes, and 60 retries a minute.
    fn default() -> Self {
        Self::new(0.2, 60)
    }
}

impl RetryGrant {
    /// The retry is sent: it counts for the next minute.
    pub fn spend(mut self, now: Instant) {
        if let Some(window) = self.window.take() {
            let mut window = window.lock();
            window.outstanding -= 1;
            window.slot(now).retries += 1;
        }
    }
}

impl Drop for RetryGrant {
    fn drop(&mut self) {
        if let Some(window) = self.window.take() {
            window.lock().outstanding -= 1;
        }
    }
}

impl Window {
    /// The slot of `now`; a clock that went back stays in the latest one.
    fn slot(&mut self, now: Instant) -> &mut Slot {
        let second = now.saturating_duration_since(self.anchor).as_secs().max(self.latest);
        self.latest = second;
        let slot = &mut self.slots[index(second)];
        if slot.second != second {
            *slot = Slot { second, ..Slot::default() };
        }
        slot
    }

    fn live(&self) -> impl Iterator<Item = &Slot> {
        let oldest = self.latest.saturating_sub(SLOTS as u64 - 1);
        self.slots.iter().filter(move |slot| slot.second >= oldest)
    }

    fn successes(&self) -> u64 {
        self.live().map(|slot| slot.successes).sum()
    }

    fn taken(&self) -> u64 {
        self.outstanding + self.live().map(|slot| slot.retries).sum::<u64>()
    }
}

fn index(second: u64) -> usize {
    usize::try_from(second % SLOTS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use proptest::prelude::*;

    use super::*;

    fn after(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_dropped_grant_goes_back_and_a_spent_one_does_not() {
        let budget = RetryBudget::new(0.0, 1);
        let now = Instant::now();
        drop(budget.withdraw(now));
        let grant = budget.withdraw(now).expect("the first was given back");
        assert!(budget.withdraw(now).is_none());
        grant.spend(now);
        assert!(budget.withdraw(after(now, 59.0)).is_none());
        assert!(budget.withdraw(after(now, 62.0)).is_some());
    }

    #[test]
    fn a_clock_that_goes_back_or_far_ahead_neither_panics_nor_grants_twice() {
        let budget = RetryBudget::new(0.0, 2);
        let now = Instant::now();
        let early = budget.withdraw(after(now, 100.0)).expect("the first");
        budget.withdraw(now).expect("the second, by a clock that went back").spend(now);
        assert!(budget.withdraw(now).is_none());
        drop(early);
        assert_eq!(budget.balance(after(now, 100.0)), 1);
        let late = budget.withdraw(after(now, 100.0)).expect("given back");
        assert_eq!(budget.balance(after(now, 1e9)), 1, "a grant counts as long as it is held");
        drop(late);
        assert_eq!(budget.balance(after(now, 1e9)), 2);
    }

    #[test]
    fn shares_that_are_no_shares_are_none() {
        for share in [f64::NAN, f64::INFINITY, -1.0] {
            let budget = RetryBudget::new(share, 3);
            let now = Instant::now();
            budget.deposit(now);
            assert_eq!(budget.balance(now), 3, "{share}");
        }
    }

    #[test]
    fn shares_are_exact() {
        for (share, successes, retries) in
            [(0.3, 10, 3), (0.6, 10, 6), (0.9, 10, 9), (0.1, 9, 0), (0.29, 100, 29), (0.57, 100, 57)]
        {
            let budget = RetryBudget::new(share, 0);
            let now = Instant::now();
            for _ in 0..successes {
                budget.deposit(now);
            }
            assert_eq!(budget.balance(now), retries, "{share}");
        }
    }

    #[test]
    fn r9_the_budget_is_never_overdrawn_under_contention() {
        let budget = RetryBudget::new(0.5, 100);
        let now = Instant::now();
        for _ in 0..1000 {
            budget.deposit(now);
        }
        let granted: u64 = thread::scope(|scope| {
            let tasks: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        (0..500).filter(|_| budget.withdraw(now).map(|grant| grant.spend(now)).is_some()).count() as u64
                    })
                })
                .collect();
            tasks.into_iter().map(|task| task.join().expect("no panic")).sum()
        });
        assert_eq!(granted, 600);
    }

    proptest! {
        /// In any window of 60 s the retries sent stay within the floor and the share of what succeeded in the minute
        /// before the last of them was granted, however long each waits, and whatever happens in which order.
        #[test]
        fn r7_retries_of_any_minute_stay_within_the_budget(
            steps in prop::collection::vec((0.0f64..20.0, 0..3, 0.0f64..90.0), 1..300),
            share in 0.0f64..1.0,
            floor in 0u32..20,
        ) {
            let start = Instant::now();
            let budget = RetryBudget::new(share, floor);
            let (mut clock, mut successes) = (0.0, Vec::new());
            let mut waiting: Vec<(f64, f64, RetryGrant)> = Vec::new();
            let mut sends: Vec<(f64, f64)> = Vec::new();
            for (gap, what, wait) in steps {
                clock += gap;
                waiting.sort_by(|one, other| one.1.total_cmp(&other.1));
                let due = waiting.partition_point(|(_, send, _)| *send <= clock);
                for (granted, send, grant) in waiting.drain(..due) {
                    grant.spend(after(start, send));
                    sends.push((granted, send));
                }
                match what {
                    0 => {
                        budget.deposit(after(start, clock));
                        successes.push(clock);
                    }
                    1 => waiting.extend(
                        budget.withdraw(after(start, clock)).map(|grant| (clock, clock + wait, grant)),
                    ),
                    _ => drop(budget.withdraw(after(start, clock))),
                }
            }
            for (_, end) in &sends {
                let minute = sends.iter().filter(|(_, send)| *send > end - 60.0 && send <= end);
                let last = minute.clone().map(|(granted, _)| *granted).fold(0.0, f64::max);
                let earned = successes.iter().filter(|at| **at > last - 62.0 && **at <= last).count();
                prop_assert!(minute.count() as f64 <= f64::from(floor) + share * earned as f64 + 1e-9);
            }
        }
    }
}
