use std::time::Duration;

use tokio::time::Instant;

use super::window_nanoseconds;

/// A count that starts from zero at every tick of a clock nobody sees.
///
/// Azure's documentation words the tokens-per-minute limit so: charges are added to a running
/// count which is reset each minute, and once the count *reaches* the limit further requests are
/// refused until the reset. The test is made before the charge is added, so one request a window
/// may overshoot.
#[derive(Debug, Clone)]
pub struct FixedWindow {
    limit: u64,
    window: i128,
    start: Instant,
    /// How far into its first window the model is at `start`, in nanoseconds.
    lead: i128,
    index: i128,
    count: u64,
    at: Instant,
}

impl FixedWindow {
    /// A window whose first reset comes `phase` after `start` (modulo the window; a phase of zero
    /// is a window that begins at `start`).
    #[must_use]
    pub fn new(limit: u64, window: Duration, phase: Duration, start: Instant) -> Self {
        let window = window_nanoseconds(window);
        let phase = i128::try_from(phase.as_nanos()).unwrap_or(0) % window;
        let lead = (window - phase) % window;
        Self { limit, window, start, lead, index: 0, count: 0, at: start }
    }

    /// Admits and counts the charge if the count is below the limit.
    ///
    /// # Errors
    /// The time until the count is reset.
    pub fn admit(&mut self, now: Instant, charge: u64) -> Result<(), Duration> {
        self.check(now)?;
        self.charge(now, charge);
        Ok(())
    }

    /// Whether a request would be admitted; counts nothing.
    ///
    /// # Errors
    /// The time until the count is reset.
    pub fn check(&mut self, now: Instant) -> Result<(), Duration> {
        self.advance(now);
        if self.count < self.limit { Ok(()) } else { Err(self.until_reset(now)) }
    }

    /// Counts without asking.
    pub fn charge(&mut self, now: Instant, charge: u64) {
        self.advance(now);
        self.count = self.count.saturating_add(charge);
    }

    /// The limit minus the count; negative after an overshoot.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> i64 {
        let count = if self.index_at(now) > self.index { 0 } else { self.count };
        i64::try_from(i128::from(self.limit) - i128::from(count)).unwrap_or(i64::MIN)
    }

    /// How long until the count is next reset.
    #[must_use]
    pub fn until_reset(&self, now: Instant) -> Duration {
        super::nanoseconds(self.window - self.position(now) % self.window)
    }

    /// Changes the limit; what is counted stays counted.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    fn advance(&mut self, now: Instant) {
        let index = self.index_at(now);
        if index > self.index {
            self.index = index;
            self.count = 0;
        }
        self.at = self.at.max(now);
    }

    fn index_at(&self, now: Instant) -> i128 {
        self.position(now) / self.window
    }

    fn position(&self, now: Instant) -> i128 {
        let passed = now.max(self.at).saturating_duration_since(self.start).as_nanos();
        i128::try_from(passed).unwrap_or(i128::MAX - self.lead) + self.lead
    }
}
