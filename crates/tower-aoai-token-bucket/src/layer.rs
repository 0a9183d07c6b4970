use std::sync::Arc;

use tower_aoai_core::{Asked, Availability};
use tower_layer::Layer;

use crate::{Quota, TokenBucket, TokenBucketHandle};

/// Lets calls through as a quota allows; see the [crate's page](crate).
///
/// One layer value is one quota: every service it makes, and every clone, shares it.
#[derive(Debug, Clone, Default)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct TokenBucketLayer {
    handle: TokenBucketHandle,
    is_off: bool,
}

impl TokenBucketLayer {
    /// A quota without limits; it counts, keeps the gate of the server's hints, and may be given
    /// [limits](TokenBucketHandle::set_limits) later.
    pub fn new() -> Self {
        Self::default()
    }

    /// This quota, with nothing used yet.
    #[expect(clippy::needless_pass_by_value, reason = "a quota is written down in place")]
    pub fn of(quota: Quota) -> Self {
        Self { handle: TokenBucketHandle::new(&quota), is_off: false }
    }

    /// Lets every call through and counts none: for a stack whose type must not change.
    pub fn off() -> Self {
        Self { is_off: true, ..Self::default() }
    }

    /// Shows the quota's state.
    #[must_use]
    pub fn handle(&self) -> TokenBucketHandle {
        self.handle.clone()
    }
}

impl Asked for TokenBucketLayer {
    fn availability(&self) -> Arc<dyn Availability> {
        self.handle.availability()
    }
}

impl<S> Layer<S> for TokenBucketLayer {
    type Service = TokenBucket<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TokenBucket::new(inner, self.handle.clone(), self.is_off)
    }
}
