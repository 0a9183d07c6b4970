//! How long answers are, learned from those that came.

use std::collections::HashMap;

use tower_aoai_core::{CallContext, Tenant};

const BINS: usize = 64;
const RATIO: f64 = 1.15;

/// At so many samples all counts are halved, so that old ones fade.
const HALVED_AT: u32 = 1_024;

/// So many samples of a kind of call weigh as much as what is known of all calls.
const SHRINK: f64 = 30.0;

/// Kinds of calls that are told apart; of more, the one not seen for the longest is forgotten.
const MOST_KINDS: usize = 256;

/// Counts by size, in bins of which each begins 15 % above the one before: a quantile is off by 7.5 % at most, up to
/// 6,600 tokens; longer answers share the last bin.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Histogram {
    counts: [u32; BINS],
    total: u32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BINS], total: 0 }
    }
}

fn bin(tokens: u64) -> usize {
    let bin = if tokens == 0 { 0 } else { ((tokens as f64).ln() / RATIO.ln()) as usize + 1 };
    bin.min(BINS - 1)
}

/// What stands for all of a bin.
fn middle(bin: usize) -> f64 {
    if bin == 0 { 0.0 } else { RATIO.powi(bin as i32 - 1) * f64::midpoint(1.0, RATIO) }
}

impl Histogram {
    fn add(&mut self, tokens: u64) {
        if let Some(count) = self.counts.get_mut(bin(tokens)) {
            *count += 1;
            self.total += 1;
        }
        if self.total >= HALVED_AT {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().sum();
        }
    }

    /// How far it is to be believed, against what is known beside it.
    fn trust(&self) -> f64 {
        f64::from(self.total) / (f64::from(self.total) + SHRINK)
    }
}

/// Calls whose answers are alike: for the same tenant, with prompts of about the same size, limited or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    tenant: Option<Tenant>,
    /// Doublings of the prompt's bytes.
    size: u32,
    is_limited: bool,
}

impl Kind {
    pub(crate) fn of(context: &CallContext) -> Self {
        let call = context.call();
        Self {
            tenant: context.tenant(),
            size: call.prompt_bytes.checked_ilog2().unwrap_or(0),
            is_limited: call.max_output_tokens.is_some(),
        }
    }
}

/// What was learned, by kind of call, and of all together.
#[derive(Debug, Default)]
pub(crate) struct Lengths {
    all: Histogram,
    kinds: HashMap<Kind, (Histogram, u64)>,
    seen: u64,
}

impl Lengths {
    pub(crate) fn learn(&mut self, kind: Kind, output: u64) {
        self.seen += 1;
        self.all.add(output);
        if self.kinds.len() >= MOST_KINDS && !self.kinds.contains_key(&kind) {
            let oldest = self.kinds.iter().min_by_key(|(_, (_, last))| *last).map(|(kind, _)| *kind);
            oldest.and_then(|oldest| self.kinds.remove(&oldest));
        }
        let (histogram, last) = self.kinds.entry(kind).or_default();
        histogram.add(output);
        *last = self.seen;
    }

    /// How long the answer to a call will be that asks for `most` at the most; `None` while nothing is known.
    ///
    /// What is known of its kind, as far as that is enough; of all calls for the rest; and, while that is not enough
    /// either, as much as it asks for.
    pub(crate) fn predict(&self, kind: Kind, most: Option<u64>) -> Option<Prediction> {
        let own = self.kinds.get(&kind).map(|(histogram, _)| histogram);
        let of_own = own.map_or(0.0, Histogram::trust);
        let of_all = (1.0 - of_own) * self.all.trust();
        let learned = of_own + of_all;
        if learned <= 0.0 {
            return None;
        }
        let at_most = if most.is_some() { 1.0 - learned } else { 0.0 };
        let scale = if most.is_some() { 1.0 } else { 1.0 / learned };
        let share = |histogram: &Histogram, trust: f64, bin: usize| {
            trust * scale * f64::from(histogram.counts[bin]) / f64::from(histogram.total.max(1))
        };
        let weights = std::array::from_fn(|bin| {
            (own.map_or(0.0, |own| share(own, of_own, bin)) + share(&self.all, of_all, bin)) as f32
        });
        Some(Prediction { weights, at_most, most, samples: own.map_or(0, |own| own.total) })
    }
}

/// How long the answer to a call is likely to be, in tokens for each choice, by the answers to calls like it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    weights: [f32; BINS],
    /// The share of what is not learned yet: as long as is asked for.
    at_most: f64,
    most: Option<u64>,
    samples: u32,
}

impl Prediction {
    fn capped(&self, tokens: f64) -> f64 {
        self.most.map_or(tokens, |most| tokens.min(most as f64))
    }

