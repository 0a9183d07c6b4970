//! Answers that are kept, and calls that are under way for others.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::RandomState,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use quick_cache::{Lifecycle, Weighter, unsync::Cache};
use tokio::{
    sync::oneshot::{self, Receiver, Sender},
    time::Instant,
};

use super::{handle::CacheSnapshot, key::Key, lead::News};

/// What an entry takes beside its bodies and the head of its request, in bytes: the cache's own books, roundly.
const OVERHEAD: u64 = 1024;

/// A whole answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What a call is to do.
#[derive(Debug)]
pub(super) enum Role {
    /// Answer with this, which was kept at that instant.
    Hit(Answer, Instant),
    /// Send, for itself and those who follow. With the generation under which it was let in.
    Lead(u64),
    Follow(Receiver<News>, u64),
    /// Send for itself alone: too many follow already.
    Alone(u64),
}

/// The bounds of a store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) bytes: u64,
    pub(super) ttl: Duration,
    pub(super) followers: usize,
}

/// All state of a cache; pure but for the channels to those who follow.
#[derive(Debug)]
pub(super) struct Store {
    bounds: Bounds,
    kept: Cache<Arc<Key>, Kept, ByBytes, RandomState, CountEvicted>,
    flights: HashMap<Arc<Key>, VecDeque<Sender<News>>>,
    followers: usize,
    /// Counts how often it was emptied: what was asked for before must not come back after.
    generation: u64,
    pub(super) counts: CacheSnapshot,
}

#[derive(Debug, Clone)]
struct Kept {
    answer: Answer,
    at: Instant,
}

#[derive(Debug, Clone, Copy)]
struct ByBytes;

impl Weighter<Arc<Key>, Kept> for ByBytes {
    fn weight(&self, key: &Arc<Key>, kept: &Kept) -> u64 {
        OVERHEAD + key.size() as u64 + kept.answer.body.len() as u64
    }
}

#[derive(Debug, Clone, Copy)]
struct CountEvicted;

impl Lifecycle<Arc<Key>, Kept> for CountEvicted {
    type RequestState = u64;

    fn on_evict(&self, evicted: &mut u64, _: Arc<Key>, _: Kept) {
        *evicted += 1;
    }
}

impl Store {
    pub(super) fn new(bounds: Bounds) -> Self {
        let entries = usize::try_from(bounds.bytes / (16 << 10)).unwrap_or(usize::MAX).clamp(16, 1 << 20);
        Self {
            bounds,
            kept: Cache::with(entries, bounds.bytes, ByBytes, RandomState::new(), CountEvicted),
            flights: HashMap::new(),
            followers: 0,
            generation: 0,
            counts: CacheSnapshot::default(),
        }
    }

    /// What a call of this key is to do.
    pub(super) fn enter(&mut self, key: &Arc<Key>, now: Instant) -> Role {
        if let Some(kept) = self.kept.get(&**key) {
            if now.saturating_duration_since(kept.at) < self.bounds.ttl {
                self.counts.hits += 1;
                return Role::Hit(kept.answer.clone(), kept.at);
            }
            self.kept.remove(&**key);
            self.counts.expired += 1;
        }
        match self.flights.entry(Arc::clone(key)) {
            Entry::Vacant(place) => {
                place.insert(VecDeque::new());
                self.counts.misses += 1;
                Role::Lead(self.generation)
            }
            Entry::Occupied(mut flight) => {
                if self.followers >= self.bounds.followers {
                    self.counts.misses += 1;
                    return Role::Alone(self.generation);
                }
                let (sender, receiver) = oneshot::channel();
                flight.get_mut().push_back(sender);
                self.followers += 1;
                Role::Follow(receiver, self.generation)
            }
        }
    }

    /// Who is to lead in the place of one who went away: the eldest who still follows. The flight ends where there is
    /// none.
    pub(super) fn heir(&mut self, key: &Key) -> Option<Sender<News>> {
        let flight = self.flights.get_mut(key)?;
        while let Some(follower) = flight.pop_front() {
            self.followers -= 1;
            if !follower.is_closed() {
                return Some(follower);
            }
        }
        self.flights.remove(key);
        None
    }

    /// Ends a flight: those who follow, to be told.
    pub(super) fn land(&mut self, key: &Key) -> VecDeque<Sender<News>> {
        let followers = self.flights.remove(key).unwrap_or_default();
        self.followers -= followers.len();
        followers
    }

    /// Lets go of those of a flight who went away.
    pub(super) fn forget_closed(&mut self, key: &Key) {
        if let Some(flight) = self.flights.get_mut(key) {
            let before = flight.len();
            flight.retain(|follower| !follower.is_closed());
            self.followers -= before - flight.len();
        }
    }

    /// Keeps an answer that was asked for under this generation.
    pub(super) fn keep(&mut self, key: Arc<Key>, answer: Answer, generation: u64, now: Instant) {
        if generation != self.generation {
            return;
        }
        let mut evicted = 0;
        self.kept.insert_with_lifecycle(key, Kept { answer, at: now }, &mut evicted);
        self.counts.evicted += evicted;
    }

    pub(super) fn clear(&mut self) {
        self.generation += 1;
        self.kept.clear();
    }

    pub(super) fn snapshot(&self) -> CacheSnapshot {
        CacheSnapshot {
            entries: self.kept.len(),
            bytes: self.kept.weight(),
            in_flight: self.flights.len(),
            following: self.followers,
            ..self.counts
        }
    }
}
