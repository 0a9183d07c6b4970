use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// Above this many entries new charges join the youngest entry, which makes the model a little
/// stricter instead of letting its memory grow without a bound.
const MOST_ENTRIES: usize = 65_536;

/// The sum of charges over the last window, whatever instant one looks.
///
/// A request is admitted while the sum is below the limit, so one request may overshoot, as with
/// [`FixedWindow`](super::FixedWindow). A charge leaves exactly one window after it came.
#[derive(Debug, Clone)]
pub struct SlidingWindow {
    limit: u64,
    window: Duration,
    entries: VecDeque<(Instant, u64)>,
    sum: u64,
    at: Option<Instant>,
}

impl SlidingWindow {
    /// An empty window.
    #[must_use]
    pub fn new(limit: u64, window: Duration) -> Self {
        Self { limit, window, entries: VecDeque::new(), sum: 0, at: None }
    }

    /// Admits and counts the charge if the sum is below the limit.
    ///
    /// # Errors
    /// The time until enough has left the window; [`Duration::MAX`] if the limit is zero.
    pub fn admit(&mut self, now: Instant, charge: u64) -> Result<(), Duration> {
        self.check(now)?;
        self.charge(now, charge);
        Ok(())
    }

    /// Whether a request would be admitted; counts nothing.
    ///
    /// # Errors
    /// The time until enough has left the window; [`Duration::MAX`] if the limit is zero.
    pub fn check(&mut self, now: Instant) -> Result<(), Duration> {
        let now = self.advance(now);
        if self.sum < self.limit { Ok(()) } else { Err(self.until_admitted(now)) }
    }

    /// Counts without asking.
    pub fn charge(&mut self, now: Instant, charge: u64) {
        let now = self.advance(now);
        if charge == 0 {
            return;
        }
        let full = self.entries.len() >= MOST_ENTRIES;
        self.sum = self.sum.saturating_add(charge);
        match self.entries.back_mut() {
            Some((at, sum)) if *at == now || full => {
                *at = now;
                *sum = sum.saturating_add(charge);
            }
            _ => self.entries.push_back((now, charge)),
        }
    }

    /// The limit minus the sum; negative after an overshoot.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> i64 {
        let left: i128 = self
            .entries
            .iter()
            .take_while(|(at, _)| self.has_left(*at, now))
            .map(|(_, charge)| i128::from(*charge))
            .sum();
        i64::try_from(i128::from(self.limit) - i128::from(self.sum) + left).unwrap_or(i64::MIN)
    }

    /// How long until everything now counted has left the window.
    #[must_use]
    pub fn until_empty(&self, now: Instant) -> Duration {
        self.entries.back().map_or(Duration::ZERO, |(at, _)| self.until_left(*at, now))
    }

    /// Changes the limit; what is counted stays counted.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    fn until_admitted(&self, now: Instant) -> Duration {
        let mut sum = self.sum;
        for (at, charge) in &self.entries {
            sum = sum.saturating_sub(*charge);
            if sum < self.limit {
                return self.until_left(*at, now);
            }
        }
        Duration::MAX
    }

    fn advance(&mut self, now: Instant) -> Instant {
        let now = self.at.map_or(now, |at| at.max(now));
        self.at = Some(now);
        while let Some((at, charge)) = self.entries.front().copied()
            && self.has_left(at, now)
        {
            self.entries.pop_front();
            self.sum = self.sum.saturating_sub(charge);
        }
        now
    }

    fn has_left(&self, at: Instant, now: Instant) -> bool {
        now.saturating_duration_since(at) >= self.window
    }

    fn until_left(&self, at: Instant, now: Instant) -> Duration {
        let now = self.at.map_or(now, |seen| seen.max(now));
        self.window.saturating_sub(now.saturating_duration_since(at))
    }
}
