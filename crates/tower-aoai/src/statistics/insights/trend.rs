//! Which way figures go.

use std::fmt;

use serde::Serialize;
use tokio::time::Instant;

use crate::statistics::{
    activity::Activity,
    meter::{HOURS, Meter},
    ring::Ring,
};

/// How a figure has changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Trend {
    /// Which figure: `calls`, `tokens`, `failures`, `throttled` or `waited_seconds`.
    pub figure: &'static str,
    /// Over `minutes` or `hours`.
    pub over: &'static str,
    /// Its mean of late, for one of these: of the last 5 minutes, or the last 3 hours.
    pub recent: f64,
    /// Its mean before: of up to 25 minutes, or 24 hours.
    pub before: f64,
    /// The first over the second; `null` where there was nothing before.
    pub ratio: Option<f64>,
    /// Which way.
    pub direction: Direction,
}

/// Which way a figure goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Up.
    Rising,
    /// Down.
    Falling,
    /// Neither, or no more than chance would have it.
    Steady,
}

const FIGURES: [(&str, fn(&Activity) -> f64); 5] = [
    ("calls", |activity| activity.calls as f64),
    ("tokens", |activity| (activity.tokens.input + activity.tokens.output) as f64),
    ("failures", |activity| activity.bad() as f64),
    ("throttled", |activity| activity.throttled as f64),
    ("waited_seconds", |activity| activity.waited_seconds),
];

pub(super) fn over_minutes(meter: &Meter, now: Instant) -> Vec<Trend> {
    over("minutes", &meter.minutes, now, 5, 25)
}

pub(super) fn over_hours(meter: &Meter, now: Instant) -> Vec<Trend> {
    over("hours", &meter.hours, now, 3, HOURS / 2)
}

/// Of whole steps only; there must be as many before as of late.
fn over(name: &'static str, ring: &Ring<Activity>, now: Instant, recent: usize, before: usize) -> Vec<Trend> {
    let before = before.min(ring.whole_steps(now).saturating_sub(recent));
    if before < recent {
        return Vec::new();
    }
    FIGURES
        .iter()
        .map(|(figure, of)| {
            let values = |from: usize, steps: usize| -> Vec<f64> {
                (from..from + steps).map(|ago| of(&ring.ago(now, ago))).collect()
            };
            trend(figure, name, &values(1, recent), &values(1 + recent, before))
        })
        .collect()
}

/// A difference of means is told only if it is a tenth at least, and three times what chance makes of it.
fn trend(figure: &'static str, over: &'static str, recent: &[f64], before: &[f64]) -> Trend {
    let (now, variance_now) = mean_and_error(recent);
    let (then, variance_then) = mean_and_error(before);
    let difference = now - then;
    let is_chance = difference.abs() <= 3.0 * (variance_now + variance_then).sqrt();
    let direction = if is_chance || difference.abs() < 0.1 * then {
        Direction::Steady
    } else if difference > 0.0 {
        Direction::Rising
    } else {
        Direction::Falling
    };
    Trend { figure, over, recent: now, before: then, ratio: (then > 0.0).then(|| now / then), direction }
}

/// The mean, and the variance of that mean: at least that of a count.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let spread = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    (mean, spread.max(mean) / count)
}

/// A figure so many minutes ahead, by a straight line through the last 15 whole minutes: not below 0, and not above three
/// times the most of these. `None` with fewer than 5.
pub(super) fn ahead(meter: &Meter, now: Instant, minutes: u64, figure: fn(&Activity) -> f64) -> Option<f64> {
    let known = meter.minutes.whole_steps(now).min(15);
    if known < 5 {
        return None;
    }
    let values: Vec<f64> = (1..=known).rev().map(|ago| figure(&meter.minutes.ago(now, ago))).collect();
    Some(extended(&values, minutes))
}

fn extended(values: &[f64], steps: u64) -> f64 {
    let count = values.len() as f64;
    let middle = (count - 1.0) / 2.0;
    let mean = values.iter().sum::<f64>() / count;
    let (mut along, mut square) = (0.0, 0.0);
    for (place, value) in values.iter().enumerate() {
        let from_middle = place as f64 - middle;
        along += from_middle * (value - mean);
        square += from_middle * from_middle;
    }
    let slope = if square > 0.0 { along / square } else { 0.0 };
    let most = values.iter().copied().fold(0.0, f64::max);
    (mean + slope * (count - 1.0 - middle + steps as f64)).clamp(0.0, most * 3.0)
}

/// `calls rising over minutes: 12.0 where there were 8.0`.
impl fmt::Display for Trend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Rising => "rising",
            Direction::Falling => "falling",
            Direction::Steady => "steady",
        };
        let Self { figure, over, recent, before, .. } = self;
        write!(f, "{figure} {direction} over {over}: {recent:.1} where there were {before:.1}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(recent: &[f64], before: &[f64]) -> Direction {
        trend("calls", "minutes", recent, before).direction
    }

    #[test]
    fn a_change_is_told_if_it_is_more_than_chance() {
        assert_eq!(of(&[100.0; 5], &[50.0; 20]), Direction::Rising);
        assert_eq!(of(&[0.0; 5], &[50.0; 20]), Direction::Falling);
        assert_eq!(of(&[3.0, 5.0, 4.0, 3.0, 6.0], &[3.0, 4.0, 2.0, 4.0, 5.0]), Direction::Steady, "few calls");
        assert_eq!(of(&[1_005.0; 5], &[1_000.0; 20]), Direction::Steady, "half a hundredth");
        assert_eq!(of(&[0.0; 5], &[0.0; 20]), Direction::Steady, "nothing at all");
    }

    #[test]
    fn a_line_is_drawn_on() {
        let line: Vec<f64> = (0..15).map(|minute| 10.0 + 2.0 * f64::from(minute)).collect();
        assert!((extended(&line, 5) - 48.0).abs() < 1e-9);
        let falling: Vec<f64> = line.iter().rev().copied().collect();
        assert!(extended(&falling, 50).abs() < f64::EPSILON, "there are no fewer than no calls");
    }

    proptest! {
        #[test]
        fn no_forecast_is_negative_wild_or_no_number(
            values in prop::collection::vec(0.0..1e12f64, 5..16),
            steps in 0u64..10_000,
        ) {
            let told = extended(&values, steps);
            let most = values.iter().copied().fold(0.0, f64::max);
            prop_assert!(told.is_finite() && (0.0..=most * 3.0).contains(&told));
        }
    }
}
