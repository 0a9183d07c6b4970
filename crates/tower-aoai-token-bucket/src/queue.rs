//! Who waits, and in which order.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Range},
    ops::Bound,
    task::Waker,
    time::Duration,
};

use tokio::time::Instant;
use tower_aoai_core::later;

use self::lanes::{Lanes, weight};
use crate::{Ask, Charge};

mod lanes;

/// In which order calls wait for a quota.
///
/// Each order gives a call its place once, when it comes: nobody is overtaken for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// First come, first served.
    #[default]
    Fifo,
    /// By [`Priority`](crate::Priority); a call of class 2 stands where it would if it had come twice `ageing` later and had been of class
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
    /// Equal shares, in tokens, for each [tenant](tower_aoai_core::CallContext::set_tenant) who waits; first come, first
    /// served among the calls of one.
    ///
    /// While two tenants wait, what they are served differs by no more than twice the largest charge. Calls without a
    /// tenant are one tenant's; so are those of tenants beyond the bound.
    Fair {
        /// For how many tenants at once there is an account.
        tenants: usize,
    },
}

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Nanoseconds since the queue's origin; where tenants have equal shares, the lane.
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
    lanes: Option<Lanes>,
}

impl Queue {
    pub(crate) fn new(order: Order, now: Instant) -> Self {
        let lanes = match order {
            Order::Fair { tenants } => Some(Lanes::new(tenants)),
            _ => None,
        };
        Self { order, origin: now, next: 0, waiting: BTreeMap::new(), latest: BTreeSet::new(), lanes }
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
    fn place(&self, now: Instant, ask: &Ask) -> Place {
        let rank = match self.order {
            Order::Fifo | Order::Fair { .. } => 0,
            Order::Priority { ageing } => self.tick(later(now, ageing.saturating_mul(u32::from(ask.priority.0)))),
            Order::EarliestDeadline { patience } => {
                let patient = later(now, patience);
                self.tick(ask.latest.map_or(patient, |latest| latest.min(patient)))
            }
        };
        Place { rank, number: self.next }
    }

    pub(crate) fn push(&mut self, now: Instant, ask: &Ask) -> Place {
        let mut place = self.place(now, ask);
        if let Some(lanes) = &mut self.lanes {
            place.rank = lanes.enter(ask.tenant);
        }
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
        if let Some(lanes) = &mut self.lanes {
            lanes.leave(place.rank);
        }
        Some(waiter)
    }

    /// Removes one who is served.
    pub(crate) fn serve(&mut self, place: Place) -> Option<Waiter> {
        let waiter = self.remove(place)?;
        if let Some(lanes) = &mut self.lanes {
            lanes.serve(place.rank, waiter.charge.tokens);
        }
        Some(waiter)
    }

    pub(crate) fn get_mut(&mut self, place: Place) -> Option<&mut Waiter> {
        self.waiting.get_mut(&place)
    }

    pub(crate) fn head(&self) -> Option<(Place, &Waiter)> {
        let first = match &self.lanes {
            None => self.waiting.first_key_value(),
            Some(lanes) => self.lane(lanes.first()?).next(),
        };
        first.map(|(place, waiter)| (*place, waiter))
    }

    fn lane(&self, lane: u64) -> Range<'_, Place, Waiter> {
        self.waiting.range(Place { rank: lane, number: 0 }..=Place { rank: lane, number: u64::MAX })
    }

    /// Whether one behind the head may be served before it, as far as shares are concerned.
    pub(crate) fn may_pass(&self, place: Place, charge: Charge, head: Charge) -> bool {
        self.lanes.as_ref().is_none_or(|lanes| lanes.may_pass(place.rank, charge.tokens, head.tokens))
    }

    /// All, in the order in which they are served.
    pub(crate) fn in_order(&self) -> InOrder<'_> {
        match &self.lanes {
            None => InOrder::Places(self.waiting.range(..)),
            Some(lanes) => InOrder::Turns(Turns::new(self, lanes, None)),
        }
    }

    /// Those who are served before one who comes now, in that order.
    pub(crate) fn ahead_of(&self, now: Instant, ask: &Ask) -> InOrder<'_> {
        match &self.lanes {
            None => InOrder::Places(self.waiting.range((Bound::Unbounded, Bound::Excluded(self.place(now, ask))))),
            Some(lanes) => InOrder::Turns(Turns::new(self, lanes, Some(lanes.entry(ask.tenant)))),
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (Place, &Waiter)> {
        self.waiting.iter().map(|(place, waiter)| (*place, waiter))
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

/// Waiters, in the order in which they are served.
#[derive(Debug)]
pub(crate) enum InOrder<'q> {
    Places(Range<'q, Place, Waiter>),
    Turns(Turns<'q>),
}

impl<'q> Iterator for InOrder<'q> {
    type Item = (Place, &'q Waiter);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Places(places) => places.next().map(|(place, waiter)| (*place, waiter)),
            Self::Turns(turns) => turns.next(),
        }
    }
}

/// What will come of the lanes' counters if nobody comes or goes.
#[derive(Debug)]
pub(crate) struct Turns<'q> {
    turns: BTreeSet<(u64, u64)>,
    lanes: BTreeMap<u64, Range<'q, Place, Waiter>>,
    /// The lane of one who is to come: its turn behind the others of its lane ends it.
    newcomer: Option<u64>,
}

impl<'q> Turns<'q> {
    fn new(queue: &'q Queue, lanes: &Lanes, newcomer: Option<(u64, u64)>) -> Self {
        let mut turns = lanes.turns();
        let iterated = turns.iter().map(|(_, lane)| (*lane, queue.lane(*lane))).collect::<BTreeMap<_, _>>();
        turns.extend(newcomer.filter(|(_, lane)| !iterated.contains_key(lane)));
        Self { turns, lanes: iterated, newcomer: newcomer.map(|(_, lane)| lane) }
    }
}

impl<'q> Iterator for Turns<'q> {
    type Item = (Place, &'q Waiter);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (counter, lane) = self.turns.pop_first()?;
            match self.lanes.get_mut(&lane).and_then(Iterator::next) {
                Some((place, waiter)) => {
                    self.turns.insert((counter.saturating_add(weight(waiter.charge.tokens)), lane));
                    return Some((*place, waiter));
                }
                None if self.newcomer == Some(lane) => {
                    self.turns.clear();
                    return None;
                }
                None => {}
            }
        }
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
