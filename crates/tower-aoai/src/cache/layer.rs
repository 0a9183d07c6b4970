//! The layer and its settings.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use tower_aoai_core::Call;
use tower_layer::Layer;

use super::{
    Cache, CacheHandle, is_repeatable,
    store::{Bounds, Store},
};

/// The most bytes that are held unless something else is [set](CacheLayer::max_bytes): 64 MiB.
pub const DEFAULT_MAX_BYTES: u64 = 64 << 20;

/// How long an answer is kept unless something else is [set](CacheLayer::ttl): an hour.
pub const DEFAULT_TTL: Duration = Duration::from_secs(3600);

/// The longest answer that is kept unless something else is [set](CacheLayer::max_answer_bytes): 4 MiB.
pub const DEFAULT_MAX_ANSWER_BYTES: usize = 4 << 20;

/// How many calls may follow others unless something else is [set](CacheLayer::max_followers): 1024.
pub const DEFAULT_MAX_FOLLOWERS: usize = 1024;

/// How long a call follows another unless something else is [set](CacheLayer::follow_for): 30 s.
pub const DEFAULT_FOLLOW_FOR: Duration = Duration::from_secs(30);

/// What becomes of those who follow a call that failed: an error, or a status other than 200.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnFailure {
    /// Each sends for itself, all at once: below there is a queue, or a retry layer, that knows what to do with them.
    #[default]
    EachSends,
    /// They get the same: the answer up to the longest that is kept, or the error.
    Share,
}

type When = Arc<dyn Fn(&Call, &Bytes) -> bool + Send + Sync>;

/// Answers repeatable requests from what was answered before: see the [module](super).
///
/// What is held is shared by every service this layer makes, and by its clones. A setting makes a layer of its own,
/// that holds nothing yet.
#[derive(Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct CacheLayer {
    settings: Arc<Settings>,
    store: Option<Arc<Mutex<Store>>>,
}

#[derive(Clone)]
pub(super) struct Settings {
    bounds: Bounds,
    pub(super) answer_bytes: usize,
    pub(super) follow_for: Duration,
    pub(super) on_failure: OnFailure,
    pub(super) when: When,
}

impl CacheLayer {
    /// A cache of [`DEFAULT_MAX_BYTES`], for an hour, of what is [repeatable](is_repeatable).
    pub fn new() -> Self {
        let bounds = Bounds { bytes: DEFAULT_MAX_BYTES, ttl: DEFAULT_TTL, followers: DEFAULT_MAX_FOLLOWERS };
        Self::of(Arc::new(Settings {
            bounds,
            answer_bytes: DEFAULT_MAX_ANSWER_BYTES,
            follow_for: DEFAULT_FOLLOW_FOR,
            on_failure: OnFailure::default(),
            when: Arc::new(is_repeatable),
        }))
    }

    /// Passes every call through, keeps and counts nothing: for a stack whose type must not change. A setting does not
    /// switch it on.
    pub fn off() -> Self {
        Self { store: None, ..Self::new() }
    }

    fn of(settings: Arc<Settings>) -> Self {
        let store = Some(Arc::new(Mutex::new(Store::new(settings.bounds))));
        Self { settings, store }
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        match self.store {
            Some(_) => Self::of(self.settings),
            None => self,
        }
    }

    /// Holds at most so many bytes of requests and answers, with a kilobyte for each. Default: [`DEFAULT_MAX_BYTES`].
    pub fn max_bytes(self, bytes: u64) -> Self {
        self.with(|settings| settings.bounds.bytes = bytes)
    }

    /// Keeps an answer for so long. Default: [`DEFAULT_TTL`].
    pub fn ttl(self, ttl: Duration) -> Self {
        self.with(|settings| settings.bounds.ttl = ttl)
    }

    /// Keeps answers of at most so many bytes; longer ones are passed on as they come. Default:
    /// [`DEFAULT_MAX_ANSWER_BYTES`].
    pub fn max_answer_bytes(self, bytes: usize) -> Self {
        self.with(|settings| settings.answer_bytes = bytes)
    }

    /// Lets so many calls follow others, in all; those beyond are sent. 0 switches single flight off. Default:
    /// [`DEFAULT_MAX_FOLLOWERS`].
    pub fn max_followers(self, calls: usize) -> Self {
        self.with(|settings| settings.bounds.followers = calls)
    }

    /// Lets a call follow another for so long; then it is sent. Default: [`DEFAULT_FOLLOW_FOR`].
    pub fn follow_for(self, time: Duration) -> Self {
        self.with(|settings| settings.follow_for = time)
    }

    /// What becomes of those who follow a call that failed. Default: [`OnFailure::EachSends`].
    pub fn on_failure(self, on_failure: OnFailure) -> Self {
        self.with(|settings| settings.on_failure = on_failure)
    }

    /// Which calls are cached. Default: [`is_repeatable`]. Streams never are, and are not asked about.
    ///
    /// It is given what the request asks for and the body that this was read from.
    pub fn when(self, when: impl Fn(&Call, &Bytes) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.when = Arc::new(when))
    }

    /// Shows what the cache holds and does; to be taken after the last setting. That of a layer that is off shows
    /// nothing.
    #[must_use]
    pub fn handle(&self) -> CacheHandle {
        let none = || Arc::new(Mutex::new(Store::new(self.settings.bounds)));
        CacheHandle::new(self.store.clone().unwrap_or_else(none))
    }
}

impl Default for CacheLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = Cache<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Cache::new(inner, Arc::clone(&self.settings), self.store.clone())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("bounds", &self.bounds)
            .field("answer_bytes", &self.answer_bytes)
            .field("follow_for", &self.follow_for)
            .field("on_failure", &self.on_failure)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CacheLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayer")
            .field("settings", &self.settings)
            .field("is_off", &self.store.is_none())
            .finish_non_exhaustive()
    }
}
