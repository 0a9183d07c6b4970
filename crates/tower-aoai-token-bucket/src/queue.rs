//! Who waits, and in which order.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    task::Waker,
    time::Duration,
};

use tokio::time::Instant;
use tower_aoai_core::Priority;

use crate::{Charge, window::later};

/// In which order calls wait for a quota.
///
/// Each order gives a call its place once, when it comes: nobody is overtaken for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// First come, first served.
    #[default]
    Fifo,
    /// By [`Priority`]; a call of class 2 stands where it would if it had come twice `ageing` later and had been of class
    /// 0, so that it is overtaken only by calls that come within that time.
    Priority {
        /// How much later a class counts than the one before it.
        ageing: Duration,
    },
    /// Those first that must start first: by deadline or start-by, whichever is earlier.
    EarliestDeadline {
        /// How long a call waits, at the most, behind others if it has neither.
        patience: Duration,
    },
}

/// What a call asks for at the queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) charge: Charge,
    pub(crate) latest: Option<Instant>,
    /// Whether `latest` is the deadline and not a start-by.
    pub(crate) is_deadline: bool,
    pub(crate) spill_cost: Option<u64>,
    pub(crate) priority: Priority,
}

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Nanoseconds since the queue's origin.
    rank: u64,
    number: u64,
}

/// Kept small: a hundred thousand may wait.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) charge: Charge,
    /// Nanoseconds since the queue's origin; `u64::MAX` if there is no such instant.
    latest: u64,
    since: u64,
    /// `u64::MAX`: it cannot be served elsewhere.
    spill_cost: u64,
    pub(crate) is_deadline: bool,
    pub(crate) waker: Option<Waker>,
}

#[derive(Debug)]
pub(crate) struct Queue {
    order: Order,
    origin: Instant,
    next: u64,
    waiting: BTreeMap<Place, Waiter>,
    latest: BTreeSet<(u64, Place)>,
}

impl Queue {
    pub(crate) fn new(order: Order, now: Instant) -> Self {
        Self { order, origin: now, next: 0, waiting: BTreeMap::new(), latest: BTreeSet::new() }
    }

    fn tick(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.origin).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX).min(u64::MAX - 1)
    }

    fn instant(&self, tick: u64) -> Instant {
        later(self.origin, Duration::from_nanos(tick))
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The place that a call gets which comes now.
    pub(crate) fn place(&self, now: Instant, ask: &Ask) -> Place {
        let rank = match self.order {
            Order::Fifo => 0,
            Order::Priority { ageing } => self.tick(later(now, ageing.saturating_mul(u32::from(ask.priority.0)))),
            Order::EarliestDeadline { patience } => {
                let patient = later(now, patience);
                self.tick(ask.latest.map_or(patient, |latest| latest.min(patient)))
            }
        };
        Place { rank, number: self.next }
    }

    pub(crate) fn push(&mut self, now: Instant, ask: &Ask) -> Place {
        let place = self.place(now, ask);
        self.next += 1;
        let latest = ask.latest.map_or(u64::MAX, |at| self.tick(at));
        if latest != u64::MAX {
            self.latest.insert((latest, place));
        }
        let waiter = Waiter {
            charge: ask.charge,
            latest,
            since: self.tick(now),
            spill_cost: ask.spill_cost.unwrap_or(u64::MAX),
            is_deadline: ask.is_deadline,
            waker: None,
        };
        self.waiting.insert(place, waiter);
        place
    }

    pub(crate) fn remove(&mut self, place: Place) -> Option<Waiter> {
        let waiter = self.waiting.remove(&place)?;
        self.latest.remove(&(waiter.latest, place));
        Some(waiter)
    }

    pub(crate) fn get_mut(&mut self, place: Place) -> Option<&mut Waiter> {
        self.waiting.get_mut(&place)
    }

    pub(crate) fn head(&self) -> Option<(Place, &Waiter)> {
        self.waiting.first_key_value().map(|(place, waiter)| (*place, waiter))
    }

    /// Those behind the head.
    pub(crate) fn others(&self) -> impl Iterator<Item = (Place, &Waiter)> {
        self.waiting.iter().skip(1).map(|(place, waiter)| (*place, waiter))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (Place, &Waiter)> {
        self.waiting.iter().map(|(place, waiter)| (*place, waiter))
    }

    /// Those who stand before a place.
    pub(crate) fn before(&self, place: Place) -> impl Iterator<Item = (Place, &Waiter)> {
        let range = (Bound::Unbounded, Bound::Excluded(place));
        self.waiting.range(range).map(|(place, waiter)| (*place, waiter))
    }

    /// Whose latest start comes first.
    pub(crate) fn first_latest(&self) -> Option<(Instant, Place)> {
        self.latest.first().map(|(tick, place)| (self.instant(*tick), *place))
    }

    pub(crate) fn latest(&self, waiter: &Waiter) -> Option<Instant> {
        (waiter.latest != u64::MAX).then(|| self.instant(waiter.latest))
    }

    pub(crate) fn waited(&self, waiter: &Waiter, now: Instant) -> Duration {
        Duration::from_nanos(self.tick(now).saturating_sub(waiter.since))
    }
}

impl Waiter {
    /// What serving it elsewhere would cost; `None` if that is not possible.
    pub(crate) fn spill_cost(&self) -> Option<u64> {
        (self.spill_cost != u64::MAX).then_some(self.spill_cost)
    }
}

impl Place {
    pub(crate) fn number(self) -> u64 {
        self.number
    }
}
