//! How long a call may wait for a leg before the next one serves it.

use std::time::Duration;

use tokio::time::Instant;

/// How long a call may wait in a leg, for a hint or for quota, while there is a next leg.
///
/// Whatever it says, a call with a deadline waits no longer than to the last moment at which the next leg would still
/// answer in time.
///
/// Put into a request's extensions it holds for that call alone, in every leg: [`Patience::Unlimited`] for batch work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Patience {
    /// As long as this, from when the call came to the leg. Waiting longer than that for a hint means going at once.
    AtMost(Duration),
    /// As long as it takes.
    Unlimited,
    /// As long as waiting is cheaper than what serving the call in the next leg costs: a second of waiting is worth so
    /// many nano-dollars. Unlimited where the next leg has no [price](crate::Leg::price).
    Worth {
        /// Nano-dollars; 0 is [`Patience::Unlimited`].
        nano_dollars_per_second: u64,
    },
}

impl Patience {
    /// What a provisioned leg has if nothing else is said: 2 s.
    pub const INTERACTIVE: Self = Self::AtMost(Duration::from_secs(2));

    fn wait(self, spill_cost: Option<u64>) -> Option<Duration> {
        match self {
            Self::AtMost(wait) => Some(wait),
            Self::Unlimited => None,
            Self::Worth { nano_dollars_per_second: worth } => {
                let micros = u128::from(spill_cost?) * 1_000_000;
                let micros = micros.checked_div(u128::from(worth))?;
                Some(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)))
            }
        }
    }
}

/// What the plan for a leg is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prospect {
    pub(crate) now: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) patience: Patience,
    /// What the next leg would cost, in nano-dollars.
    pub(crate) spill_cost: Option<u64>,
    /// How long an answer takes in this leg, and in the next, once it is sent.
    pub(crate) service_here: Duration,
    pub(crate) service_next: Duration,
    /// What is kept in reserve before the deadline.
    pub(crate) margin: Duration,
}

/// Until when a call may start in a leg, and what binds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) start_by: Option<Instant>,
    pub(crate) bound: Bound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    Patience,
    Price,
    Deadline,
}

/// "At once" for a layer that refuses *at* a start-by.
const AT_ONCE: Duration = Duration::from_millis(1);

impl Plan {
    /// For a leg without one behind it.
    pub(crate) const LAST: Self = Self { start_by: None, bound: Bound::Deadline };

    /// Without a deadline, for who waits as long as it takes.
    pub(crate) const UNLIMITED: Self = Self { start_by: None, bound: Bound::Patience };

    pub(crate) fn of(prospect: Prospect) -> Self {
        let Prospect { now, patience, .. } = prospect;
        let bound = if matches!(patience, Patience::Worth { .. }) { Bound::Price } else { Bound::Patience };
        let patient = patience.wait(prospect.spill_cost).and_then(|wait| now.checked_add(wait));
        let patient = patient.map(|at| (at, bound));
        let responsible = prospect.last_responsible_moment().map(|at| (at, Bound::Deadline));
        let first = match (patient, responsible) {
            (Some(patient), Some(responsible)) => Some(if responsible.0 < patient.0 { responsible } else { patient }),
            (patient, responsible) => patient.or(responsible),
        };
        match first {
            None => Self { start_by: None, bound },
            Some((at, bound)) => Self { start_by: Some(at.max(now + AT_ONCE)), bound },
        }
    }
}

