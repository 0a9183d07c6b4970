//! The layer and its one setting.

use std::time::Duration;

use tower_layer::Layer;

use super::Deadline;

/// Gives each call a deadline: see the [module](super).
#[derive(Debug, Clone, Copy)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct DeadlineLayer {
    total: Option<Duration>,
}

impl DeadlineLayer {
    /// A call has `total` from this layer to its last body byte. A caller's own, earlier deadline in the
    /// [`CallContext`](crate::CallContext) stands.
    pub const fn new(total: Duration) -> Self {
        Self { total: Some(total) }
    }

    /// Sets no deadline of its own, without changing the stack's type; one that the caller brings is kept to.
    pub const fn off() -> Self {
        Self { total: None }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Deadline::new(inner, self.total)
    }
}
