//! The wait between two attempts.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;
use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::hook::HookFuture;

/// Ends at its instant, or when the hook has ended, whichever is later.
#[pin_project]
pub(crate) struct Pause {
    #[pin]
    timer: Sleep,
    /// Behind a mutex that is never locked, only to be `Sync`.
    hook: Option<Mutex<HookFuture>>,
}

impl Pause {
    pub(crate) fn until(at: Instant, hook: Option<HookFuture>) -> Self {
        Self { timer: sleep_until(at), hook: hook.map(Mutex::new) }
    }
}

impl Future for Pause {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if let Some(hook) = this.hook
            && hook.get_mut().as_mut().poll(cx).is_ready()
        {
            *this.hook = None;
        }
        ready!(this.timer.poll(cx));
        if this.hook.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl fmt::Debug for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pause").field("until", &self.timer.deadline()).finish_non_exhaustive()
    }
}
