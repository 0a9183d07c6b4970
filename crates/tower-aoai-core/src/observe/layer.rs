//! The layer, and what can be set.

use std::{sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{Observe, Observer};
use crate::{AzureClassifier, Classify, sse};

/// Watches each attempt and writes down how it went: see the [module](super).
///
/// Cheap to clone. Its services share its settings and nothing else: what is observed is kept in the call's
/// [`CallContext`](crate::CallContext).
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct ObserveLayer {
    settings: Option<Arc<Settings>>,
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) classify: Arc<dyn Classify>,
    pub(super) observers: Vec<Arc<dyn Observer>>,
    /// How long the head of a stream is held for its first event that is no preamble.
    pub(super) hold_for: Duration,
    pub(super) hold_bytes: usize,
    pub(super) error_for: Duration,
    pub(super) error_bytes: usize,
    pub(super) event_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            classify: Arc::new(AzureClassifier::default()),
            observers: Vec::new(),
            hold_for: Duration::from_secs(2),
            hold_bytes: 256 << 10,
            error_for: Duration::from_secs(2),
            error_bytes: 64 << 10,
            event_bytes: sse::EVENT_LIMIT,
        }
    }
}

impl Default for ObserveLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl ObserveLayer {
    /// Observes with Azure OpenAI's meanings ([`AzureClassifier`]), holding a stream's head for up to 2 seconds and
    /// 256 KiB, and reading up to 64 KiB of an error's body within 2 seconds.
    pub fn new() -> Self {
        Self { settings: Some(Arc::default()) }
    }

    /// Observes nothing: requests and responses pass, attempts stay unwritten, only errors are flattened. What is set
    /// on a layer that is off has no effect.
    ///
    /// Of the same type, so that a stack's type does not depend on its configuration.
    pub fn off() -> Self {
        Self { settings: None }
    }

    /// Judges with this classifier. Default: [`AzureClassifier`](crate::AzureClassifier).
    pub fn classify(self, classify: Arc<dyn Classify>) -> Self {
        self.with(|settings| settings.classify = classify)
    }

    /// Tells this observer, too. Observers are told in the order in which they subscribed.
    pub fn subscribe(self, observer: Arc<dyn Observer>) -> Self {
        self.with(|settings| settings.observers.push(observer))
    }

    /// For how long, and for how many bytes, a streamed response is held until its first event that is no preamble:
    /// 2 seconds, counted from its head, and 256 KiB by default.
    ///
    /// While it is held, a failure can still be tried again elsewhere without the caller noticing: Azure answers some
    /// throttled calls with a 200 and says so in the stream's second event. The price is that the caller sees the head
    /// no earlier than the first content, or the bound. A zero in either switches holding off.
    pub fn hold(self, time: Duration, bytes: usize) -> Self {
        self.with(|settings| {
            settings.hold_for = time;
            settings.hold_bytes = bytes;
        })
    }

    /// How long, and how many bytes, an error's body is read to be judged: 2 seconds, counted from its head, and 64 KiB
    /// by default. The response is handed on afterwards, its body whole. A zero in either judges by the head alone.
    pub fn read_errors(self, time: Duration, bytes: usize) -> Self {
        self.with(|settings| {
            settings.error_for = time;
            settings.error_bytes = bytes;
        })
    }

    /// The largest event of a stream that is read, in bytes: 1 MiB by default, at least 512.
    ///
    /// A larger one passes all the same, and of it only what kind of event it is matters: the usage of a
    /// `response.completed` above the bound stays unknown. It bounds memory only for events that do not lie within one
    /// frame.
    pub fn event_limit(self, bytes: usize) -> Self {
        self.with(|settings| settings.event_bytes = bytes)
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        if let Some(settings) = &mut self.settings {
            set(Arc::make_mut(settings));
        }
        self
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Observe::new(inner, self.settings.clone())
    }
}
