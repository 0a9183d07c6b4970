//! What the layer has done so far.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::{TokenCache, TokenState, layer::Settings};

/// Shows what all services of one layer have done; clones show the same. It holds no secret.
#[derive(Debug, Clone, Default)]
pub struct EndpointHandle {
    base: Option<Arc<str>>,
    counters: Arc<Counters>,
    tokens: Option<TokenCache>,
}

/// What the services of one layer count.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) unsupported: AtomicU64,
    pub(crate) without_token: AtomicU64,
    pub(crate) sent_again: AtomicU64,
}

/// Counts since the layer was made, or last reset, and how its credential does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointSnapshot {
    /// The base URL; `None` for a layer that is off.
    pub base_url: Option<Arc<str>>,
    /// Calls refused because they cannot be said in this endpoint's way.
    pub unsupported: u64,
    /// Calls refused because there was no token, or it did not come in time.
    pub without_token: u64,
    /// Calls sent once more with another token after a 401.
    pub sent_again: u64,
    /// The credential, if the endpoint has one.
    pub token: Option<TokenState>,
}

impl EndpointHandle {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            base: Some(settings.route.base.to_string().into()),
            counters: Arc::clone(&settings.counters),
            tokens: settings.tokens.clone(),
        }
    }

    /// The counts as they are now.
    #[must_use]
    pub fn snapshot(&self) -> EndpointSnapshot {
        EndpointSnapshot {
            base_url: self.base.clone(),
            unsupported: self.counters.unsupported.load(Relaxed),
            without_token: self.counters.without_token.load(Relaxed),
            sent_again: self.counters.sent_again.load(Relaxed),
            token: self.tokens.as_ref().map(TokenCache::state),
        }
    }

    /// Starts counting anew, also for a cache that others share. The token stays.
    pub fn reset(&self) {
        for counter in [&self.counters.unsupported, &self.counters.without_token, &self.counters.sent_again] {
            counter.store(0, Relaxed);
        }
        if let Some(tokens) = &self.tokens {
            tokens.reset_counts();
        }
    }
}
