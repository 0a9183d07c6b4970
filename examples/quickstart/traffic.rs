//! Chat traffic as people make it.
//!
//! Sizes and gaps are drawn from distributions fitted to the conversation half of the Azure LLM inference trace 2023
//! (CC-BY 4.0; Patel et al., "Splitwise", ISCA 2024): gaps are all but exponential (their coefficient of variation is
//! 1.07), lengths follow the trace's quantiles, and prompt and answer are all but independent (correlation 0.07). On
//! top of that the rate swings by 40 % with a period of four minutes, for the trace is the sum of many users and one
//! service's traffic is not.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Calls a second, on average.
pub(crate) const MEAN_RATE: f64 = 5.77;

/// What callers write into `max_tokens`: as most do, far more than they use.
pub(crate) const MAX_TOKENS: u64 = 1000;

/// What a call costs in quota, on average: its prompt, and the output it asks for.
pub(crate) const MEAN_CHARGE: f64 = 1190.0 + MAX_TOKENS as f64;

const SWING: f64 = 0.4;
const PERIOD: f64 = 240.0;

/// What share of calls is no longer than the length at the same place below.
const QUANTILES: [f64; KNOTS] = [0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 1.0];
const PROMPT: [f64; KNOTS] =
    [2.0, 30.0, 181.0, 209.0, 396.0, 1016.0, 1204.0, 1321.0, 2020.0, 3200.0, 4084.0, 4146.0, 4400.0];
const ANSWER: [f64; KNOTS] = [7.0, 16.0, 41.0, 53.0, 83.0, 120.0, 330.0, 398.0, 411.0, 421.0, 448.0, 599.0, 800.0];
const KNOTS: usize = 13;

/// One call that somebody wants to make.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ask {
    /// When, from the start on.
    pub(crate) at: Duration,
    pub(crate) prompt_tokens: u64,
    /// How long the answer would be if nothing limited it.
    pub(crate) answer_tokens: u64,
    pub(crate) max_tokens: u64,
    /// How many answers are asked for.
    pub(crate) choices: u64,
    pub(crate) stream: bool,
}

/// An endless sequence of calls.
#[derive(Debug)]
pub(crate) struct Traffic {
    random: StdRng,
    seconds: f64,
}

impl Traffic {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), seconds: 0.0 }
    }

    pub(crate) fn until(self, end: Duration) -> Vec<Ask> {
        self.take_while(|ask| ask.at < end).collect()
    }

    fn tokens(&mut self, values: &[f64; KNOTS]) -> u64 {
        let draw = self.random.random::<f64>();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let tokens = quantile(values, draw).round() as u64;
        tokens.max(1)
    }
}

/// The value below which a share of `draw` of all values lies.
fn quantile(values: &[f64; KNOTS], draw: f64) -> f64 {
    let above = QUANTILES.partition_point(|quantile| *quantile <= draw).clamp(1, KNOTS - 1);
    let (low, high) = (QUANTILES[above - 1], QUANTILES[above]);
    let share = (draw - low) / (high - low);
    values[above - 1] + share * (values[above] - values[above - 1])
}

impl Iterator for Traffic {
    type Item = Ask;

    fn next(&mut self) -> Option<Ask> {
        let rate = MEAN_RATE * (1.0 - SWING * (std::f64::consts::TAU * self.seconds / PERIOD).cos());
        self.seconds += -(1.0 - self.random.random::<f64>()).ln() / rate;
        Some(Ask {
            at: Duration::from_secs_f64(self.seconds),
            prompt_tokens: self.tokens(&PROMPT),
            answer_tokens: self.tokens(&ANSWER),
            max_tokens: MAX_TOKENS,
            choices: 1,
            stream: self.random.random_bool(0.5),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_calls_and_another_does_not() {
        let calls = |seed| Traffic::seeded(seed).until(Duration::from_secs(60));
        assert_eq!(calls(1), calls(1));
        assert_ne!(calls(1), calls(2));
    }

    #[test]
    #[allow(clippy::cast_precision_loss)]
    fn an_hour_of_calls_has_the_means_of_the_trace() {
        let calls = Traffic::seeded(1).until(Duration::from_secs(3600));
        let mean = |of: fn(&Ask) -> u64| calls.iter().map(of).sum::<u64>() as f64 / calls.len() as f64;
        let is_near = |value: f64, wanted: f64| (value / wanted - 1.0).abs() < 0.03;
        assert!(is_near(calls.len() as f64 / 3600.0, MEAN_RATE), "{} calls", calls.len());
        assert!(is_near(mean(|ask| ask.prompt_tokens), 1179.0), "{}", mean(|ask| ask.prompt_tokens));
        assert!(is_near(mean(|ask| ask.answer_tokens), 204.0), "{}", mean(|ask| ask.answer_tokens));
    }
}
