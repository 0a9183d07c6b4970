//! How many calls at once a server bears that says when it is overloaded.

/// An overload takes this much of the limit.
const LOST: f64 = 0.9;

/// A limit of calls in flight that is found out: an overload takes a tenth of it, each success gives back its share of one
/// call, so that a limit's worth of successes raises it by one.
///
/// What was let through before the last change downwards says nothing of the limit after it, and is ignored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Adaptive {
    limit: f64,
    range: InFlightRange,
    generation: u32,
}

/// Within what a limit of calls in flight is found out; see [`Limits::adaptive_in_flight`](crate::Limits::adaptive_in_flight).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlightRange {
    /// Never fewer calls at once; 1 if it is 0.
    pub min: usize,
    /// Never more; `min` if it is less.
    pub max: usize,
}

impl InFlightRange {
    fn bounds(self) -> (f64, f64) {
        let min = self.min.max(1);
        (min as f64, self.max.max(min) as f64)
    }
}

impl Adaptive {
    /// Begins with the most: nobody has complained yet.
    pub(crate) fn new(range: InFlightRange) -> Self {
        Self { limit: range.bounds().1, range, generation: 0 }
    }

    /// Another range from now on; what was found out stays, within it.
    pub(crate) fn set(&mut self, range: InFlightRange) {
        self.range = range;
        let (min, max) = range.bounds();
        self.limit = self.limit.clamp(min, max);
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// To be kept with what is let through now.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// The server bore it, with so many in flight. Where less than half of the limit is used, nothing is known of more.
    pub(crate) fn succeed(&mut self, generation: u32, in_flight: usize) {
        if generation == self.generation && in_flight.saturating_mul(2) >= self.limit() {
            self.limit = (self.limit + 1.0 / self.limit).min(self.range.bounds().1);
        }
    }

    /// The server did not bear it.
    pub(crate) fn overload(&mut self, generation: u32) {
        if generation == self.generation {
            self.limit = (self.limit * LOST).max(self.range.bounds().0);
            self.generation = self.generation.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(min: usize, max: usize) -> Adaptive {
        Adaptive::new(InFlightRange { min, max })
    }

    proptest! {
        #[test]
        fn c3_the_limit_stays_in_its_range_and_does_not_grow_while_it_is_not_used(
            min in 0usize..50, max in 0usize..200, steps in prop::collection::vec((any::<bool>(), 0usize..300), 1..400),
        ) {
            let mut adaptive = of(min, max);
            for (is_success, in_flight) in steps {
                let (before, generation) = (adaptive.limit, adaptive.generation());
                if is_success {
                    adaptive.succeed(generation, in_flight);
                    let is_used = in_flight * 2 >= before as usize;
                    prop_assert!(adaptive.limit >= before);
                    prop_assert!(is_used || (adaptive.limit - before).abs() < f64::EPSILON);
                    prop_assert!(adaptive.limit - before <= 1.0);
                } else {
                    adaptive.overload(generation);
                    prop_assert!(adaptive.limit <= before && adaptive.limit >= before * LOST);
                }
                let low = min.max(1);
                prop_assert!((low..=max.max(low)).contains(&adaptive.limit()));
            }
        }
    }

    #[test]
    fn c3_a_burst_of_failures_counts_once_and_stale_successes_do_not() {
        let mut adaptive = of(1, 100);
        let before = adaptive.generation();
        for _ in 0..50 {
            adaptive.overload(before);
        }
        assert_eq!(adaptive.limit(), 90);
        for _ in 0..1_000 {
            adaptive.succeed(before, 90);
        }
        assert_eq!(adaptive.limit(), 90);
        for _ in 0..90 {
            adaptive.succeed(adaptive.generation(), 90);
        }
        assert!(
            (90.99..=91.01).contains(&adaptive.limit),
            "one call for a limit's worth of successes: {}",
            adaptive.limit
        );
    }
}
