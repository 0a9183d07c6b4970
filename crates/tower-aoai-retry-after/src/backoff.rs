//! How long to wait when the server did not say.

use std::time::Duration;

/// Exponential backoff: `base * multiplier^n`, jittered, and never longer than `cap`.
///
/// Defaults: 0.5 s, times 2, at most 8 s, which are openai-python's, but [full jitter](Jitter::Full), which of all
/// jitters costs the fewest calls for nearly the best time when many clients compete (Brooker, "Exponential Backoff And
/// Jitter", AWS 2015).
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub struct Backoff {
    base: Duration,
    multiplier: f64,
    cap: Duration,
    jitter: Jitter,
}

/// What chance does to a backoff.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Jitter {
    /// Nothing: the wait is exact, and all who failed together come back together.
    None,
    /// Adds up to this share of the wait: `Proportional(0.1)` makes 1 s 1.0 to 1.1 s.
    Proportional(f64),
    /// Adds up to this much: `Additive(1 s)` makes 4 s 4 to 5 s.
    Additive(Duration),
    /// Takes off up to this share of the wait: `Shrink(0.25)` makes 8 s 6 to 8 s, as the official SDKs do.
    Shrink(f64),
    /// Anything from nothing to the whole wait.
    Full,
}

impl Backoff {
    /// Starts at `base`, doubles, and stops growing at 8 s, or at `base` if that is longer.
    pub const fn exponential(base: Duration) -> Self {
        let cap = Duration::from_secs(8);
        let cap = if base.as_nanos() > cap.as_nanos() { base } else { cap };
        Self { base, multiplier: 2.0, cap, jitter: Jitter::Full }
    }

    /// Always the same wait, without jitter.
    pub const fn constant(wait: Duration) -> Self {
        Self { base: wait, multiplier: 1.0, cap: wait, jitter: Jitter::None }
    }

    /// What each wait is multiplied by for the next. Below 1, or not a number, counts as 1. Default: 2.
    pub const fn multiplier(mut self, multiplier: f64) -> Self {
        self.multiplier = multiplier;
        self
    }

    /// The longest wait, jitter included. Default: 8 s, or the first wait if that is longer.
    pub const fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// What chance does to each wait. Shares below 0, or not a number, count as 0. Default: [`Jitter::Full`].
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// The wait before retry `n`, the first being 0, for a `draw` from 0 to 1.
    #[must_use]
    pub fn delay(&self, n: u32, draw: f64) -> Duration {
        let multiplier = if self.multiplier >= 1.0 { self.multiplier } else { 1.0 };
        // Finite, or a base of zero would grow to something that is not a number.
        let growth = multiplier.powf(f64::from(n)).min(f64::MAX);
        let grown = self.base.as_secs_f64() * growth;
        let cap = self.cap.as_secs_f64();
        let jittered = self.jitter.apply(grown.min(cap), draw.clamp(0.0, 1.0));
        Duration::try_from_secs_f64(jittered).map_or(self.cap, |delay| delay.min(self.cap))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::exponential(Duration::from_millis(500))
    }
}

impl Jitter {
    fn apply(self, seconds: f64, draw: f64) -> f64 {
        let share = |share: f64| if share > 0.0 { share } else { 0.0 };
        match self {
            Self::None => seconds,
            Self::Proportional(part) => seconds * (1.0 + share(part) * draw),
            Self::Additive(most) => seconds + most.as_secs_f64() * draw,
            Self::Shrink(part) => seconds * (1.0 - share(part).min(1.0) * draw),
            Self::Full => seconds * draw,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(backoff: &Backoff, draw: f64) -> Vec<f64> {
        (0..5).map(|n| backoff.delay(n, draw).as_secs_f64()).collect()
    }

    #[test]
    fn doubling_from_one_second_with_up_to_a_second_on_top() {
        let backoff = Backoff::exponential(Duration::from_secs(1))
            .cap(Duration::from_secs(60))
            .jitter(Jitter::Additive(Duration::from_secs(1)));
        assert_eq!(seconds(&backoff, 0.0), [1.0, 2.0, 4.0, 8.0, 16.0]);
        assert_eq!(seconds(&backoff, 0.5), [1.5, 2.5, 4.5, 8.5, 16.5]);
    }

    #[test]
    fn ten_percent_on_top_capped_at_a_minute() {
        let backoff = Backoff::exponential(Duration::from_secs(10))
            .cap(Duration::from_secs(60))
            .jitter(Jitter::Proportional(0.1));
        assert_eq!(seconds(&backoff, 1.0), [11.0, 22.0, 44.0, 60.0, 60.0]);
    }

    #[test]
    fn the_rule_of_the_official_sdks() {
        let backoff = Backoff::default().jitter(Jitter::Shrink(0.25));
        assert_eq!(seconds(&backoff, 0.0), [0.5, 1.0, 2.0, 4.0, 8.0]);
        assert_eq!(seconds(&backoff, 1.0), [0.375, 0.75, 1.5, 3.0, 6.0]);
    }

    proptest! {
        #[test]
        fn no_delay_is_longer_than_its_cap_and_none_panics(
            base in any::<Duration>(),
            cap in any::<Duration>(),
            multiplier in any::<f64>(),
            part in any::<f64>(),
            kind in 0..5,
            n in any::<u32>(),
            draw in any::<f64>(),
        ) {
            let jitter = match kind {
                0 => Jitter::None,
                1 => Jitter::Proportional(part),
                2 => Jitter::Additive(base),
                3 => Jitter::Shrink(part),
                _ => Jitter::Full,
            };
            let backoff = Backoff::exponential(base).multiplier(multiplier).cap(cap).jitter(jitter);
            prop_assert!(backoff.delay(n, draw) <= cap);
        }

        #[test]
        fn a_base_of_zero_stays_zero(n in any::<u32>(), draw in 0.0f64..1.0) {
            prop_assert_eq!(Backoff::exponential(Duration::ZERO).delay(n, draw), Duration::ZERO);
        }

        #[test]
        fn without_jitter_delays_never_shrink(base in 0u64..10_000, multiplier in 1.0f64..5.0) {
            let backoff = Backoff::exponential(Duration::from_millis(base)).multiplier(multiplier).jitter(Jitter::None);
            prop_assert!((0..40).all(|n| backoff.delay(n, 0.0) <= backoff.delay(n + 1, 0.0)));
        }
    }
}
