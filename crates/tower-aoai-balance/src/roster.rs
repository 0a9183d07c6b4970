//! Who the members are, which may change at any time.

use std::{collections::HashSet, error::Error as StdError, fmt, sync::Arc};

use parking_lot::RwLock;
use tower_aoai_core::Availability;

use crate::{Member, seat::Seat};

/// The members as they are now. Whoever has looked keeps what they saw.
pub(crate) struct Roster<L> {
    lineup: RwLock<Arc<Lineup<L>>>,
}

pub(crate) struct Lineup<L> {
    /// Another one has another number.
    pub(crate) generation: u64,
    pub(crate) places: Vec<Place<L>>,
}

pub(crate) struct Place<L> {
    pub(crate) seat: Arc<Seat>,
    pub(crate) layer: Arc<L>,
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

impl<L> Roster<L> {
    pub(crate) fn new(members: impl IntoIterator<Item = Member<L>>) -> Result<Self, InvalidMembers> {
        let mut lineup = Lineup { generation: 0, places: Vec::new() };
        for member in members {
            lineup.add(member)?;
        }
        if lineup.places.is_empty() {
            return Err(InvalidMembers::Empty);
        }
        Ok(Self { lineup: RwLock::new(Arc::new(lineup)) })
    }

    pub(crate) fn lineup(&self) -> Arc<Lineup<L>> {
        Arc::clone(&self.lineup.read())
    }

    /// Adds a member, and says in which slot.
    pub(crate) fn add(&self, member: Member<L>) -> Result<usize, InvalidMembers> {
        self.change(|lineup| lineup.add(member))
    }

    /// Takes a member off; `None` if there is none of that name.
    pub(crate) fn remove(&self, name: &str) -> Option<Arc<Seat>> {
        self.change(|lineup| {
            let index = lineup.places.iter().position(|place| *place.seat.name == *name).ok_or(())?;
            Ok::<_, ()>(lineup.places.remove(index).seat)
        })
        .ok()
    }

    pub(crate) fn len(&self) -> usize {
        self.lineup.read().places.len()
    }

    pub(crate) fn seat(&self, name: &str) -> Option<Arc<Seat>> {
        let lineup = self.lineup.read();
        let place = lineup.places.iter().find(|place| *place.seat.name == *name);
        place.map(|place| Arc::clone(&place.seat))
    }

    /// Changes a copy, which takes the place of the other one if the change succeeds.
    fn change<T, E>(&self, change: impl FnOnce(&mut Lineup<L>) -> Result<T, E>) -> Result<T, E> {
        let mut lineup = self.lineup.write();
        let places = lineup.places.clone();
        let mut changed = Lineup { generation: lineup.generation + 1, places };
        let result = change(&mut changed)?;
        *lineup = Arc::new(changed);
        Ok(result)
    }
}

impl<L> Lineup<L> {
    fn add(&mut self, member: Member<L>) -> Result<usize, InvalidMembers> {
        let Member { name, tier, weight, layer, gates } = member;
        if weight == 0 {
            return Err(InvalidMembers::NoWeight(name));
        }
        if self.places.iter().any(|place| place.seat.name == name) {
            return Err(InvalidMembers::SameName(name));
        }
        let theirs = self.places.iter().flat_map(|place| place.seat.gates());
        let mut states: HashSet<_> = theirs.map(identity).collect();
        if !gates.iter().all(|gate| states.insert(identity(gate))) {
            return Err(InvalidMembers::SharedState(name));
        }
        let is_free = |slot: &usize| self.places.iter().all(|place| place.seat.slot != *slot);
        let slot = (0..=self.places.len()).find(is_free).unwrap_or(self.places.len());
        let seat = Seat::new(name, tier, weight, gates, slot);
        self.places.push(Place { seat, layer: Arc::new(layer) });
        Ok(slot)
    }
}

fn identity(gate: &Arc<dyn Availability>) -> *const () {
    Arc::as_ptr(gate).cast()
}

impl<L> Clone for Place<L> {
    fn clone(&self) -> Self {
        Self { seat: Arc::clone(&self.seat), layer: Arc::clone(&self.layer) }
    }
}

impl<L> fmt::Debug for Roster<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lineup = self.lineup();
        f.debug_list().entries(lineup.places.iter().map(|place| &place.seat)).finish()
    }
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
