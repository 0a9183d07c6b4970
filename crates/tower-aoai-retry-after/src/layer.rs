use std::{
    future::Future,
    sync::{Arc, atomic::AtomicBool},
};

use tower_aoai_core::{AzureClassifier, Classify, Generator, RetryBudget};
use tower_layer::Layer;

use crate::{RetryAfter, RetryAfterHandle, RetryEvent, RetryPolicy, hook::Hook};

/// Tries calls again; see the [crate's page](crate).
///
/// The policy, the budget, the counts and the dice are shared by every service this layer makes and by its clones; a
/// clone that is changed afterwards still shares what was not changed.
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct RetryAfterLayer {
    shared: Arc<Shared>,
}

/// What the services of one layer share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) policy: RetryPolicy,
    pub(crate) classify: Arc<dyn Classify>,
    pub(crate) budget: Option<RetryBudget>,
    pub(crate) generator: Generator,
    pub(crate) hook: Option<Hook>,
    pub(crate) handle: RetryAfterHandle,
    pub(crate) is_off: bool,
    /// So that a stack whose bodies cannot be sent again says so once, and not with every call.
    pub(crate) warned_unreplayable: Arc<AtomicBool>,
}

impl RetryAfterLayer {
    /// Retries by `policy`, within the [default budget](RetryBudget::default).
    pub fn new(policy: RetryPolicy) -> Self {
        let shared = Shared {
            policy,
            classify: Arc::new(AzureClassifier::default()),
            budget: Some(RetryBudget::default()),
            generator: Generator::from_system(),
            hook: None,
            handle: RetryAfterHandle::default(),
            is_off: false,
            warned_unreplayable: Arc::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Passes every call through once: for a stack whose type must not change.
    ///
    /// What is set on it has no effect, nor has a policy in a request's extensions, and it counts nothing.
    pub fn off() -> Self {
        Self::new(RetryPolicy::never()).with(|shared| shared.is_off = true)
    }

    /// Judges answers by `classify` where no [`ObserveLayer`](tower_aoai_core::ObserveLayer) below has judged them.
    /// Default: [`AzureClassifier`].
    pub fn classify(self, classify: Arc<dyn Classify>) -> Self {
        self.with(|shared| shared.classify = classify)
    }

    /// Retries within `budget`, which may be shared with other layers. `None`: without a budget. Default:
    /// [`RetryBudget::default`], the layer's own.
    ///
    /// A retry of a throttled call at the instant that the server, or a layer below, named needs no grant: it was
    /// scheduled. Every other does.
    pub fn budget(self, budget: impl Into<Option<RetryBudget>>) -> Self {
        let budget = budget.into();
        self.with(|shared| shared.budget = budget)
    }

    /// Calls `hook` before each wait. Default: none.
    ///
    /// What it returns is awaited alongside the wait; the attempt starts when both are over, so a hook that takes
    /// longer than the wait delays it, and ends the call with a refusal if the deadline or start-by passes meanwhile.
    /// It is dropped with the call.
    pub fn on_retry<H, F>(self, hook: H) -> Self
    where
        H: Fn(RetryEvent) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.with(|shared| shared.hook = Some(Hook::new(hook)))
    }

    /// Draws the jitter from a sequence that is the same for the same seed. Default: a seed of the system's.
    pub fn seed(self, seed: u64) -> Self {
        self.with(|shared| shared.generator = Generator::seeded(seed))
    }

    /// Shows what the layer does.
    #[must_use]
    pub fn handle(&self) -> RetryAfterHandle {
        self.shared.handle.clone()
    }

    fn with(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        change(Arc::make_mut(&mut self.shared));
        self
    }
}

impl Default for RetryAfterLayer {
    fn default() -> Self {
        Self::new(RetryPolicy::default())
    }
}

impl<S> Layer<S> for RetryAfterLayer {
    type Service = RetryAfter<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RetryAfter::new(inner, Arc::clone(&self.shared))
    }
}
