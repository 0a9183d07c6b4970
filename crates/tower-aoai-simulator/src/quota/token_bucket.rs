use std::time::Duration;

use tokio::time::Instant;

use super::{nanoseconds, window_nanoseconds};

/// A continuously refilling bucket that may go into debt.
///
/// Captured traffic of standard deployments fits this and no other model: a request is admitted
/// while the balance is above zero, and is then debited its whole charge, so that one request can
/// push the balance far below zero; `x-ratelimit-remaining-tokens` is the balance (negative ones
/// were seen), `x-ratelimit-reset-tokens` the whole seconds until the bucket is full again, and
/// `retry-after` the whole seconds until the debt is paid.
///
/// All arithmetic is in integers, exact to the nanosecond.
///
/// ```
/// use std::time::Duration;
/// use tokio::time::Instant;
/// use tower_aoai_simulator::quota::TokenBucket;
///
/// let now = Instant::now();
/// let mut bucket = TokenBucket::per_minute(333_000, now);
/// bucket.charge(now, 333_000 + 27_689);
/// assert_eq!(bucket.balance(now), -27_689);
/// assert_eq!(bucket.until_admitted(now).as_secs(), 4);
/// assert_eq!(bucket.until_full(now).as_secs(), 64);
/// ```
#[derive(Debug, Clone)]
pub struct TokenBucket {
    /// Tokens that flow in each period; also, by choice of unit, units that flow in each
    /// nanosecond: a unit is one token divided by the nanoseconds of a period.
    rate: i128,
    /// Units in a token.
    unit: i128,
    /// Capacity and level, in units.
    capacity: i128,
    level: i128,
    at: Instant,
}

impl TokenBucket {
    /// A full bucket that holds one minute's tokens and refills at `tokens` per minute.
    #[must_use]
    pub fn per_minute(tokens: u64, now: Instant) -> Self {
        Self::new(tokens, super::MINUTE, tokens, now)
    }

    /// A full bucket of `capacity` tokens into which `tokens` flow in every `period`.
    #[must_use]
    pub fn new(tokens: u64, period: Duration, capacity: u64, now: Instant) -> Self {
        let unit = window_nanoseconds(period);
        let capacity = i128::from(capacity).saturating_mul(unit);
        Self { rate: i128::from(tokens), unit, capacity, level: capacity, at: now }
    }

    /// Admits the charge and debits it whole, or says how long until it would be admitted.
    ///
    /// # Errors
    /// The time until the balance is above zero; [`Duration::MAX`] if nothing ever flows in.
    pub fn admit(&mut self, now: Instant, charge: u64) -> Result<(), Duration> {
        self.refill(now);
        if self.level > 0 {
            self.charge(now, charge);
            return Ok(());
        }
        Err(self.until_admitted(now))
    }

    /// Debits without asking.
    pub fn charge(&mut self, now: Instant, charge: u64) {
        self.refill(now);
        self.level = self.level.saturating_sub(i128::from(charge).saturating_mul(self.unit));
    }

    /// Whole tokens left (rounded down); negative in debt.
    #[must_use]
    pub fn balance(&self, now: Instant) -> i64 {
        let tokens = self.level_at(now).div_euclid(self.unit);
        i64::try_from(tokens).unwrap_or(if tokens < 0 { i64::MIN } else { i64::MAX })
    }

    /// How long until the next request is admitted: zero while the balance is above zero, else
    /// the first nanosecond at which it is.
    #[must_use]
    pub fn until_admitted(&self, now: Instant) -> Duration {
        let level = self.level_at(now);
        if level > 0 {
            return Duration::ZERO;
        }
        // Above zero, not at zero, hence one nanosecond beyond the payment of the debt.
        let paid = level.saturating_neg().checked_div(self.rate);
        paid.map_or(Duration::MAX, |paid| nanoseconds(paid.saturating_add(1)))
    }

    /// How long until the bucket is full.
    #[must_use]
    pub fn until_full(&self, now: Instant) -> Duration {
        let missing = self.capacity.saturating_sub(self.level_at(now));
        if missing <= 0 {
            return Duration::ZERO;
        }
        let rounded_up = missing.saturating_add(self.rate).saturating_sub(1);
        rounded_up.checked_div(self.rate).map_or(Duration::MAX, nanoseconds)
    }

    /// Changes the rate from `now` on; the capacity changes in proportion. Debt stays.
    pub fn set_rate(&mut self, now: Instant, tokens: u64) {
        self.refill(now);
        let tokens = i128::from(tokens);
        let held = (self.capacity / self.unit).saturating_mul(tokens);
        self.capacity = held.checked_div(self.rate).unwrap_or(tokens).saturating_mul(self.unit);
        self.rate = tokens;
        self.level = self.level.min(self.capacity);
    }

    fn refill(&mut self, now: Instant) {
        self.level = self.level_at(now);
        self.at = self.at.max(now);
    }

    fn level_at(&self, now: Instant) -> i128 {
        let passed = now.saturating_duration_since(self.at).as_nanos();
        let passed = i128::try_from(passed).unwrap_or(i128::MAX);
        self.level.saturating_add(passed.saturating_mul(self.rate)).min(self.capacity)
    }
}
