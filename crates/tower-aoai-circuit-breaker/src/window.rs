//! What happened lately.

use std::time::Duration;

use tokio::time::Instant;
use tower_aoai_core::later;

/// In so many parts a window ages.
pub(crate) const WINDOW_PARTS: u64 = 10;

/// One more than there are parts, so that nothing younger than the window is ever forgotten.
const BUCKETS: usize = WINDOW_PARTS as usize + 1;

/// Counts over the last while, exact: in buckets whose bounds lie at whole multiples of their length since the start,
/// so that they do not drift, however calls come.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    start: Instant,
    bucket_nanos: u64,
    buckets: [Bucket; BUCKETS],
    /// The bucket that counts now, and until when it does: most calls need not reckon.
    current: usize,
    current_ends: Instant,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    number: u64,
    tally: Tally,
}

/// What is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) successes: u32,
    pub(crate) failures: u32,
    /// Heads of answers…
    pub(crate) heads: u32,
    /// …and those among them that came late.
    pub(crate) slow: u32,
}

impl Window {
    pub(crate) fn new(start: Instant, length: Duration) -> Self {
        let bucket_nanos =
            u64::try_from(length.as_nanos().div_ceil(u128::from(WINDOW_PARTS))).unwrap_or(u64::MAX).max(1);
        Self { start, bucket_nanos, buckets: [Bucket::default(); BUCKETS], current: 0, current_ends: start }
    }

    fn number(&self, now: Instant) -> u64 {
        let nanos = now.saturating_duration_since(self.start).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX) / self.bucket_nanos
    }

    /// What is counted now. `now` never goes back.
    pub(crate) fn current(&mut self, now: Instant) -> &mut Tally {
        if now >= self.current_ends {
            let number = self.number(now);
            self.current = (number % BUCKETS as u64) as usize;
            let ends = Duration::from_nanos(number.saturating_add(1).saturating_mul(self.bucket_nanos));
            self.current_ends = later(self.start, ends);
            self.buckets[self.current] = Bucket { number, tally: Tally::default() };
        }
        &mut self.buckets[self.current].tally
    }

    /// All that is not too old.
    pub(crate) fn tally(&self, now: Instant) -> Tally {
        let number = self.number(now);
        let young = self.buckets.iter().filter(|bucket| bucket.number.saturating_add(WINDOW_PARTS) >= number);
        young.fold(Tally::default(), |sum, bucket| sum.plus(bucket.tally))
    }

    pub(crate) fn clear(&mut self) {
        self.buckets = [Bucket::default(); BUCKETS];
        self.current_ends = self.start;
    }
}

impl Tally {
    fn plus(self, other: Self) -> Self {
        Self {
            successes: self.successes.saturating_add(other.successes),
            failures: self.failures.saturating_add(other.failures),
            heads: self.heads.saturating_add(other.heads),
            slow: self.slow.saturating_add(other.slow),
        }
    }

    /// Successes and failures.
    pub(crate) const fn calls(self) -> u32 {
        self.successes.saturating_add(self.failures)
    }
}

/// Counts one more, as far as one can count.
pub(crate) const fn count(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LENGTH: Duration = Duration::from_secs(30);

    proptest! {
        /// Nothing younger than the window is missing, nothing older than the window and a part of it is there.
        #[test]
        fn b7_what_counts_depends_on_age_alone(
            gaps in prop::collection::vec(0u64..20_000, 1..200),
            origin in 0u64..100_000,
        ) {
            let start = Instant::now();
            let mut window = Window::new(start, LENGTH);
            let mut now = start + Duration::from_millis(origin);
            let mut events = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                window.current(now).failures += 1;
                events.push(now);
                let younger_than = |age: Duration| {
                    events.iter().filter(|at| now.saturating_duration_since(**at) <= age).count() as u32
                };
                let counted = window.tally(now).failures;
                prop_assert!(counted >= younger_than(LENGTH), "one was forgotten too early");
                prop_assert!(counted <= younger_than(LENGTH + LENGTH / 10), "one was kept for too long");
            }
        }
    }

    #[test]
    fn it_is_empty_after_a_long_silence_and_survives_any_length() {
        let start = Instant::now();
        for length in [Duration::from_nanos(1), LENGTH, Duration::MAX] {
            let mut window = Window::new(start, length);
            count(&mut window.current(start).successes);
            assert_eq!(window.tally(start).successes, 1);
            let later = start + Duration::from_secs(3_600);
            assert_eq!(window.tally(later).successes, u32::from(length > LENGTH));
        }
    }
}
