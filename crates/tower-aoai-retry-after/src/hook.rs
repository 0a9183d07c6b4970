//! What is told before each retry.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use tower_aoai_core::Outcome;

use crate::RetryReason;

/// A retry that is about to be waited for.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RetryEvent {
    /// How often the call was sent so far; 0 if it was only refused here.
    pub attempt: u32,
    /// How long it now waits, jitter included.
    pub delay: Duration,
    /// What for.
    pub reason: RetryReason,
    /// What became of the last attempt; `None` where it was refused here.
    pub outcome: Option<Outcome>,
}

pub(crate) type HookFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A function of the user's own, called before each retry.
#[derive(Clone)]
pub(crate) struct Hook(Arc<dyn Fn(RetryEvent) -> HookFuture + Send + Sync>);

impl Hook {
    pub(crate) fn new<H, F>(hook: H) -> Self
    where
        H: Fn(RetryEvent) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Arc::new(move |event| Box::pin(hook(event))))
    }

    pub(crate) fn call(&self, event: RetryEvent) -> HookFuture {
        (self.0)(event)
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook(..)")
    }
}

impl RetryEvent {
    pub(crate) fn new(attempt: u32, retry: &crate::session::Retry, outcome: Option<Outcome>) -> Self {
        Self { attempt, delay: retry.delay, reason: retry.reason, outcome }
    }
}