impl Prospect {
    /// The latest start here that leaves both open: an answer from here in time, and one from the next leg if it does
    /// not come to a start.
    fn last_responsible_moment(&self) -> Option<Instant> {
        let deadline = self.deadline?;
        let before = |service: Duration| deadline.checked_sub(service.saturating_add(self.margin)).unwrap_or(self.now);
        let (here, next) = (before(self.service_here), before(self.service_next));
        // Where the next leg would be late in any case, what it takes is no reason to hurry.
        Some(if next < self.now { here } else { here.min(next) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn prospect(now: Instant) -> Prospect {
        Prospect {
            now,
            deadline: None,
            patience: Patience::Unlimited,
            spill_cost: None,
            service_here: 2 * SECOND,
            service_next: 3 * SECOND,
            margin: SECOND,
        }
    }

    #[test]
    fn without_a_deadline_patience_alone_binds() {
        let now = Instant::now();
        assert_eq!(Plan::of(prospect(now)).start_by, None);
        let plan = Plan::of(Prospect { patience: Patience::INTERACTIVE, ..prospect(now) });
        assert_eq!(plan, Plan { start_by: Some(now + 2 * SECOND), bound: Bound::Patience });
    }

    #[test]
    fn f4_the_last_responsible_moment_leaves_the_next_leg_its_time() {
        let now = Instant::now();
        let plan = Plan::of(Prospect { deadline: Some(now + 20 * SECOND), ..prospect(now) });
        assert_eq!(plan, Plan { start_by: Some(now + 16 * SECOND), bound: Bound::Deadline });
        let slow_here = Prospect { deadline: Some(now + 20 * SECOND), service_here: 9 * SECOND, ..prospect(now) };
        assert_eq!(Plan::of(slow_here).start_by, Some(now + 10 * SECOND), "a late start here would be a late answer");
    }

    #[test]
    fn where_the_next_leg_is_too_slow_in_any_case_this_one_keeps_its_time() {
        let now = Instant::now();
        let late = Prospect { deadline: Some(now + 6 * SECOND), service_next: 30 * SECOND, ..prospect(now) };
        assert_eq!(Plan::of(late).start_by, Some(now + 3 * SECOND));
    }

    #[test]
    fn patience_is_what_the_next_leg_costs_over_what_a_second_is_worth() {
        let now = Instant::now();
        let worth = Patience::Worth { nano_dollars_per_second: 1_000_000 };
        let plan = Plan::of(Prospect { patience: worth, spill_cost: Some(2_500_000), ..prospect(now) });
        assert_eq!(plan, Plan { start_by: Some(now + Duration::from_millis(2_500)), bound: Bound::Price });
        for (worth, cost) in [(worth, None), (Patience::Worth { nano_dollars_per_second: 0 }, Some(1))] {
            assert_eq!(Plan::of(Prospect { patience: worth, spill_cost: cost, ..prospect(now) }).start_by, None);
        }
    }

    proptest! {
        #[test]
        fn f4_a_start_by_is_never_later_than_patience_or_the_last_responsible_moment_nor_in_the_past(
            deadline in prop::option::of(0u64..200_000),
            wait in prop::option::of(0u64..200_000),
            here in 0u64..100_000,
            next in 0u64..100_000,
            margin in 0u64..5_000,
        ) {
            let now = Instant::now();
            let millis = Duration::from_millis;
            let patience = wait.map_or(Patience::Unlimited, |wait| Patience::AtMost(millis(wait)));
            let plan = Plan::of(Prospect {
                now,
                deadline: deadline.map(|deadline| now + millis(deadline)),
                patience,
                spill_cost: None,
                service_here: millis(here),
                service_next: millis(next),
                margin: millis(margin),
            });
            prop_assert_eq!(plan.start_by.is_none(), deadline.is_none() && wait.is_none());
            if let Some(start_by) = plan.start_by {
                prop_assert!(start_by > now);
                let latest = |at: Instant| start_by <= at.max(now + AT_ONCE);
                if let Some(wait) = wait {
                    prop_assert!(latest(now + millis(wait)));
                }
                if let Some(deadline) = deadline {
                    if let Some(slack) = deadline.checked_sub(here + margin) {
                        prop_assert!(latest(now + millis(slack)));
                    }
                    if let Some(slack) = deadline.checked_sub(next + margin) {
                        prop_assert!(latest(now + millis(slack)));
                    }
                }
            }
        }

        #[test]
        fn extreme_durations_do_not_overflow(wait in any::<u64>(), cost in any::<u64>(), worth in any::<u64>()) {
            let now = Instant::now();
            for patience in [
                Patience::AtMost(Duration::from_secs(wait)),
                Patience::Worth { nano_dollars_per_second: worth },
            ] {
                let forever = Duration::from_secs(wait);
                let plan = Plan::of(Prospect {
                    deadline: Some(now + SECOND),
                    patience,
                    spill_cost: Some(cost),
                    service_here: forever,
                    service_next: forever,
                    margin: forever,
                    ..prospect(now)
                });
                prop_assert!(plan.start_by.is_some_and(|at| at > now));
            }
        }
    }
}
