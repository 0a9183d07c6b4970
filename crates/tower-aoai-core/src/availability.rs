//! How a balancer asks a layer when a call could start.

use std::{fmt, sync::Arc};

use tokio::time::Instant;

use crate::CallContext;

/// When a layer would let a call through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Enter now, and this layer starts the call at that instant (not before the asked one).
    At(Instant),
    /// The layer refuses, until the instant if it knows one.
    Shut(Option<Instant>),
}

/// How busy a layer's state is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Load {
    /// Calls sent and not yet ended.
    pub in_flight: usize,
    /// Calls that wait here.
    pub queued: usize,
}

impl Load {
    /// A load of so many calls in flight and so many waiting.
    #[must_use]
    pub const fn new(in_flight: usize, queued: usize) -> Self {
        Self { in_flight, queued }
    }
}

/// The shared state of a layer that admits calls: asked by a balancer before it chooses.
///
/// Asked of the state, not of a service, so that any layer may stand between the balancer and this one. An answer
/// promises nothing: the call may find another one was faster, and is then refused with nothing sent.
pub trait Availability: fmt::Debug + Send + Sync {
    /// When a call that reaches this layer at `from` would leave it again, downwards.
    ///
    /// Must not block, wait or reserve anything.
    fn admission(&self, call: &CallContext, from: Instant) -> Admission;

    /// How busy the state is.
    fn load(&self) -> Load;
}

/// A layer whose state can be asked.
pub trait Asked {
    /// The state that every service of this layer shares.
    fn availability(&self) -> Arc<dyn Availability>;
}

impl Admission {
    /// Folds the answers of several states, outermost first: each is asked for the instant at which the one before
    /// lets the call through; the first that is shut ends the fold.
    #[must_use]
    pub fn fold(states: &[Arc<dyn Availability>], call: &CallContext, from: Instant) -> Self {
        let mut at = from;
        for state in states {
            match state.admission(call, at) {
                Self::At(next) => at = at.max(next),
                shut @ Self::Shut(_) => return shut,
            }
        }
        Self::At(at)
    }
}
