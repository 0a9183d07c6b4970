//! What happened in each of the last minutes, or hours.

use std::time::Duration;

use tokio::time::Instant;

/// A value for each of the last steps of time; older ones are overwritten.
#[derive(Debug, Clone)]
pub(crate) struct Ring<T> {
    start: Instant,
    step: Duration,
    latest: u64,
    slots: Box<[Slot<T>]>,
}

#[derive(Debug, Clone, Default)]
struct Slot<T> {
    /// From 1, so that an empty slot is of no step.
    step: u64,
    value: T,
}

impl<T: Default + Clone> Ring<T> {
    pub(crate) fn new(start: Instant, step: Duration, kept: usize) -> Self {
        Self { start, step, latest: 0, slots: vec![Slot::default(); kept.max(1)].into() }
    }

    fn step_of(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.start).as_nanos() / self.step.as_nanos().max(1);
        u64::try_from(passed).unwrap_or(u64::MAX - 1) + 1
    }

    fn place(&self, step: u64) -> usize {
        (step % self.slots.len() as u64) as usize
    }

    /// The value of the step that `now` is in. What comes too late for its own step counts for the latest.
    pub(crate) fn at(&mut self, now: Instant) -> &mut T {
        let mut step = self.step_of(now);
        if self.latest.saturating_sub(step) >= self.slots.len() as u64 {
            step = self.latest;
        }
        self.latest = self.latest.max(step);
        let place = self.place(step);
        let slot = &mut self.slots[place];
        if slot.step != step {
            *slot = Slot { step, value: T::default() };
        }
        &mut slot.value
    }

    /// Whole steps that have passed since the start, at most as many as are kept besides the one under way.
    pub(crate) fn whole_steps(&self, now: Instant) -> usize {
        let whole = self.step_of(now).saturating_sub(1);
        usize::try_from(whole).unwrap_or(usize::MAX).min(self.slots.len() - 1)
    }

    /// The value of the step that was so many ago; 0 is the one under way.
    pub(crate) fn ago(&self, now: Instant, steps: usize) -> T {
        let step = self.step_of(now).saturating_sub(steps as u64);
        let slot = &self.slots[self.place(step)];
        if step > 0 && slot.step == step { slot.value.clone() } else { T::default() }
    }

    /// The last `steps` values, the one under way included, oldest first.
    pub(crate) fn last(&self, now: Instant, steps: usize) -> impl Iterator<Item = T> {
        let steps = steps.min(self.whole_steps(now) + 1);
        (0..steps).rev().map(move |ago| self.ago(now, ago))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_step_without_anything_is_zero_and_an_old_one_is_gone() {
        let start = Instant::now();
        let at = |minutes: u64| start + MINUTE * minutes as u32 + Duration::from_secs(5);
        let mut ring: Ring<u64> = Ring::new(start, MINUTE, 4);
        *ring.at(at(0)) += 1;
        *ring.at(at(2)) += 3;
        assert_eq!(ring.last(at(2), 9).collect::<Vec<_>>(), [1, 0, 3]);
        *ring.at(at(4)) += 5;
        assert_eq!(ring.last(at(4), 9).collect::<Vec<_>>(), [0, 3, 0, 5]);
        assert_eq!(ring.last(at(99), 9).sum::<u64>(), 0);
        assert_eq!(ring.whole_steps(at(99)), 3);
    }

    proptest! {
        #[test]
        fn nothing_is_counted_twice_or_lost_while_it_is_kept(times in prop::collection::vec(0u64..4_000, 1..200)) {
            let start = Instant::now();
            let mut ring: Ring<u64> = Ring::new(start, MINUTE, 120);
            for seconds in &times {
                *ring.at(start + Duration::from_secs(*seconds)) += 1;
            }
            let end = start + Duration::from_secs(*times.iter().max().expect("some"));
            prop_assert_eq!(ring.last(end, 120).sum::<u64>(), times.len() as u64);
        }
    }
}
