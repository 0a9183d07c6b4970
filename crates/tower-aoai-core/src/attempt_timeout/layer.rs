//! The layer, and its limits.

use std::time::Duration;

use tower_layer::Layer;

use super::{AttemptTimeout, limits::Limits};

/// Limits the time of each attempt: see the [module](super).
///
/// Without a limit set it changes nothing, and reads no clock.
#[derive(Debug, Clone, Copy, Default)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct AttemptTimeoutLayer {
    limits: Limits,
}

impl AttemptTimeoutLayer {
    /// No limit at all, to begin with.
    pub fn new() -> Self {
        Self::default()
    }

    /// No limit at all, and another name for [`new`](Self::new): for a stack whose type must not change.
    pub fn off() -> Self {
        Self::default()
    }

    /// From the send to the head of the response, then [`Timeout::FirstByte`](crate::Timeout::FirstByte). Default: no limit.
    pub const fn first_byte(mut self, limit: Duration) -> Self {
        self.limits.first_byte = Some(limit);
        self
    }

    /// From the send to the first content of a streamed answer (`text/event-stream`); other answers have none. Before
    /// the head it applies to calls that [`PrepareLayer`](crate::PrepareLayer) has seen to ask for a stream.
    ///
    /// What is content is known from [`ObserveLayer`](crate::ObserveLayer) above; without it, the first frame is.
    pub const fn first_token(mut self, limit: Duration) -> Self {
        self.limits.first_token = Some(limit);
        self
    }

    /// For how long the body may be silent while it is read: from the poll that first found nothing to the next frame.
    /// A reader who takes their time is not the server's silence.
    pub const fn idle(mut self, limit: Duration) -> Self {
        self.limits.idle = Some(limit);
        self
    }

    /// From the send to the last byte, then [`Timeout::Total`](crate::Timeout::Total). Default: no limit.
    pub const fn total(mut self, limit: Duration) -> Self {
        self.limits.total = Some(limit);
        self
    }
}

impl<S> Layer<S> for AttemptTimeoutLayer {
    type Service = AttemptTimeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AttemptTimeout::new(inner, self.limits)
    }
}
