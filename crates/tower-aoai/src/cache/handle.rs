//! What a cache holds and has done.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;

use super::store::Store;

/// Shows what a [`CacheLayer`](super::CacheLayer) holds and has done, and empties it; clones show the same.
#[derive(Clone)]
pub struct CacheHandle {
    store: Arc<Mutex<Store>>,
}

/// What a cache holds, and what it has done since it was made or last reset.
///
/// Each call is counted once, when it is known where its answer comes from: as a hit, shared, a miss or bypassed. One
/// that was dropped while it followed another is not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheSnapshot {
    /// Calls answered from what was kept.
    pub hits: u64,
    /// Calls answered by another's call that was under way.
    pub shared: u64,
    /// Calls that were sent, and whose answer might be kept.
    pub misses: u64,
    /// Calls that were sent because theirs are not to be cached: streams, other operations, `cache-control`.
    pub bypassed: u64,
    /// Answers that were not kept: another status than 200, too long, a stream.
    pub unfit: u64,
    /// Answers dropped to make room.
    pub evicted: u64,
    /// Answers dropped because they were too old; counted when they are asked for.
    pub expired: u64,
    /// Answers held now.
    pub entries: usize,
    /// Bytes held now, with those of the requests.
    pub bytes: u64,
    /// Calls under way for others to follow.
    pub in_flight: usize,
    /// Calls that follow them.
    pub following: usize,
}

impl CacheSnapshot {
    /// The share of calls that were answered without being sent, of those that might have been; `None` before the
    /// first.
    #[must_use]
    pub fn hit_rate(&self) -> Option<f64> {
        let saved = self.hits + self.shared;
        let all = saved + self.misses;
        (all > 0).then(|| saved as f64 / all as f64)
    }
}

impl CacheHandle {
    pub(super) const fn new(store: Arc<Mutex<Store>>) -> Self {
        Self { store }
    }

    /// What it holds and has done.
    #[must_use]
    pub fn snapshot(&self) -> CacheSnapshot {
        self.store.lock().snapshot()
    }

    /// Starts counting anew; what is held stays.
    pub fn reset(&self) {
        self.store.lock().counts = CacheSnapshot::default();
    }

    /// Drops all that is held. What is under way is answered, and not kept.
    pub fn clear(&self) {
        self.store.lock().clear();
    }
}

impl fmt::Debug for CacheHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheHandle").field("snapshot", &self.snapshot()).finish()
    }
}
