use std::sync::Arc;

use tower_aoai_core::{Asked, Availability, Classify, Generator};
use tower_layer::Layer;

use crate::{CircuitBreaker, CircuitBreakerHandle, CircuitPolicy, InvalidPolicy, circuit::Circuit};

/// Keeps calls from an unhealthy endpoint; see the [crate's page](crate).
///
/// One layer value is one endpoint's circuit: every service it makes, and every clone, shares it, also one that is
/// changed afterwards.
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct CircuitBreakerLayer {
    circuit: Arc<Circuit>,
}

impl CircuitBreakerLayer {
    /// A closed circuit with the [default policy](CircuitPolicy::new).
    pub fn new() -> Self {
        Self::unchecked(CircuitPolicy::new(), false)
    }

    /// A closed circuit that waits at most 10 s: see [`CircuitPolicy::below_balancer`].
    pub fn below_balancer() -> Self {
        Self::unchecked(CircuitPolicy::below_balancer(), false)
    }

    /// A closed circuit with this policy.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicy`] if the policy could not work: the message says which setting, and what would be right.
    pub fn of(policy: CircuitPolicy) -> Result<Self, InvalidPolicy> {
        policy.check()?;
        Ok(Self::unchecked(policy, false))
    }

    /// Lets every call through and counts none: for a stack whose type must not change. Its handle has no effect on it.
    pub fn off() -> Self {
        Self::unchecked(CircuitPolicy::new(), true)
    }

    fn unchecked(policy: CircuitPolicy, is_off: bool) -> Self {
        Self { circuit: Arc::new(Circuit::new(policy, is_off)) }
    }

    /// Judges answers by `classify` where no [`ObserveLayer`](tower_aoai_core::ObserveLayer) below has judged them, and
    /// the errors of layers between the two. Default: [`AzureClassifier`](tower_aoai_core::AzureClassifier).
    pub fn classify(self, classify: Arc<dyn Classify>) -> Self {
        self.with(|circuit| circuit.classify = classify)
    }

    /// What events call this circuit (`circuit`): the endpoint's name. Default: none.
    pub fn name(self, name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        self.with(|circuit| circuit.name = Some(name))
    }

    /// Draws the jitter from a sequence that is the same for the same seed. Default: a seed of the system's.
    pub fn seed(self, seed: u64) -> Self {
        self.with(|circuit| circuit.generator = Generator::seeded(seed))
    }

    /// Shows, and changes, the circuit's state.
    #[must_use]
    pub fn handle(&self) -> CircuitBreakerHandle {
        CircuitBreakerHandle::new(Arc::clone(&self.circuit))
    }

    fn with(mut self, change: impl FnOnce(&mut Circuit)) -> Self {
        change(Arc::make_mut(&mut self.circuit));
        self
    }
}

impl Default for CircuitBreakerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl Asked for CircuitBreakerLayer {
    fn availability(&self) -> Arc<dyn Availability> {
        Arc::<crate::circuit::Shared>::clone(&self.circuit.state)
    }
}

impl<S> Layer<S> for CircuitBreakerLayer {
    type Service = CircuitBreaker<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreaker::new(inner, Arc::clone(&self.circuit))
    }
}
