//! The members' stacks over one client.

use std::{fmt, sync::Arc};

use parking_lot::{RwLock, RwLockWriteGuard};

use crate::{balancer::Balancer, roster::Lineup, seat::Seat};

/// Keeps the client wrapped for each member: a layer that makes a state for each service it makes keeps it as long as the
/// member is there.
pub(crate) struct Stacks<S> {
    pub(crate) balancer: Arc<Balancer>,
    wrap: Box<Wrap<S>>,
    kept: RwLock<Kept<S>>,
}

/// Wraps the client for a member, as long as that is there.
type Wrap<S> = dyn Fn(&Seat) -> Option<S> + Send + Sync;

struct Kept<S> {
    generation: u64,
    /// By the members' slots.
    slots: Vec<Option<(Arc<Seat>, S)>>,
}

impl<S> Stacks<S> {
    /// Wraps the client for all who are there.
    pub(crate) fn new(balancer: Arc<Balancer>, wrap: Box<Wrap<S>>) -> Self {
        let stacks = Self { balancer, wrap, kept: RwLock::new(Kept { generation: 0, slots: Vec::new() }) };
        drop(stacks.renew());
        stacks
    }

    /// Whoever uses the member's stack next gets a new one: the old one said that it cannot be used any more.
    pub(crate) fn discard(&self, seat: &Arc<Seat>) {
        let mut kept = self.kept.write();
        let slot = kept.slots.get_mut(seat.slot);
        if let Some(slot) = slot.filter(|slot| slot.as_ref().is_some_and(|(theirs, _)| Arc::ptr_eq(theirs, seat))) {
            *slot = None;
        }
    }

    /// A clone of the member's stack; `None` if it was removed meanwhile.
    pub(crate) fn stack(&self, lineup: &Lineup, seat: &Arc<Seat>) -> Option<S>
    where
        S: Clone,
    {
        let kept = self.kept.read();
        let is_current = kept.generation >= lineup.generation;
        let stack = kept.stack(seat).filter(|_| is_current);
        drop(kept);
        stack.or_else(|| self.renew().stack(seat))
    }

    /// Wraps the client for those who are new; those who are no longer there are let go.
    fn renew(&self) -> RwLockWriteGuard<'_, Kept<S>> {
        let mut kept = self.kept.write();
        // Looked at under the lock: whoever waited for it must not let go those who came meanwhile.
        let lineup = self.balancer.roster.lineup();
        let Kept { generation, slots } = &mut *kept;
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
        kept
    }
}

impl<S: Clone> Kept<S> {
    fn stack(&self, seat: &Arc<Seat>) -> Option<S> {
        let (theirs, stack) = self.slots.get(seat.slot)?.as_ref()?;
        Arc::ptr_eq(theirs, seat).then(|| stack.clone())
    }
}

impl<S> fmt::Debug for Stacks<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stacks").field("balancer", &self.balancer).finish_non_exhaustive()
    }
}
