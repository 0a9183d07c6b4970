use std::{sync::Arc, time::Duration};

use tower_aoai_core::{AzureClassifier, Classify};
use tower_layer::Layer;

use super::CallTelemetry;
use crate::telemetry::Recorder;

/// Tells of each call when it has ended: a record, a span, a line in the log. See the [module](crate::telemetry).
///
/// It stands just inside [`PrepareLayer`](tower_aoai_core::PrepareLayer), above everything else; what the door itself
/// refuses (a body that is too large) it does not see. Without a door it reads what a request asks for from its address
/// alone: no model of a v1 address, no limit of output. Around a body of any type; response bodies are of
/// [`Bytes`](bytes::Bytes).
///
/// Cheap to clone; its services share its settings and nothing else.
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct CallTelemetryLayer {
    settings: Option<Arc<Settings>>,
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) recorders: Vec<Arc<dyn Recorder>>,
    pub(super) long_wait: Duration,
    pub(super) classify: Arc<dyn Classify>,
}

impl Default for CallTelemetryLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl CallTelemetryLayer {
    /// A layer that makes spans and logs, and tells no recorder.
    pub fn new() -> Self {
        Self {
            settings: Some(Arc::new(Settings {
                recorders: Vec::new(),
                long_wait: Duration::from_secs(5),
                classify: Arc::new(AzureClassifier::default()),
            })),
        }
    }

    /// Tells of nothing: requests and responses pass, only errors are flattened. What is set on a layer that is off has
    /// no effect.
    ///
    /// Of the same type, so that a stack's type does not depend on its configuration.
    pub fn off() -> Self {
        Self { settings: None }
    }

    /// Tells this recorder, too. Recorders are told in the order in which they came.
    pub fn recorder(self, recorder: Arc<dyn Recorder>) -> Self {
        self.with(|settings| settings.recorders.push(recorder))
    }

    /// From how long a wait on a call that was answered is worth a line at level INFO: 5 seconds by default.
    pub fn long_wait(self, wait: Duration) -> Self {
        self.with(|settings| settings.long_wait = wait)
    }

    /// Judges with this classifier what no [`ObserveLayer`](tower_aoai_core::ObserveLayer) has judged: by default Azure
    /// OpenAI's meanings ([`AzureClassifier`]).
    pub fn classify(self, classify: Arc<dyn Classify>) -> Self {
        self.with(|settings| settings.classify = classify)
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        if let Some(settings) = &mut self.settings {
            set(Arc::make_mut(settings));
        }
        self
    }
}

impl<S> Layer<S> for CallTelemetryLayer {
    type Service = CallTelemetry<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CallTelemetry::new(inner, self.settings.clone())
    }
}
