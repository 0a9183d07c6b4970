use std::{borrow::Cow, sync::Arc};

use http::Request;
use tower_aoai_core::{Call, CallContext};
use tower_layer::Layer;

use crate::{
    Budgets, ContextWindow, ContextWindowHandle, Model, Models, Policy, TokenCounter, Tokenizer, budget::Budget,
};

/// Keeps prompts within their model's context window; see the [crate's page](crate).
///
/// The settings and the counts are shared by every service this layer makes and by its clones; a clone that is changed
/// afterwards still shares the counts.
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct ContextWindowLayer {
    shared: Arc<Shared>,
}

/// What the services of one layer share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) is_off: bool,
    policy: Arc<Policy>,
    models: Arc<Models>,
    budgets: Option<Arc<Budgets>>,
    pub(crate) counter: Arc<dyn TokenCounter>,
    pub(crate) inline_up_to: usize,
    pub(crate) handle: ContextWindowHandle,
}

/// The most bytes of a body that are counted where the call is made: they take half a millisecond at most.
pub const DEFAULT_INLINE_UP_TO: usize = 16 * 1024;

impl ContextWindowLayer {
    /// Refuses what certainly does not fit, by the built-in [`Models`].
    ///
    /// Counts with `BytePairs` if feature `bpe` is on, and else estimates with
    /// [`FourBytes`](crate::FourBytes), by which nothing is ever refused.
    pub fn new() -> Self {
        #[cfg(feature = "bpe")]
        let counter: Arc<dyn TokenCounter> = Arc::new(crate::BytePairs);
        #[cfg(not(feature = "bpe"))]
        let counter: Arc<dyn TokenCounter> = Arc::new(crate::FourBytes);
        let shared = Shared {
            is_off: false,
            policy: Arc::default(),
            models: Arc::default(),
            budgets: None,
            counter,
            inline_up_to: DEFAULT_INLINE_UP_TO,
            handle: ContextWindowHandle::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Passes every call through and counts none: for a stack whose type must not change.
    pub fn off() -> Self {
        Self::new().with(|shared| shared.is_off = true)
    }

    /// What becomes of a prompt that does not fit. Default: [`Policy::reject`].
    pub fn policy(self, policy: Policy) -> Self {
        self.with(|shared| shared.policy = Arc::new(policy))
    }

    /// The models that are known, with their windows. Default: [`Models::built_in`].
    pub fn models(self, models: Models) -> Self {
        self.with(|shared| shared.models = Arc::new(models))
    }

    /// How much each agent, or each route, may send. Default: as much as the model takes.
    pub fn budgets(self, budgets: Budgets) -> Self {
        self.with(|shared| shared.budgets = Some(Arc::new(budgets)))
    }

    /// Who counts tokens. Default: as for [`new`](Self::new).
    pub fn counter(self, counter: Arc<dyn TokenCounter>) -> Self {
        self.with(|shared| shared.counter = counter)
    }

    /// The most bytes of a body that are counted where the call is made; more are counted on tokio's threads for
    /// blocking work, with feature `rt` (or `bpe`, which includes it) and where there is a runtime. Default:
    /// [`DEFAULT_INLINE_UP_TO`].
    pub fn inline_up_to(self, bytes: usize) -> Self {
        self.with(|shared| shared.inline_up_to = bytes)
    }

    /// Loads the tables of the tokenizers now, so that no call has to wait for them: some 50 ms each, blocking.
    pub fn warm(self) -> Self {
        for tokenizer in [Tokenizer::O200kBase, Tokenizer::Cl100kBase] {
            self.shared.counter.warm(tokenizer);
        }
        self
    }

    /// Shows what the layer does.
    #[must_use]
    pub fn handle(&self) -> ContextWindowHandle {
        self.shared.handle.clone()
    }

    fn with(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        change(Arc::make_mut(&mut self.shared));
        self
    }
}

impl Default for ContextWindowLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for ContextWindowLayer {
    type Service = ContextWindow<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ContextWindow::new(inner, Arc::clone(&self.shared))
    }
}

/// What a call is held against.
#[derive(Debug, Clone)]
pub(crate) struct Measure {
    pub(crate) model: Model,
    pub(crate) policy: Arc<Policy>,
    /// The tag whose budget it is.
    pub(crate) tag: Option<Arc<str>>,
}

impl Shared {
    /// What a call is held against; `None` if its model is not known and it has no budget.
    pub(crate) fn measure<B>(&self, request: &Request<B>, call: &Call) -> Option<Measure> {
        let model = self.model(call);
        let Some((tag, budget)) = self.budgets.as_ref().and_then(|budgets| budgets.of(request)) else {
            return Some(Measure { model: model?.clone(), policy: Arc::clone(&self.policy), tag: None });
        };
        let Budget { policy, .. } = budget;
        let policy = policy.as_ref().map_or_else(|| Arc::clone(&self.policy), Arc::clone);
        Some(Measure { model: budget.within(model), policy, tag: tag.cloned() })
    }

    fn model(&self, call: &Call) -> Option<&Model> {
        let model = call.target().and_then(|name| self.models.get(name));
        let model = model.or_else(|| self.models.get(call.model.as_deref()?));
        if model.is_none() {
            let name = call.target().unwrap_or_default();
            if let Some(name) = self.handle.count_unknown(name) {
                tracing::warn!(
                    model = &*name,
                    "a model is not known: its calls are let through, whatever their length; name it in the table of models, or say which known one it is"
                );
            }
        }
        model
    }
}

/// What a request asks for, read anew if its context knows another body, or none.
pub(crate) fn call_of<'a, B>(request: &'a Request<B>, source: &[u8]) -> Cow<'a, Call> {
    let known = request.extensions().get::<CallContext>().map(CallContext::call);
    match known.filter(|call| call.body_bytes == source.len()) {
        Some(call) => Cow::Borrowed(call),
        None => Cow::Owned(Call::read(request.uri(), request.headers(), source)),
    }
}
