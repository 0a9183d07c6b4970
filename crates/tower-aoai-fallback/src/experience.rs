//! What a leg's answers have shown: how long they take, and how long they are.

use std::time::Duration;

use crate::asked::Asked;

/// Service times, by how much output is asked for, and a moving average of output tokens.
#[derive(Debug, Clone)]
pub(crate) struct Experience {
    all: Times,
    by_limit: Box<[Times; LIMITS]>,
    output: f64,
}

/// A decaying histogram of times.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// Answers whose time was between two neighbouring powers of [`RATIO`] times [`SHORTEST`].
    bins: [u32; BINS],
    seen: u32,
}

const BINS: usize = 64;
const RATIO: f64 = 1.2;
const SHORTEST: f64 = 0.01;
/// When so many have been seen all counts are halved: what is older counts less and less.
const HALVED_AT: u32 = 2_048;
const ENOUGH: u32 = 20;
/// Of the calls that wait to the last moment one in a thousand may be late.
const QUANTILE: f64 = 0.999;
/// Powers of two up to half a million, and no limit.
const LIMITS: usize = 20;
const SMOOTHING: f64 = 0.05;
/// Before anything is known.
const USUAL_OUTPUT: f64 = 200.0;

impl Default for Experience {
    fn default() -> Self {
        Self { all: Times::NONE, by_limit: Box::new([Times::NONE; LIMITS]), output: USUAL_OUTPUT }
    }
}

impl Experience {
    pub(crate) fn answered(&mut self, asked: Asked, service: Duration, output: Option<u64>) {
        self.all.note(service);
        self.by_limit[limit(asked)].note(service);
        if let Some(output) = output {
            self.output += (output as f64 - self.output) * SMOOTHING;
        }
    }

    /// How long an answer to this call takes at the most, as good as always; `expected` as long as too little is known.
    pub(crate) fn service(&self, asked: Asked, expected: Duration) -> Duration {
        let known = |place: usize| self.by_limit[place].quantile(QUANTILE);
        let place = limit(asked);
        known(place).unwrap_or_else(|| {
            // Nothing is known of calls that ask for as much: twice as long as those that ask for half of it.
            let of_shorter = (0..place)
                .rev()
                .filter(|_| asked.max_output_tokens.is_some())
                .find_map(|shorter| Some(known(shorter)?.saturating_mul(1 << (place - shorter))));
            self.usual().max(of_shorter).map_or(expected, |usual| usual.max(expected))
        })
    }

    /// How long nearly all of the recent answers took at the most; `None` before there are enough.
    pub(crate) fn usual(&self) -> Option<Duration> {
        self.all.quantile(QUANTILE)
    }

    pub(crate) fn output(&self) -> u64 {
        self.output.round() as u64
    }
}

fn limit(asked: Asked) -> usize {
    let log = |most: u64| most.max(1).next_power_of_two().trailing_zeros() as usize;
    asked.max_output_tokens.map_or(LIMITS - 1, |most| log(most.min(1 << 32)).min(LIMITS - 2))
}

impl Times {
    const NONE: Self = Self { bins: [0; BINS], seen: 0 };

    fn note(&mut self, time: Duration) {
        let bin = ((time.as_secs_f64() / SHORTEST).ln() / RATIO.ln()).ceil();
        self.bins[(bin.max(0.0) as usize).min(BINS - 1)] += 1;
        self.seen += 1;
        if self.seen >= HALVED_AT {
            self.bins.iter_mut().for_each(|bin| *bin /= 2);
            self.seen = self.bins.iter().sum();
        }
    }

    fn quantile(&self, quantile: f64) -> Option<Duration> {
        if self.seen < ENOUGH {
            return None;
        }
        let wanted = (f64::from(self.seen) * quantile).ceil() as u32;
        let mut below = 0;
        let bin = self.bins.iter().position(|count| {
            below += count;
            below >= wanted
        });
        bin.map(|bin| Duration::from_secs_f64(SHORTEST * RATIO.powi(bin as i32)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tower_aoai_core::Call;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn asking(output: Option<u64>) -> Asked {
        Asked { max_output_tokens: output, ..Asked::by(&Call::default()) }
    }

    #[test]
    fn what_is_expected_holds_until_enough_is_known() {
        let mut leg = Experience::default();
        let call = asking(Some(100));
        for _ in 1..ENOUGH {
            leg.answered(call, SECOND, None);
        }
        assert_eq!((leg.usual(), leg.service(call, 7 * SECOND)), (None, 7 * SECOND));
        leg.answered(call, SECOND, None);
        assert!(leg.service(call, 7 * SECOND) < 2 * SECOND);
    }

    #[test]
    fn a_call_is_judged_by_those_that_asked_for_as_much() {
        let mut leg = Experience::default();
        let (short, long, unlimited) = (asking(Some(100)), asking(Some(8_000)), asking(None));
        for _ in 0..100 {
            leg.answered(short, SECOND, None);
            leg.answered(long, 60 * SECOND, None);
        }
        assert!(leg.service(asking(Some(120)), SECOND) < 2 * SECOND);
        assert!(leg.service(long, SECOND) >= 60 * SECOND);
        let longer = leg.service(asking(Some(30_000)), SECOND);
        assert!(longer >= 240 * SECOND, "{longer:?}: nothing is known of these, but that a quarter takes a minute");
        assert!(leg.service(asking(Some(1_000)), SECOND) >= 60 * SECOND, "nor of these: the worst of all");
        assert!(leg.service(unlimited, SECOND) >= 60 * SECOND, "nor of these: the worst of all");
        assert_eq!(leg.service(unlimited, 90 * SECOND), 90 * SECOND, "or what is expected, if that is worse");
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut leg = Experience::default();
        let call = asking(None);
        for _ in 0..10_000 {
            leg.answered(call, 60 * SECOND, Some(1_000));
        }
        for _ in 0..40_000 {
            leg.answered(call, SECOND, Some(50));
        }
        let service = leg.service(call, SECOND);
        assert!(service < 2 * SECOND, "{service:?}");
        assert_eq!(leg.output(), 50);
    }

    proptest! {
        #[test]
        fn a_quantile_is_at_most_a_bin_too_long_and_never_too_short(
            mut millis in prop::collection::vec(10u64..600_000, 20..1_000),
            quantile in 0.01f64..1.0,
        ) {
            let mut times = Times::NONE;
            for &millis in &millis {
                times.note(Duration::from_millis(millis));
            }
            millis.sort_unstable();
            let rank = (millis.len() as f64 * quantile).ceil() as usize;
            let exact = Duration::from_millis(millis[rank - 1]).as_secs_f64();
            let said = times.quantile(quantile).expect("enough is known").as_secs_f64();
            prop_assert!(said >= exact * 0.999_999 && said <= exact * RATIO * 1.000_001, "{said} for {exact}");
        }

        #[test]
        fn any_time_length_and_limit_is_taken(service in any::<u64>(), output in any::<u64>(), most in any::<u64>()) {
            let mut leg = Experience::default();
            let call = asking(Some(most));
            for _ in 0..2 * HALVED_AT {
                leg.answered(call, Duration::from_nanos(service), Some(output));
            }
            prop_assert!(leg.usual().is_some());
        }
    }
}
