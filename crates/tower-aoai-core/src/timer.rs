//! Timers that are made when they are first waited for: most calls never do.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Waits until `at`, with a timer that stays where it is and is made now if there is none.
pub(crate) fn poll_until(mut timer: Pin<&mut Option<Sleep>>, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
    if timer.is_none() {
        timer.set(Some(sleep_until(at)));
    }
    timer.as_pin_mut().map_or(Poll::Pending, |timer| timer.poll(cx))
}

/// A timer for an instant that may change from one poll to the next, in a body that may be moved after it was polled.
#[derive(Debug, Default)]
pub(crate) struct MovingTimer(Option<Pin<Box<Sleep>>>);

impl MovingTimer {
    /// Waits until `at`.
    ///
    /// Where `at` has moved away the timer is left to run out first: setting it anew for every token of a stream would
    /// cost more than waking up once too often.
    pub(crate) fn poll_until(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        ready!(timer.as_mut().poll(cx));
        if timer.deadline() < at {
            timer.as_mut().reset(at);
            ready!(timer.as_mut().poll(cx));
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn wherever_the_instant_moves_it_is_kept_to() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for moves in [[5, 9, 7], [9, 5, 6], [5, 5, 5], [3, 2, 1]] {
            let mut timer = MovingTimer::default();
            for at in moves.map(|seconds| Instant::now() + Duration::from_secs(seconds)) {
                poll_fn(|cx| {
                    assert!(timer.poll_until(at, cx).is_pending());
                    Poll::Ready(())
                })
                .await;
            }
            let at = Instant::now() + Duration::from_secs(moves[2]);
            poll_fn(|cx| timer.poll_until(at, cx)).await;
            assert_eq!(Instant::now(), at, "{moves:?}");
        }
        let mut timer = MovingTimer::default();
        poll_fn(|cx| timer.poll_until(at(0), cx)).await;
        assert!(Instant::now() > at(0), "an instant that has passed is not waited for");
    }
}
