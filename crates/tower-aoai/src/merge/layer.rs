//! The layer and its settings.

use std::{fmt, sync::Arc, time::Duration};

use http::request::Parts;
use tower_layer::Layer;

use super::{MergeEmbeddings, MergeHandle, groups::Bounds};

/// How long a request waits for others unless something else is [set](MergeEmbeddingsLayer::window): 5 ms.
pub const DEFAULT_WINDOW: Duration = Duration::from_millis(5);

/// The most inputs of a merged request unless something else is [set](MergeEmbeddingsLayer::max_inputs): 2048, as many
/// as Azure documents that it takes.
pub const DEFAULT_MAX_INPUTS: usize = 2048;

/// The most tokens of a merged request unless something else is [set](MergeEmbeddingsLayer::max_tokens): 100,000.
///
/// A merged request is one charge of a deployment's quota: one that is larger than its tokens per minute could never be
/// served.
pub const DEFAULT_MAX_TOKENS: u64 = 100_000;

/// How many requests may wait in all unless something else is [set](MergeEmbeddingsLayer::max_waiting): 8192.
pub const DEFAULT_MAX_WAITING: usize = 8192;

/// The longest answer that is taken apart unless something else is [set](MergeEmbeddingsLayer::max_answer_bytes): 128
/// MiB, enough for 2048 vectors of 3072 decimal numbers each, about 66 KB.
pub const DEFAULT_MAX_ANSWER_BYTES: usize = 128 << 20;

type Apart = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;

/// Merges embedding requests: see the [module](super).
///
/// Requests wait with those of the same service and of its clones: two services that one layer makes may lead to
/// different places. Settings and counts are the layer's.
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct MergeEmbeddingsLayer {
    settings: Arc<Settings>,
    handle: MergeHandle,
}

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) is_off: bool,
    pub(super) window: Duration,
    pub(super) bounds: Bounds,
    pub(super) answer_bytes: usize,
    pub(super) apart: Option<Apart>,
}

impl MergeEmbeddingsLayer {
    /// Merges what comes within [`DEFAULT_WINDOW`], up to [`DEFAULT_MAX_INPUTS`] and [`DEFAULT_MAX_TOKENS`].
    pub fn new() -> Self {
        let settings = Settings {
            is_off: false,
            window: DEFAULT_WINDOW,
            bounds: Bounds { inputs: DEFAULT_MAX_INPUTS, tokens: DEFAULT_MAX_TOKENS, waiting: DEFAULT_MAX_WAITING },
            answer_bytes: DEFAULT_MAX_ANSWER_BYTES,
            apart: None,
        };
        Self { settings: Arc::new(settings), handle: MergeHandle::default() }
    }

    /// Passes every call through and counts nothing: for a stack whose type must not change. A setting does not switch
    /// it on.
    pub fn off() -> Self {
        Self::new().with(|settings| settings.is_off = true)
    }

    /// Waits so long for others, from the first request on. Default: [`DEFAULT_WINDOW`].
    ///
    /// It is what a request that nobody joins is late by.
    pub fn window(self, window: Duration) -> Self {
        self.with(|settings| settings.window = window)
    }

    /// Sends at most so many inputs together. Default: [`DEFAULT_MAX_INPUTS`]. A request that has as many itself is
    /// passed on.
    pub fn max_inputs(self, inputs: usize) -> Self {
        self.with(|settings| settings.bounds.inputs = inputs)
    }

    /// Sends at most so many tokens together: of texts a token for four bytes, else what is counted. Default:
    /// [`DEFAULT_MAX_TOKENS`]. A request that has as many itself is passed on.
    pub fn max_tokens(self, tokens: u64) -> Self {
        self.with(|settings| settings.bounds.tokens = tokens)
    }

    /// Lets at most so many requests wait, in all; those beyond are passed on. Default: [`DEFAULT_MAX_WAITING`].
    pub fn max_waiting(self, requests: usize) -> Self {
        self.with(|settings| settings.bounds.waiting = requests)
    }

    /// Takes answers of at most so many bytes apart; after a longer one each request is sent apart. Default:
    /// [`DEFAULT_MAX_ANSWER_BYTES`].
    pub fn max_answer_bytes(self, bytes: usize) -> Self {
        self.with(|settings| settings.answer_bytes = bytes)
    }

    /// Sets requests apart by what `name` says of them: only those of the same name are merged. Default: one name for
    /// all.
    ///
    /// For what a layer below reads from a request's extensions, beside the tags of the cost layer, which always set
    /// apart.
    pub fn apart_by(self, name: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.apart = Some(Arc::new(name)))
    }

    /// Shows what was merged.
    #[must_use]
    pub fn handle(&self) -> MergeHandle {
        self.handle.clone()
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl Default for MergeEmbeddingsLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for MergeEmbeddingsLayer {
    type Service = MergeEmbeddings<S>;

    fn layer(&self, inner: S) -> Self::Service {
        MergeEmbeddings::new(inner, Arc::clone(&self.settings), self.handle.clone())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("is_off", &self.is_off)
            .field("window", &self.window)
            .field("bounds", &self.bounds)
            .field("answer_bytes", &self.answer_bytes)
            .finish_non_exhaustive()
    }
}
