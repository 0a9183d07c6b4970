//! The members' stacks over one client.

use std::{fmt, sync::Arc};

use parking_lot::RwLock;
use tower_layer::Layer;

use crate::{
    roster::{Lineup, Place},
    seat::Seat,
    shared::Shared,
};

/// Wraps the client once for each member: a layer that makes a state for each service it makes keeps it as long as the
/// member is there.
pub(crate) struct Fleet<C, L, S> {
    pub(crate) shared: Arc<Shared<L>>,
    client: C,
    stacks: RwLock<Stacks<S>>,
}

struct Stacks<S> {
    generation: Option<u64>,
    /// By the members' slots.
    slots: Vec<Option<(Arc<Seat>, S)>>,
}

impl<C, L, S> Fleet<C, L, S> {
    pub(crate) fn new(shared: Arc<Shared<L>>, client: C) -> Self {
        Self { shared, client, stacks: RwLock::new(Stacks { generation: None, slots: Vec::new() }) }
    }

    /// Whoever uses the member's stack next gets a new one: the old one said that it cannot be used any more.
    pub(crate) fn discard(&self, seat: &Arc<Seat>) {
        let mut stacks = self.stacks.write();
        let slot = stacks.slots.get_mut(seat.slot);
        if let Some(slot) = slot.filter(|slot| slot.as_ref().is_some_and(|(theirs, _)| Arc::ptr_eq(theirs, seat))) {
            *slot = None;
        }
    }
}

impl<C, L, S> Fleet<C, L, S>
where
    L: Layer<C, Service = S>,
    C: Clone,
{
    /// Wraps the client for every member; those that are no longer there are let go.
    pub(crate) fn muster(&self, lineup: &Lineup<L>) {
        let mut stacks = self.stacks.write();
        let Stacks { generation, slots } = &mut *stacks;
        let is_there = |seat: &Arc<Seat>| lineup.places.iter().any(|place| Arc::ptr_eq(&place.seat, seat));
        for slot in slots.iter_mut() {
            slot.take_if(|(seat, _)| !is_there(seat));
        }
        let most = lineup.places.iter().map(|place| place.seat.slot + 1).max().unwrap_or_default();
        slots.resize_with(most.max(slots.len()), || None);
        for place in &lineup.places {
            slots[place.seat.slot].get_or_insert_with(|| self.wrap(place));
        }
        *generation = Some(lineup.generation);
    }

    /// A clone of the member's stack.
    pub(crate) fn stack(&self, lineup: &Lineup<L>, place: &Place<L>) -> S
    where
        S: Clone,
    {
        {
            let stacks = self.stacks.read();
            if stacks.generation == Some(lineup.generation)
                && let Some(Some((_, stack))) = stacks.slots.get(place.seat.slot)
            {
                return stack.clone();
            }
        }
        self.muster(&self.shared.roster.lineup());
        let stacks = self.stacks.read();
        match stacks.slots.get(place.seat.slot) {
            Some(Some((seat, stack))) if Arc::ptr_eq(seat, &place.seat) => stack.clone(),
            // It was removed since it was chosen.
            _ => self.wrap(place).1,
        }
    }

    fn wrap(&self, place: &Place<L>) -> (Arc<Seat>, S) {
        (Arc::clone(&place.seat), place.layer.layer(self.client.clone()))
    }
}

impl<C, L, S> fmt::Debug for Fleet<C, L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("shared", &self.shared).finish_non_exhaustive()
    }
}
