use std::sync::Arc;

use tower_aoai_core::{AzureClassifier, Classify};
use tower_layer::Layer;

use super::AttemptTelemetry;
use crate::telemetry::Recorder;

/// Tells of each request that goes down to one endpoint, when it has ended: a record and a span. See the
/// [module](crate::telemetry).
///
/// One layer for each endpoint, with its name. It stands directly above
/// [`ObserveLayer`](tower_aoai_core::ObserveLayer) and the time limits, below circuit breaker, quota and credential, so
/// that what these refuse is no attempt. Without an observer below, an attempt is what the head of its answer says.
/// Around a body of any type; response bodies are of [`Bytes`](bytes::Bytes).
///
/// Cheap to clone; its services share its settings and nothing else.
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct AttemptTelemetryLayer {
    settings: Option<Arc<Settings>>,
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) endpoint: Arc<str>,
    pub(super) recorders: Vec<Arc<dyn Recorder>>,
    pub(super) classify: Arc<dyn Classify>,
}

impl AttemptTelemetryLayer {
    /// A layer for the endpoint of that name that makes spans, and tells no recorder.
    pub fn new(endpoint: impl Into<Arc<str>>) -> Self {
        Self {
            settings: Some(Arc::new(Settings {
                endpoint: endpoint.into(),
                recorders: Vec::new(),
                classify: Arc::new(AzureClassifier::default()),
            })),
        }
    }

    /// Tells of nothing: requests and responses pass, only errors are flattened. What is set on a layer that is off has
    /// no effect.
    ///
    /// Of the same type, so that a stack's type does not depend on its configuration.
    pub const fn off() -> Self {
        Self { settings: None }
    }

    /// Tells this recorder, too. Recorders are told in the order in which they came.
    pub fn recorder(self, recorder: Arc<dyn Recorder>) -> Self {
        self.with(|settings| settings.recorders.push(recorder))
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

impl<S> Layer<S> for AttemptTelemetryLayer {
    type Service = AttemptTelemetry<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AttemptTelemetry::new(inner, self.settings.clone())
    }
}
