use std::time::Duration;

use tokio::time::Instant;

use crate::{draw::Draws, script::Pace};

/// How long the simulated service takes.
///
/// An answer's first token comes `first_token` plus `per_prompt_token` for each token of the
/// prompt after the request has arrived; each further token one `per_token` later. A streamed
/// answer's head comes with its first token (or earlier, see [`head`](Self::head)), a whole
/// answer with its last.
#[derive(Debug, Clone, PartialEq)]
pub struct Latency {
    pub(crate) network: Duration,
    pub(crate) network_spread: Duration,
    pub(crate) refusal: Duration,
    pub(crate) head: Option<Duration>,
    pub(crate) first_token: Duration,
    pub(crate) per_prompt_token: Duration,
    pub(crate) per_token: Duration,
    pub(crate) spread: f64,
}

impl Default for Latency {
    fn default() -> Self {
        Self::instant()
    }
}

impl Latency {
    /// No time at all: every answer is there at the instant the request arrives.
    #[must_use]
    pub fn instant() -> Self {
        Self {
            network: Duration::ZERO,
            network_spread: Duration::ZERO,
            refusal: Duration::ZERO,
            head: None,
            first_token: Duration::ZERO,
            per_prompt_token: Duration::ZERO,
            per_token: Duration::ZERO,
            spread: 0.0,
        }
    }

    /// What a mid-sized chat model takes: 0.25 s plus 0.15 ms for each prompt token until the
    /// first token, then 60 tokens a second, log-normal with a deviation of 0.25.
    #[must_use]
    pub fn typical() -> Self {
        Self {
            first_token: Duration::from_millis(250),
            per_prompt_token: Duration::from_micros(150),
            per_token: Duration::from_nanos(16_666_667),
            spread: 0.25,
            ..Self::instant()
        }
    }

    /// One way from the caller to the service: `fixed`, plus an exponential part of this mean.
    /// Default zero. The way back takes no time.
    #[must_use]
    pub fn network(mut self, fixed: Duration, exponential_mean: Duration) -> Self {
        self.network = fixed;
        self.network_spread = exponential_mean;
        self
    }

    /// From the arrival of a request that is refused to its answer. Default zero.
    #[must_use]
    pub fn refusal(mut self, refusal: Duration) -> Self {
        self.refusal = refusal;
        self
    }

    /// From the arrival of a streamed request to its head, where that comes before the first
    /// token: the events that precede content come with the head. By default the head comes with
    /// the first token.
    #[must_use]
    pub fn head(mut self, head: Duration) -> Self {
        self.head = Some(head);
        self
    }

    /// From arrival to the first token, for an empty prompt.
    #[must_use]
    pub fn first_token(mut self, time: Duration) -> Self {
        self.first_token = time;
        self
    }

    /// What each token of the prompt adds to the time of the first token.
    #[must_use]
    pub fn per_prompt_token(mut self, time: Duration) -> Self {
        self.per_prompt_token = time;
        self
    }

    /// From one token of the answer to the next.
    #[must_use]
    pub fn per_token(mut self, time: Duration) -> Self {
        self.per_token = time;
        self
    }

    /// The deviation of the logarithm of the time per token, drawn once a request. Default 0:
    /// every request takes the same.
    #[must_use]
    pub fn spread(mut self, sigma: f64) -> Self {
        self.spread = if sigma.is_finite() { sigma.max(0.0) } else { 0.0 };
        self
    }

    pub(crate) fn draw_network(&self, draws: &mut Draws) -> Duration {
        if self.network_spread.is_zero() {
            return self.network;
        }
        self.network.saturating_add(scale(self.network_spread, draws.exponential()))
    }

    /// The times of one answer, slowed down by `factor`.
    pub(crate) fn draw(&self, prompt_tokens: u64, factor: f64, draws: &mut Draws) -> Times {
        let prompt = u32::try_from(prompt_tokens).unwrap_or(u32::MAX);
        let first = self.first_token.saturating_add(self.per_prompt_token.saturating_mul(prompt));
        let first = scale(first, factor);
        Times {
            head: self.head.map_or(first, |head| head.min(first)),
            first,
            gap: scale(self.per_token, factor * draws.log_normal(self.spread)),
        }
    }
}

/// The times of one answer, from the request's arrival on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) head: Duration,
    pub(crate) first: Duration,
    pub(crate) gap: Duration,
}

impl Times {
    /// As a script wants them.
    pub(crate) fn paced(self, pace: Pace) -> Self {
        let first = pace.first.or(pace.head).unwrap_or(self.first);
        let head = pace.head.unwrap_or(self.head).min(first);
        Self { head, first, gap: pace.gap.unwrap_or(self.gap) }
    }

    /// When token number `index` (from 0) is there.
    pub(crate) fn token(&self, index: u64) -> Duration {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        self.first.saturating_add(self.gap.saturating_mul(index))
    }

    /// When the last of `tokens` is there.
    pub(crate) fn last(&self, tokens: u64) -> Duration {
        self.token(tokens.saturating_sub(1))
    }
}

/// Never panics, unlike adding a duration to an instant: what is too far off is years away.
pub(crate) fn later(from: Instant, after: Duration) -> Instant {
    const YEARS: Duration = Duration::from_secs(1_000_000_000);
    from.checked_add(after.min(YEARS)).unwrap_or(from)
}

/// Never panics, unlike multiplying a duration by a float: what is too long is a century.
fn scale(duration: Duration, factor: f64) -> Duration {
    const CENTURY: f64 = 3.2e9;
    // Bit for bit: only the factor of nobody's wish leaves the nanoseconds as they are.
    if factor.to_bits() == 1.0_f64.to_bits() {
        return duration;
    }
    let seconds = duration.as_secs_f64() * factor;
    Duration::from_secs_f64(if seconds.is_finite() { seconds.clamp(0.0, CENTURY) } else { CENTURY })
}

/// How many tokens an answer has when the request does not say so itself.
///
/// A request says so by the header
/// [`x-simulator-completion-tokens`](crate::COMPLETION_TOKENS_HEADER). Whichever it is, the answer
/// is cut at the limit the request set (`max_tokens` and its kin), with `finish_reason`
/// `"length"`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum CompletionLength {
    /// Always this many.
    Fixed(u32),
    /// Between the two, both included, each as likely.
    Uniform(u32, u32),
    /// Log-normal.
    LogNormal {
        /// Half of all answers are shorter.
        median: f64,
        /// Deviation of the logarithm.
        sigma: f64,
    },
}

impl Default for CompletionLength {
    /// 32 tokens.
    fn default() -> Self {
        Self::Fixed(32)
    }
}

impl CompletionLength {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    pub(crate) fn draw(self, draws: &mut Draws) -> u64 {
        match self {
            Self::Fixed(tokens) => tokens.into(),
            Self::Uniform(low, high) => draws.between(low, high).into(),
            Self::LogNormal { median, sigma } => (median * draws.log_normal(sigma)).round().clamp(0.0, 1e6) as u64,
        }
    }
}
