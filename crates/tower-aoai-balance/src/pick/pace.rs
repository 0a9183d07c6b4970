//! How fast a member answers, as learned from its answers.

use std::time::Duration;

use tokio::time::Instant;

/// What is known of a call's size, in tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Size {
    pub(crate) prompt: f64,
    pub(crate) output: f64,
}

/// By how many tokens of prompt the time to the first token doubles: a mid-sized chat model takes 0.25 s, and 0.15 ms for
/// each.
const PROMPT: f64 = 1_667.0;

/// What of the first whole answer is put down to each token: 60 a second.
const PER_TOKEN: f64 = 1.0 / 60.0;

/// After how long what was learned counts half.
const HALF_LIFE: Duration = Duration::from_secs(10);

/// How far a single answer is from the mean, as a share of it.
const SPREAD: f64 = 0.25;

/// A mean in which what is older counts less.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DecayingMean {
    mean: f64,
    mass: f64,
    at: Option<Instant>,
}

/// The times to the first token and per token.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    /// For an empty prompt.
    first: DecayingMean,
    per_token: DecayingMean,
}

/// How many half-lives lie between.
fn half_lives(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() / HALF_LIFE.as_secs_f64()
}

impl DecayingMean {
    pub(crate) fn learn(&mut self, now: Instant, value: f64) {
        let now = self.at.map_or(now, |at| at.max(now));
        let left = self.at.map_or(0.0, |at| self.mass * (-half_lives(at, now)).exp2());
        self.mass = left + 1.0;
        self.mean += (value - self.mean) / self.mass;
        self.at = Some(now);
    }

    pub(crate) fn value(&self) -> Option<f64> {
        self.at.map(|_| self.mean)
    }
}

/// How much longer the first token takes for such a prompt than for none.
fn stretch(prompt: f64) -> f64 {
    1.0 + prompt / PROMPT
}

impl Pace {
    /// A streamed answer whose first token came after `first`; then each after `per_token`, if there was another.
    pub(crate) fn streamed(&mut self, now: Instant, size: Size, first: Duration, per_token: Option<f64>) {
        self.first.learn(now, first.as_secs_f64() / stretch(size.prompt));
        if let Some(per_token) = per_token {
            self.per_token.learn(now, per_token);
        }
    }

    /// An answer that came as a whole after `took`: what it took more, or less, than expected is put down to both.
    pub(crate) fn whole(&mut self, now: Instant, size: Size, took: Duration) {
        let took = took.as_secs_f64();
        let Size { prompt, output } = size;
        let (first, per_token) = match (self.first.value(), self.per_token.value()) {
            (Some(first), Some(per_token)) => {
                let expected = first * stretch(prompt) + output * per_token;
                let ratio = if expected > 0.0 { took / expected } else { 1.0 };
                (first * ratio, per_token * ratio)
            }
            _ if output > 0.0 => {
                // Half of it for the first token at least, whatever the tokens are taken to need.
                let first = (took - output * PER_TOKEN).max(took / 2.0);
                (first / stretch(prompt), (took - first) / output)
            }
            (_, per_token) => (took / stretch(prompt), per_token.unwrap_or_default()),
        };
        self.first.learn(now, first);
        if output > 0.0 {
            self.per_token.learn(now, per_token);
        }
    }

    /// Somebody waited for so long and left without a token: that it takes longer is news, that it takes less is not.
    pub(crate) fn left_after(&mut self, now: Instant, size: Size, waited: Duration) {
        let first = waited.as_secs_f64() / stretch(size.prompt);
        if self.first.value().is_some_and(|known| first > known) {
            self.first.learn(now, first);
        }
    }

    /// From the start to the end, in seconds.
    pub(crate) fn expected(&self, size: Size) -> Option<f64> {
        let per_token = self.per_token.value().unwrap_or_default();
        self.first.value().map(|first| first * stretch(size.prompt) + size.output * per_token)
    }

    /// To the first token of an answer to an empty prompt.
    pub(crate) fn first_token(&self) -> Option<Duration> {
        self.first.value().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    pub(crate) fn per_token(&self) -> Option<Duration> {
        self.per_token.value().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    /// By what share the truth may well be less. A call sent at `tried` may teach more: until its answer comes, or none for
    /// a while, what is known does not age.
    pub(crate) fn doubt(&self, tried: Option<Instant>, now: Instant) -> f64 {
        let age = self.first.at.max(tried).map_or(0.0, |at| half_lives(at, now));
        let mass = self.first.mass * (-age).exp2();
        (SPREAD / mass.sqrt()).min(1.0)
    }
}
