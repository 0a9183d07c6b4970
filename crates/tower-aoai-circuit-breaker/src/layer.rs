use std::sync::Arc;

use tower_aoai_core::{Asked, Availability, AzureClassifier, Classify};
use tower_layer::Layer;

use crate::{CircuitBreaker, CircuitBreakerHandle};

/// Counts outcomes as yet; see the [crate's page](crate).
///
/// One layer value is one endpoint's state: every service it makes, and every clone, shares it.
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct CircuitBreakerLayer {
    handle: CircuitBreakerHandle,
    classify: Arc<dyn Classify>,
    is_off: bool,
}

impl CircuitBreakerLayer {
    /// A closed breaker.
    pub fn new() -> Self {
        Self { handle: CircuitBreakerHandle::default(), classify: Arc::new(AzureClassifier::default()), is_off: false }
    }

    /// Lets every call through and counts none: for a stack whose type must not change.
    pub fn off() -> Self {
        Self { is_off: true, ..Self::new() }
    }

    /// Judges answers by `classify` where no [`ObserveLayer`](tower_aoai_core::ObserveLayer) below has judged them.
    /// Default: [`AzureClassifier`].
    pub fn classify(mut self, classify: Arc<dyn Classify>) -> Self {
        self.classify = classify;
        self
    }

    /// Shows the breaker's state.
    #[must_use]
    pub fn handle(&self) -> CircuitBreakerHandle {
        self.handle.clone()
    }
}

impl Default for CircuitBreakerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl Asked for CircuitBreakerLayer {
    fn availability(&self) -> Arc<dyn Availability> {
        self.handle.availability()
    }
}

impl<S> Layer<S> for CircuitBreakerLayer {
    type Service = CircuitBreaker<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreaker::new(inner, self.handle.clone(), Arc::clone(&self.classify), self.is_off)
    }
}
