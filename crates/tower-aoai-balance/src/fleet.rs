//! The members' stacks over one client.

use std::{fmt, sync::Arc};

use parking_lot::RwLock;

use crate::{balancer::Balancer, roster::Lineup, seat::Seat};

/// Keeps the client wrapped for each member: a layer that makes a state for each service it makes keeps it as long as the
/// member is there.
pub(crate) struct Fleet<S> {
    pub(crate) balancer: Arc<Balancer>,
    wrap: Box<Wrap<S>>,
    stacks: RwLock<Stacks<S>>,
}

/// Wraps the client for a member, as long as that is there.
type Wrap<S> = dyn Fn(&Seat) -> Option<S> + Send + Sync;

struct Stacks<S> {
    generation: u64,
    /// By the members' slots.
    slots: Vec<Option<(Arc<Seat>, S)>>,
}

impl<S> Fleet<S> {
    /// Wraps the client for all who are there.
    pub(crate) fn new(balancer: Arc<Balancer>, wrap: Box<Wrap<S>>) -> Self {
        let lineup = balancer.roster.lineup();
        let fleet = Self { balancer, wrap, stacks: RwLock::new(Stacks { generation: 0, slots: Vec::new() }) };
        fleet.muster(&lineup);
        fleet
    }

    /// Whoever uses the member's stack next gets a new one: the old one said that it cannot be used any more.
    pub(crate) fn discard(&self, seat: &Arc<Seat>) {
        let mut stacks = self.stacks.write();
        let slot = stacks.slots.get_mut(seat.slot);
        if let Some(slot) = slot.filter(|slot| slot.as_ref().is_some_and(|(theirs, _)| Arc::ptr_eq(theirs, seat))) {
            *slot = None;
        }
    }

    /// A clone of the member's stack; `None` if it was removed meanwhile.
    pub(crate) fn stack(&self, lineup: &Lineup, seat: &Arc<Seat>) -> Option<S>
    where
        S: Clone,
    {
        self.kept(lineup.generation, seat).or_else(|| {
            let lineup = self.balancer.roster.lineup();
            self.muster(&lineup);
            self.kept(lineup.generation, seat)
        })
    }

    fn kept(&self, generation: u64, seat: &Arc<Seat>) -> Option<S>
    where
        S: Clone,
    {
        let stacks = self.stacks.read();
        let (theirs, stack) = stacks.slots.get(seat.slot)?.as_ref()?;
        (stacks.generation == generation && Arc::ptr_eq(theirs, seat)).then(|| stack.clone())
    }

    /// Wraps the client for those who are new; those who are no longer there are let go.
    fn muster(&self, lineup: &Lineup) {
        let mut stacks = self.stacks.write();
        let Stacks { generation, slots } = &mut *stacks;
        for slot in slots.iter_mut() {
            slot.take_if(|(theirs, _)| !lineup.seats.iter().any(|seat| Arc::ptr_eq(theirs, seat)));
        }
        for seat in &lineup.seats {
            if slots.len() <= seat.slot {
                slots.resize_with(seat.slot + 1, || None);
            }
            if slots[seat.slot].is_none() {
                slots[seat.slot] = (self.wrap)(seat).map(|stack| (Arc::clone(seat), stack));
            }
        }
        *generation = lineup.generation;
    }
}

impl<S> fmt::Debug for Fleet<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("balancer", &self.balancer).finish_non_exhaustive()
    }
}
