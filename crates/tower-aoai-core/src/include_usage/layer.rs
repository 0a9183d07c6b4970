//! The layer.

use tower_layer::Layer;

use super::IncludeUsage;

/// Asks for the usage of streamed answers: see the [module](super).
#[derive(Debug, Clone, Copy)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct IncludeUsageLayer {
    on: bool,
}

impl IncludeUsageLayer {
    /// Asks for it.
    pub const fn new() -> Self {
        Self { on: true }
    }

    /// Leaves every request as it is, without changing the stack's type: for an endpoint whose api-version does not
    /// know `stream_options`.
    pub const fn off() -> Self {
        Self { on: false }
    }
}

impl Default for IncludeUsageLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for IncludeUsageLayer {
    type Service = IncludeUsage<S>;

    fn layer(&self, inner: S) -> Self::Service {
        IncludeUsage::new(inner, self.on)
    }
}
