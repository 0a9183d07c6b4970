//! How far a batch is.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// How far a batch is, at one instant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Requests in all: what was [said](super::BatchBuilder::total), or what their iterator knew; after its end, how
    /// many it had.
    pub total: Option<usize>,
    /// Requests answered with a 2xx status.
    pub answered: usize,
    /// Requests that ended in an error or another status.
    pub failed: usize,
    /// Requests under way.
    pub in_flight: usize,
    /// From the first request's start until now, or until the end.
    pub elapsed: Duration,
    /// So many have failed that no more are started ([`stop_after`](super::BatchBuilder::stop_after)).
    pub is_stopped: bool,
}

impl Progress {
    /// Requests that have ended, well or not.
    #[must_use]
    pub const fn ended(&self) -> usize {
        self.answered.saturating_add(self.failed)
    }

    /// Requests ended in a second, on average since the first start; `None` before one has ended.
    #[must_use]
    pub fn per_second(&self) -> Option<f64> {
        let seconds = self.elapsed.as_secs_f64();
        (self.ended() > 0 && seconds > 0.0).then(|| self.ended() as f64 / seconds)
    }

    /// How long the rest will take if it takes as long as what has ended; `None` where that, or the total, is not
    /// known.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.total?.saturating_sub(self.ended());
        if left == 0 || (self.is_stopped && self.in_flight == 0) {
            return Some(Duration::ZERO);
        }
        Duration::try_from_secs_f64(left as f64 / self.per_second()?).ok()
    }
}

/// Shows how far a batch is, to others than those who read its results; clones show the same.
#[derive(Debug, Clone, Default)]
pub struct BatchHandle {
    tally: Arc<Mutex<Tally>>,
}

#[derive(Debug, Default)]
struct Tally {
    progress: Progress,
    began: Option<Instant>,
    over: Option<Instant>,
}

impl BatchHandle {
    /// How far the batch is now. A batch that was dropped stays where it was, with nothing in flight.
    #[must_use]
    pub fn snapshot(&self) -> Progress {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Progress {
        let tally = self.tally.lock();
        let end = tally.over.unwrap_or(now);
        let elapsed = tally.began.map_or(Duration::ZERO, |began| end.saturating_duration_since(began));
        Progress { elapsed, ..tally.progress }
    }
}

/// The batch's own end of the handle: what is in flight with it is so no longer when it is dropped.
#[derive(Debug)]
pub(super) struct Tracker(BatchHandle);

impl Tracker {
    pub(super) fn new(total: Option<usize>) -> Self {
        let handle = BatchHandle::default();
        handle.tally.lock().progress.total = total;
        Self(handle)
    }

    pub(super) fn handle(&self) -> BatchHandle {
        self.0.clone()
    }

    pub(super) fn started(&self, now: Instant) {
        let mut tally = self.0.tally.lock();
        tally.began.get_or_insert(now);
        tally.progress.in_flight += 1;
    }

    pub(super) fn ended(&self, now: Instant, is_failure: bool, is_stopped: bool) -> Progress {
        let mut tally = self.0.tally.lock();
        let progress = &mut tally.progress;
        progress.in_flight = progress.in_flight.saturating_sub(1);
        progress.is_stopped = is_stopped;
        if is_failure {
            progress.failed += 1;
        } else {
            progress.answered += 1;
        }
        drop(tally);
        self.0.at(now)
    }

    /// There were so many requests.
    pub(super) fn counted(&self, total: usize) {
        self.0.tally.lock().progress.total = Some(total);
    }

    pub(super) fn over(&self) {
        let mut tally = self.0.tally.lock();
        if tally.over.is_none() {
            tally.over = Some(Instant::now());
            tally.progress.in_flight = 0;
        }
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.over();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rate_and_time_left_follow_from_what_has_ended() {
        let start = Instant::now();
        let tracker = Tracker::new(Some(10));
        assert_eq!(tracker.handle().snapshot().time_left(), None, "nothing is known yet");
        for _ in 0..4 {
            tracker.started(start);
        }
        tracker.ended(start + Duration::from_secs(1), false, false);
        let progress = tracker.ended(start + Duration::from_secs(4), true, false);
        assert_eq!((progress.answered, progress.failed, progress.in_flight), (1, 1, 2));
        assert_eq!(progress.per_second(), Some(0.5));
        assert_eq!(progress.time_left(), Some(Duration::from_secs(16)));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_total_there_is_no_time_left_until_the_requests_are_counted() {
        let start = Instant::now();
        let tracker = Tracker::new(None);
        tracker.started(start);
        assert_eq!(tracker.ended(start + Duration::from_secs(2), false, false).time_left(), None);
        tracker.counted(1);
        assert_eq!(tracker.handle().snapshot().time_left(), Some(Duration::ZERO));
    }
}
