//! Calls under way, counted, so that their end can be waited for.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::sync::Notify;

/// The highest bit: no more calls are let in. The others count those under way.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// Counts the calls that came in and have not ended.
#[derive(Debug, Default)]
pub(super) struct Flight {
    state: AtomicUsize,
    landed: Notify,
}

/// One of them. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Ticket {
    flight: Arc<Flight>,
}

impl Flight {
    /// `None` when it is closed.
    pub(super) fn board(self: &Arc<Self>) -> Option<Ticket> {
        if self.state.fetch_add(1, SeqCst) & CLOSED == 0 {
            return Some(Ticket { flight: Arc::clone(self) });
        }
        self.leave();
        None
    }

    /// From now on nobody comes in.
    pub(super) fn close(&self) {
        self.state.fetch_or(CLOSED, SeqCst);
    }

    pub(super) fn under_way(&self) -> usize {
        self.state.load(SeqCst) & !CLOSED
    }

    /// Waits until nobody is left. Dropping the wait changes nothing.
    pub(super) async fn emptied(&self) {
        loop {
            let mut landed = std::pin::pin!(self.landed.notified());
            // Registered before the look, so that who leaves in between is not missed.
            landed.as_mut().enable();
            if self.under_way() == 0 {
                return;
            }
            landed.await;
        }
    }

    fn leave(&self) {
        if (self.state.fetch_sub(1, SeqCst) - 1) & !CLOSED == 0 {
            self.landed.notify_waiters();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.flight.leave();
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    #[test]
    fn who_is_under_way_is_waited_for_and_nobody_comes_in_after_the_close() {
        let flight = Arc::new(Flight::default());
        let (one, other) = (flight.board().expect("open"), flight.board().expect("open"));
        let mut emptied = task::spawn(flight.emptied());
        assert_pending!(emptied.poll());
        flight.close();
        assert!(flight.board().is_none());
        drop(one);
        assert_eq!(flight.under_way(), 1);
        assert_pending!(emptied.poll());
        drop(other);
        assert!(emptied.is_woken());
        assert_ready!(emptied.poll());
        assert_ready!(task::spawn(flight.emptied()).poll());
    }
}
