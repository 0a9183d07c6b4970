use std::sync::Arc;

use tower_aoai_core::{Asked, Availability};
use tower_layer::Layer;

use crate::{TokenBucket, TokenBucketHandle};

/// Counts calls in flight as yet; see the [crate's page](crate).
///
/// One layer value is one quota: every service it makes, and every clone, shares it.
#[derive(Debug, Clone, Default)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct TokenBucketLayer {
    handle: TokenBucketHandle,
    is_off: bool,
}

impl TokenBucketLayer {
    /// A quota without limits.
    pub fn new() -> Self {
        Self::default()
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
