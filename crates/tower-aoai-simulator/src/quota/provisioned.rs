use std::time::Duration;

use tokio::time::Instant;

use super::{MINUTE, nanoseconds, window_nanoseconds};

/// Provisioned throughput: the leaky bucket of Azure's documentation.
///
/// 1. A request that arrives while utilisation is above 100 % is refused and told how long until
///    it no longer is.
/// 2. Any other is admitted and adds an *estimate* of what it will cost, so a burst may rise
///    somewhat above 100 %.
/// 3. When it has been answered the estimate is *corrected*, up or down, to what it did cost.
/// 4. Utilisation drains all the while at the rate the deployment is paid for.
///
/// Costs are in input tokens: an output token weighs [`output_ratio`](Self::weigh) of them. Over
/// how long a time 100 % is reached is not documented; here the bucket holds a minute's work
/// unless told otherwise.
#[derive(Debug, Clone)]
pub struct ProvisionedQuota {
    /// Weighted tokens a minute; also units drained a nanosecond.
    rate: i128,
    output_ratio: u64,
    /// The level at 100 %, and the level now, in units of a token over the minute's nanoseconds.
    full: i128,
    level: i128,
    at: Instant,
}

impl ProvisionedQuota {
    /// An idle deployment that works off `tokens_per_minute` weighted tokens a minute (units
    /// times the model's input tokens per minute and unit) and is at 100 % when `window`'s work
    /// is in it.
    #[must_use]
    pub fn new(tokens_per_minute: u64, output_ratio: u64, window: Duration, now: Instant) -> Self {
        let rate = i128::from(tokens_per_minute);
        let full = rate.saturating_mul(window_nanoseconds(window));
        Self { rate, output_ratio, full, level: 0, at: now }
    }

    /// The cost of these tokens, in input tokens.
    #[must_use]
    pub fn weigh(&self, input: u64, output: u64) -> u64 {
        input.saturating_add(output.saturating_mul(self.output_ratio))
    }

    /// Admits a request and adds its estimated cost, unless utilisation is above 100 %.
    ///
    /// # Errors
    /// The exact time until utilisation is no longer above 100 %.
    pub fn admit(&mut self, now: Instant, estimate: u64) -> Result<(), Duration> {
        let wait = self.until_admitted(now);
        if wait > Duration::ZERO {
            self.drain(now);
            return Err(wait);
        }
        self.add(now, estimate);
        Ok(())
    }

    /// Adds a cost without asking.
    pub fn add(&mut self, now: Instant, cost: u64) {
        self.drain(now);
        self.level = self.level.saturating_add(units(cost));
    }

    /// Replaces an estimate by what the request did cost.
    ///
    /// A correction downward takes no more than is there: what has drained has drained.
    pub fn correct(&mut self, now: Instant, estimate: u64, actual: u64) {
        self.drain(now);
        let level = self.level.saturating_add(units(actual)).saturating_sub(units(estimate));
        self.level = level.max(0);
    }

    /// Utilisation in percent.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a percentage needs no more than 52 bits")]
    pub fn utilisation(&self, now: Instant) -> f64 {
        let level = self.level_at(now);
        if self.full == 0 { 0.0 } else { level as f64 / self.full as f64 * 100.0 }
    }

    /// How long until a request is admitted: zero unless utilisation is above 100 %.
    #[must_use]
    pub fn until_admitted(&self, now: Instant) -> Duration {
        let above = self.level_at(now).saturating_sub(self.full);
        if above <= 0 {
            return Duration::ZERO;
        }
        let rounded_up = above.saturating_add(self.rate).saturating_sub(1);
        rounded_up.checked_div(self.rate).map_or(Duration::MAX, nanoseconds)
    }

    /// How long until the deployment is idle.
    #[must_use]
    pub fn until_idle(&self, now: Instant) -> Duration {
        let level = self.level_at(now);
        if level == 0 {
            return Duration::ZERO;
        }
        let rounded_up = level.saturating_add(self.rate).saturating_sub(1);
        rounded_up.checked_div(self.rate).map_or(Duration::MAX, nanoseconds)
    }

    fn drain(&mut self, now: Instant) {
        self.level = self.level_at(now);
        self.at = self.at.max(now);
    }

    fn level_at(&self, now: Instant) -> i128 {
        let passed = now.saturating_duration_since(self.at).as_nanos();
        let passed = i128::try_from(passed).unwrap_or(i128::MAX);
        self.level.saturating_sub(passed.saturating_mul(self.rate)).max(0)
    }
}

fn units(tokens: u64) -> i128 {
    i128::from(tokens).saturating_mul(window_nanoseconds(MINUTE))
}
