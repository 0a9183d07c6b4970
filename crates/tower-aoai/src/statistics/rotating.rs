//! Quantiles of the last minutes, in bounded memory.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::time::Instant;

/// Two of a hundred thousand are told apart if they differ by a hundredth.
const DIGITS: u8 = 2;

/// What is larger is counted as this.
const LARGEST: u64 = 1 << 22;

/// How values are spread, over the time that is told with them. Each is known to one in a hundred.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Spread {
    /// How many values there are.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Half of them are not larger.
    pub p50: f64,
    /// Nine of ten are not larger.
    pub p90: f64,
    /// 99 of a hundred are not larger.
    pub p99: f64,
    /// The largest.
    pub max: f64,
    /// From so many seconds ago they are.
    pub over_seconds: f64,
}

/// Two histograms that take turns: together they hold the values of the last one to two turns.
///
/// HDR histograms and not a sketch of samples: their error is bounded for every quantile, their memory by the largest
/// value alone (9 KiB for one up to [`LARGEST`], and less as long as values are small), and an entry costs some
/// nanoseconds.
#[derive(Debug, Clone)]
pub(crate) struct Rotating {
    turn: Duration,
    began: Option<Instant>,
    young: Option<Histogram<u32>>,
    old: Option<Histogram<u32>>,
}

impl Rotating {
    /// Values are kept for one to two of these turns.
    pub(crate) const fn new(turn: Duration) -> Self {
        Self { turn, began: None, young: None, old: None }
    }

    fn rotate(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let age = now.saturating_duration_since(began);
        if age < self.turn {
            return;
        }
        if age < self.turn * 2 {
            std::mem::swap(&mut self.young, &mut self.old);
            self.began = Some(began + self.turn);
        } else {
            if let Some(old) = &mut self.old {
                old.reset();
            }
            self.began = Some(now);
        }
        if let Some(young) = &mut self.young {
            young.reset();
        }
    }

    pub(crate) fn record(&mut self, now: Instant, value: u64) {
        self.rotate(now);
        if self.young.is_none() {
            self.young = Histogram::new(DIGITS).ok();
        }
        if let Some(young) = &mut self.young {
            // It grows as it has to, up to this.
            let _ = young.record(value.min(LARGEST));
        }
    }

    /// In milliseconds.
    pub(crate) fn record_time(&mut self, now: Instant, time: Duration) {
        self.record(now, u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    }

    /// The values of the last one to two turns; `None` if there are none. They are multiplied by `unit`.
    pub(crate) fn spread(&self, now: Instant, unit: f64) -> Option<Spread> {
        let all = self.all(now)?;
        let at = |quantile: f64| all.value_at_quantile(quantile) as f64 * unit;
        let young_for = now.saturating_duration_since(self.began?);
        let over = if self.old.as_ref().is_some_and(|old| !old.is_empty()) { young_for + self.turn } else { young_for };
        Some(Spread {
            count: all.len(),
            mean: all.mean() * unit,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: all.max() as f64 * unit,
            over_seconds: over.min(self.turn * 2).as_secs_f64(),
        })
    }

    fn all(&self, now: Instant) -> Option<Histogram<u32>> {
        let mut current = self.clone();
        current.rotate(now);
        let mut all = current.young.or_else(|| Histogram::new(DIGITS).ok())?;
        if let Some(old) = current.old {
            all.add(old).ok()?;
        }
        Some(all).filter(|all| !all.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TURN: Duration = Duration::from_secs(300);

    #[test]
    fn quantiles_speak_of_the_last_minutes_and_not_of_the_whole_uptime() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut times = Rotating::new(TURN);
        for second in 0..600 {
            times.record_time(at(second), Duration::from_millis(100));
        }
        for second in 900..1_200 {
            times.record_time(at(second), Duration::from_millis(4_000));
        }
        let spread = times.spread(at(1_200), 1e-3).expect("values");
        assert_eq!(spread.count, 300, "{spread:?}");
        assert!((spread.p50 - 4.0).abs() < 0.05, "{spread:?}");
        assert_eq!(times.spread(at(9_999), 1e-3), None, "and after a pause there is nothing to say");
    }

    #[test]
    fn its_memory_does_not_depend_on_how_much_it_has_seen() {
        let start = Instant::now();
        let mut times = Rotating::new(TURN);
        for value in 0..100_000u64 {
            times.record(start + Duration::from_millis(value * 10), value.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        }
        let buckets = |histogram: &Option<Histogram<u32>>| histogram.as_ref().map_or(0, Histogram::distinct_values);
        assert!(buckets(&times.young) * size_of::<u32>() <= 10 * 1024);
        assert!(buckets(&times.old) * size_of::<u32>() <= 10 * 1024);
    }

    proptest! {
        #[test]
        fn each_quantile_is_within_a_hundredth(mut values in prop::collection::vec(1u64..2_000_000, 1..300)) {
            let now = Instant::now();
            let mut spread = Rotating::new(TURN);
            values.iter().for_each(|value| spread.record(now, *value));
            values.sort_unstable();
            for quantile in [0.5, 0.9, 0.99, 1.0] {
                let rank = ((values.len() as f64 * quantile).ceil() as usize).clamp(1, values.len());
                let exact = values[rank - 1] as f64;
                let found = spread.all(now).expect("values").value_at_quantile(quantile) as f64;
                prop_assert!((found - exact).abs() <= exact * 0.01 + 1.0, "{quantile}: {found} for {exact}");
            }
        }
    }
}