    /// The mean, in tokens for each choice.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let learned = self.weights.iter().enumerate();
        let learned: f64 = learned.map(|(bin, weight)| self.capped(middle(bin)) * f64::from(*weight)).sum();
        learned + self.at_most * self.most.unwrap_or(0) as f64
    }

    /// The length that is not exceeded with this probability, from 0 to 1; within 7.5 % of what was seen.
    #[must_use]
    pub fn quantile(&self, probability: f64) -> f64 {
        let mut below = 0.0;
        for (bin, weight) in self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            below += f64::from(*weight);
            // What was added up is as exact as its parts.
            if below + 1e-6 >= probability {
                return self.capped(middle(bin));
            }
        }
        self.most.map_or_else(|| middle(BINS - 1), |most| most as f64)
    }

    /// How many answers to calls of its kind it rests on, those that have faded left out.
    #[must_use]
    pub fn samples(&self) -> u32 {
        self.samples
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIND: Kind = Kind { tenant: None, size: 8, is_limited: true };

    proptest! {
        #[test]
        fn quantiles_are_off_by_less_than_eight_percent(
            mut outputs in prop::collection::vec(1u64..6_000, 1..500), probability in 0.01f64..1.0,
        ) {
            let mut histogram = Lengths::default();
            outputs.iter().for_each(|output| histogram.learn(KIND, *output));
            outputs.sort_unstable();
            let rank = (probability * outputs.len() as f64).ceil() as usize - 1;
            let exact = outputs[rank.min(outputs.len() - 1)] as f64;
            let told = histogram.predict(KIND, None).expect("some are known").quantile(probability);
            prop_assert!((told - exact).abs() <= exact * 0.08 + 0.1, "{told} for {exact}");
            let mean = outputs.iter().sum::<u64>() as f64 / outputs.len() as f64;
            let told = histogram.predict(KIND, None).expect("some are known").mean();
            prop_assert!((told - mean).abs() <= mean * 0.08 + 0.1, "{told} for {mean}");
        }

        #[test]
        fn no_prediction_is_above_what_is_asked_for(
            outputs in prop::collection::vec(any::<u64>(), 1..50), most in 0u64..1_000_000, probability in -1.0f64..2.0,
        ) {
            let mut lengths = Lengths::default();
            outputs.iter().for_each(|output| lengths.learn(KIND, *output));
            let prediction = lengths.predict(KIND, Some(most)).expect("some are known");
            prop_assert!(prediction.mean() <= most as f64 * 1.000_01 + 1e-3);
            prop_assert!(prediction.quantile(probability) <= most as f64);
        }
    }

    #[test]
    fn old_lengths_fade() {
        let mut lengths = Lengths::default();
        (0..2_000).for_each(|_| lengths.learn(KIND, 100));
        (0..3_000).for_each(|_| lengths.learn(KIND, 1_000));
        let mean = lengths.predict(KIND, None).map(|prediction| prediction.mean()).expect("much is known");
        assert!(mean > 900.0, "{mean}");
        assert!(lengths.all.total < HALVED_AT);
    }

    #[test]
    fn what_is_not_known_of_a_kind_is_taken_from_all_and_from_what_is_asked_for() {
        let mut lengths = Lengths::default();
        assert_eq!(lengths.predict(KIND, Some(500)), None);
        lengths.learn(KIND, 100);
        let few = lengths.predict(KIND, Some(500)).expect("one is known");
        assert!(few.mean() > 450.0 && few.quantile(0.99) > 499.0, "one is not enough");
        (0..1_000).for_each(|_| lengths.learn(KIND, 100));
        let much = lengths.predict(KIND, Some(500)).expect("many are known");
        assert!((92.0..112.0).contains(&much.mean()), "{}", much.mean());
        let other = Kind { tenant: Some(Tenant::named("other")), ..KIND };
        let unknown = lengths.predict(other, Some(500)).expect("all are known");
        assert!((92.0..130.0).contains(&unknown.mean()) && unknown.samples() == 0, "{}", unknown.mean());
    }

    #[test]
    fn kinds_are_bounded_and_the_oldest_goes_first() {
        let mut lengths = Lengths::default();
        let kind = |number: u64| Kind { tenant: Some(Tenant::named(&number)), ..KIND };
        for number in 0..10_000 {
            lengths.learn(KIND, 7);
            lengths.learn(kind(number), 100);
        }
        assert_eq!(lengths.kinds.len(), MOST_KINDS);
        assert!(lengths.kinds.contains_key(&KIND) && lengths.kinds.contains_key(&kind(9_999)));
        assert!(!lengths.kinds.contains_key(&kind(1)));
    }
}
