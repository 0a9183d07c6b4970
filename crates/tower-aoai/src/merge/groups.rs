//! Requests that wait to be sent together.

use std::{
    collections::HashMap,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use http::request::Parts;
use tokio::sync::oneshot;

use super::{
    asked::{Inputs, Kind, Rest},
    split::Share,
};
use crate::answer::Head;

/// What requests must have in common to be sent together: everything but their inputs.
#[derive(PartialEq, Eq)]
pub(super) struct Key {
    pub(super) head: Head,
    pub(super) kind: Kind,
    pub(super) rest: Rest,
    /// What the user sets requests apart by.
    pub(super) apart: Option<String>,
    /// Money is booked by them.
    #[cfg(feature = "cost")]
    pub(super) tags: tower_aoai_cost::Tags,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.head, self.kind, &self.rest, &self.apart).hash(state);
    }
}

/// The most that is sent together, and that waits in all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) inputs: usize,
    pub(super) tokens: u64,
    pub(super) waiting: usize,
}

/// One caller's request.
pub(super) struct Piece {
    pub(super) seat: u64,
    pub(super) inputs: Inputs,
    pub(super) parts: Parts,
}

/// Requests that are or were open to others.
pub(super) struct Group<F> {
    pub(super) key: Arc<Key>,
    pub(super) pieces: Vec<Piece>,
    weight: u64,
    count: usize,
    /// Ends the wait for more.
    full: Option<oneshot::Sender<()>>,
    /// What sends them.
    pub(super) drive: F,
}

/// All requests that wait, by what they have in common. `F` is what sends a group.
pub(super) struct Groups<F> {
    bounds: Bounds,
    open: HashMap<Arc<Key>, u64>,
    groups: HashMap<u64, Group<F>>,
    waiting: usize,
    next: u64,
}

/// Where a request waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) group: u64,
    pub(super) seat: u64,
}

impl Piece {
    pub(super) fn share(&self) -> Share {
        Share { inputs: self.inputs.texts.len(), weight: self.inputs.weight }
    }
}

impl<F> Groups<F> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, open: HashMap::new(), groups: HashMap::new(), waiting: 0, next: 0 }
    }

    /// Whether a request of this size may wait here at all.
    pub(super) fn takes(&self, kind: Kind, inputs: &Inputs) -> bool {
        self.waiting < self.bounds.waiting
            && inputs.texts.len() < self.bounds.inputs
            && kind.tokens(inputs.weight) < self.bounds.tokens
    }

    /// The group that is open for such a request, if it fits in; one in which it does not is sent now.
    pub(super) fn open_for(&mut self, key: &Key, inputs: &Inputs) -> Option<u64> {
        let id = *self.open.get(key)?;
        let fits = self.groups.get(&id).is_some_and(|group| {
            group.count + inputs.texts.len() <= self.bounds.inputs
                && key.kind.tokens(group.weight + inputs.weight) <= self.bounds.tokens
        });
        if fits {
            return Some(id);
        }
        self.close(key);
        None
    }

    pub(super) fn drive(&self, id: u64) -> Option<&F> {
        self.groups.get(&id).map(|group| &group.drive)
    }

    /// Opens a group, in the place of one for the same key; `make` is told its number, and how to hear that it is full.
    pub(super) fn open(&mut self, key: Arc<Key>, make: impl FnOnce(u64, oneshot::Receiver<()>) -> F) -> u64 {
        self.close(&key);
        let id = self.number();
        let (full, is_full) = oneshot::channel();
        let drive = make(id, is_full);
        self.open.insert(Arc::clone(&key), id);
        self.groups.insert(id, Group { key, pieces: Vec::new(), weight: 0, count: 0, full: Some(full), drive });
        id
    }

    /// Sits down in an open group.
    pub(super) fn join(&mut self, id: u64, inputs: Inputs, parts: Parts) -> Place {
        let seat = self.number();
        let place = Place { group: id, seat };
        let Some(group) = self.groups.get_mut(&id) else {
            return place;
        };
        group.weight += inputs.weight;
        group.count += inputs.texts.len();
        group.pieces.push(Piece { seat, inputs, parts });
        self.waiting += 1;
        let is_full = group.count >= self.bounds.inputs || group.key.kind.tokens(group.weight) >= self.bounds.tokens;
        if is_full {
            let key = Arc::clone(&group.key);
            self.close(&key);
        }
        place
    }

    /// Lets one go who does not wait any more, and the group with the last of them.
    pub(super) fn leave(&mut self, place: Place) {
        let Some(group) = self.groups.get_mut(&place.group) else {
            return;
        };
        let Some(at) = group.pieces.iter().position(|piece| piece.seat == place.seat) else {
            return;
        };
        let piece = group.pieces.remove(at);
        group.weight = group.weight.saturating_sub(piece.inputs.weight);
        group.count = group.count.saturating_sub(piece.inputs.texts.len());
        self.waiting -= 1;
        if group.pieces.is_empty() {
            self.seal(place.group);
        }
    }

    /// Takes a group out, to be sent: nobody joins it or leaves it from here on.
    pub(super) fn seal(&mut self, id: u64) -> Option<Group<F>> {
        let group = self.groups.remove(&id)?;
        if self.open.get(&group.key) == Some(&id) {
            self.open.remove(&group.key);
        }
        self.waiting -= group.pieces.len();
        Some(group)
    }

    /// Takes no more into the group that is open for this key, and has it sent.
    fn close(&mut self, key: &Key) {
        if let Some(id) = self.open.remove(key)
            && let Some(full) = self.groups.get_mut(&id).and_then(|group| group.full.take())
        {
            // Who waited for it may be gone.
            let _ = full.send(());
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// Prompts and credentials are in the groups.
impl<F> fmt::Debug for Groups<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups")
            .field("bounds", &self.bounds)
            .field("waiting", &self.waiting)
            .field("groups", &self.groups.len())
            .finish_non_exhaustive()
    }
}
