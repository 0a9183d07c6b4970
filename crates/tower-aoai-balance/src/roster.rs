//! Who the members are, which may change at any time.

use std::{collections::HashSet, error::Error as StdError, fmt, sync::Arc};

use parking_lot::{Mutex, RwLock};
use tower_aoai_core::Availability;

use crate::{Member, seat::Seat};

/// The members as they are now. Whoever has looked keeps what they saw.
#[derive(Debug)]
pub(crate) struct Roster {
    lineup: RwLock<Arc<Lineup>>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Lineup {
    /// Another one has another number.
    pub(crate) generation: u64,
    pub(crate) seats: Vec<Arc<Seat>>,
}

/// The layers of those members.
pub(crate) struct Layers<L> {
    of: Mutex<Vec<(Arc<Seat>, Arc<L>)>>,
}

/// Members that cannot be balanced.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidMembers {
    /// There is none.
    Empty,
    /// Two have this name.
    SameName(Arc<str>),
    /// The member shares the state of a gate with another one: each needs a layer value of its own.
    SharedState(Arc<str>),
    /// The member has a weight of 0.
    NoWeight(Arc<str>),
}

/// Seats the members.
pub(crate) fn seat<L>(members: impl IntoIterator<Item = Member<L>>) -> Result<(Roster, Layers<L>), InvalidMembers> {
    let roster = Roster { lineup: RwLock::default() };
    let layers = Layers { of: Mutex::default() };
    for member in members {
        layers.add(&roster, member)?;
    }
    if roster.len() == 0 {
        return Err(InvalidMembers::Empty);
    }
    Ok((roster, layers))
}

impl Roster {
    pub(crate) fn lineup(&self) -> Arc<Lineup> {
        Arc::clone(&self.lineup.read())
    }

    pub(crate) fn len(&self) -> usize {
        self.lineup.read().seats.len()
    }

    pub(crate) fn seat(&self, name: &str) -> Option<Arc<Seat>> {
        self.lineup.read().seats.iter().find(|seat| *seat.name == *name).cloned()
    }

    /// Changes a copy, which takes the place of the other one if the change succeeds.
    fn change<T, E>(&self, change: impl FnOnce(&mut Vec<Arc<Seat>>) -> Result<T, E>) -> Result<T, E> {
        let mut lineup = self.lineup.write();
        let mut changed = Lineup { generation: lineup.generation + 1, seats: lineup.seats.clone() };
        let result = change(&mut changed.seats)?;
        *lineup = Arc::new(changed);
        Ok(result)
    }
}

impl<L> Layers<L> {
    /// Adds a member, and says in which slot.
    pub(crate) fn add(&self, roster: &Roster, member: Member<L>) -> Result<usize, InvalidMembers> {
        let Member { name, tier, weight, layer, gates } = member;
        let mut layers = self.of.lock();
        let seat = roster.change(|seats| {
            let slot = free_slot(seats, &name, weight, &gates)?;
            // Its very own, by which a call's attempts are told from those at another balancer's member of the name.
            let name = Arc::from(&*name);
            let seat = Seat::new(name, tier, weight, gates, slot);
            seats.push(Arc::clone(&seat));
            // Before anybody sees the seat.
            layers.push((Arc::clone(&seat), Arc::new(layer)));
            Ok(seat)
        })?;
        Ok(seat.slot)
    }

    /// Takes a member off; `None` if there is none of that name.
    pub(crate) fn remove(&self, roster: &Roster, name: &str) -> Option<Arc<Seat>> {
        let mut layers = self.of.lock();
        let removed = roster.change(|seats| {
            let index = seats.iter().position(|seat| *seat.name == *name).ok_or(())?;
            Ok::<_, ()>(seats.remove(index))
        });
        let removed = removed.ok()?;
        layers.retain(|(seat, _)| !Arc::ptr_eq(seat, &removed));
        Some(removed)
    }

    /// The layers of a member, as long as it is there.
    pub(crate) fn of(&self, seat: &Seat) -> Option<Arc<L>> {
        let layers = self.of.lock();
        layers.iter().find(|(theirs, _)| std::ptr::eq(&**theirs, seat)).map(|(_, layer)| Arc::clone(layer))
    }
}

/// Where a member of this name, weight and with these gates may sit.
fn free_slot(
    seats: &[Arc<Seat>],
    name: &Arc<str>,
    weight: u32,
    gates: &[Arc<dyn Availability>],
) -> Result<usize, InvalidMembers> {
    if weight == 0 {
        return Err(InvalidMembers::NoWeight(Arc::clone(name)));
    }
    if seats.iter().any(|seat| seat.name == *name) {
        return Err(InvalidMembers::SameName(Arc::clone(name)));
    }
    let mut states: HashSet<_> = seats.iter().flat_map(|seat| seat.gates()).map(identity).collect();
    if !gates.iter().all(|gate| states.insert(identity(gate))) {
        return Err(InvalidMembers::SharedState(Arc::clone(name)));
    }
    let is_free = |slot: &usize| seats.iter().all(|seat| seat.slot != *slot);
    Ok((0..seats.len()).find(is_free).unwrap_or(seats.len()))
}

fn identity(gate: &Arc<dyn Availability>) -> *const () {
    Arc::as_ptr(gate).cast()
}

impl fmt::Display for InvalidMembers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a balancer needs at least one member"),
            Self::SameName(name) => write!(f, "two members are named {name:?}: give each a name of its own"),
            Self::SharedState(name) => write!(
                f,
                "member {name:?} has the state of a gate twice, or shares it with another member: make a new layer \
                 value for each"
            ),
            Self::NoWeight(name) => {
                write!(f, "member {name:?} has a weight of 0: give it at least 1, or drain it to send it nothing")
            }
        }
    }
}

impl StdError for InvalidMembers {}
