//! The layer and its one setting.

use tower_layer::Layer;

use super::RejectedResponse;
use crate::Error;

/// Answers what the layers below refused: see the [module](super).
#[derive(Debug, Clone, Copy, Default)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct RejectedResponseLayer {
    answers: Answers,
}

/// Which errors become responses.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Answers {
    None,
    #[default]
    Refusals,
    EveryError,
}

impl RejectedResponseLayer {
    /// Refusals become responses; time limits and transport errors stay errors.
    pub const fn new() -> Self {
        Self { answers: Answers::Refusals }
    }

    /// Every error stays one, without changing the stack's type.
    pub const fn off() -> Self {
        Self { answers: Answers::None }
    }

    /// Every error becomes a response: 504 for time limits, 502 for transport errors, whose body says no more than
    /// that. A layer that is off stays off.
    pub const fn every_error(mut self) -> Self {
        if matches!(self.answers, Answers::Refusals) {
            self.answers = Answers::EveryError;
        }
        self
    }
}

impl Answers {
    pub(super) const fn take(self, error: &Error) -> bool {
        match self {
            Self::None => false,
            Self::Refusals => error.rejected().is_some(),
            Self::EveryError => true,
        }
    }
}

impl<S> Layer<S> for RejectedResponseLayer {
    type Service = RejectedResponse<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RejectedResponse::new(inner, self.answers)
    }
}
