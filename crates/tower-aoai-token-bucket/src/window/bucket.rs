//! A bucket that refills continuously.

use std::time::Duration;

use tokio::time::Instant;
use tower_aoai_core::later;

use super::{MINUTE, Mark, Window, nanos, part_of, time_for};

/// Never more than the capacity at once, and the rate after that.
///
/// A charge above the capacity, but not above a minute's tokens, fits when the bucket is full, and leaves a debt: so
/// does the server that captured traffic shows. The guard takes what flows in during it from the capacity: a request
/// that arrives late finds a bucket that was full for longer than we thought.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    /// Tokens a minute; also parts that flow in a nanosecond, of which [`UNIT`] are a token.
    rate: i128,
    per_minute: u64,
    held: u64,
    capacity: i128,
    /// Without what is reserved.
    level: i128,
    unsent: i128,
    /// Given back since the start.
    credited: i128,
    /// How often the limits were changed.
    epoch: u64,
    start: Instant,
    seen: Instant,
}

const UNIT: i128 = MINUTE.as_nanos() as i128;

fn parts(tokens: u64) -> i128 {
    i128::from(tokens) * UNIT
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(per_minute: u64, capacity: u64, guard: Duration, now: Instant) -> Self {
        let mut bucket = Self {
            rate: 0,
            per_minute: 0,
            held: 0,
            capacity: 0,
            level: 0,
            unsent: 0,
            credited: 0,
            epoch: 0,
            start: now,
            seen: now,
        };
        bucket.set(now, per_minute, capacity, guard);
        bucket.level = bucket.capacity;
        bucket
    }

    /// Other limits from now on; nothing flows in by that, and what a smaller bucket cannot hold is missing at once.
    pub(crate) fn set(&mut self, now: Instant, per_minute: u64, capacity: u64, guard: Duration) {
        self.advance(now);
        let before = self.capacity;
        self.rate = i128::from(per_minute);
        self.per_minute = per_minute;
        self.held = capacity;
        let guarded = self.rate.saturating_mul(nanos(guard));
        // A guard longer than it takes to fill must not leave a bucket that holds nothing.
        self.capacity = (parts(capacity) - guarded).max(parts(capacity) / 2);
        self.level = self.level.saturating_sub((before - self.capacity).max(0));
        self.epoch += 1;
    }

    /// Refills with a share of the rate.
    pub(crate) fn hold(&mut self, now: Instant, share: f64) {
        self.advance(now);
        let rate = part_of(i128::from(self.per_minute), share);
        // What is to flow in until a charge is gone would be counted too much.
        self.epoch += u64::from(rate > self.rate);
        self.rate = rate;
    }

    fn level_at(&self, now: Instant) -> i128 {
        let passed = nanos(now.saturating_duration_since(self.seen));
        self.level.saturating_add(passed.saturating_mul(self.rate)).min(self.capacity)
    }

    fn advance(&mut self, now: Instant) {
        self.level = self.level_at(now);
        self.seen = self.seen.max(now);
    }

    /// What a level lacks, in tokens.
    fn missing(&self, level: i128) -> u64 {
        let missing = self.capacity.saturating_sub(level).max(0);
        u64::try_from(missing.saturating_add(UNIT - 1) / UNIT).unwrap_or(u64::MAX)
    }

    fn now_in_nanos(&self) -> i128 {
        nanos(self.seen.saturating_duration_since(self.start))
    }
}

impl Window for Bucket {
    fn largest(&self) -> u64 {
        self.per_minute.max(u64::try_from(self.capacity / UNIT).unwrap_or(u64::MAX))
    }

    fn earliest_behind(&self, now: Instant, ahead: u64, charge: u64) -> Option<Instant> {
        if charge > self.largest() {
            return None;
        }
        let now = now.max(self.seen);
        let level = self.level_at(now).saturating_sub(self.unsent).saturating_sub(parts(ahead));
        let missing = parts(charge).min(self.capacity).saturating_sub(level);
        time_for(missing, self.rate).map(|wait| later(now, wait))
    }

    fn reserve(&mut self, charge: u64) {
        self.unsent = self.unsent.saturating_add(parts(charge));
    }

    fn cancel(&mut self, charge: u64) {
        self.unsent = self.unsent.saturating_sub(parts(charge)).max(0);
    }

    fn send_all(&mut self, now: Instant) {
        self.advance(now);
        self.level = self.level.saturating_sub(std::mem::take(&mut self.unsent));
    }

    /// Debited when it is known to be sent: what flowed over in between is lost, as at the server.
    fn send(&mut self, now: Instant, _: Instant, charge: u64) -> Mark {
        self.advance(now);
        self.cancel(charge);
        self.level = self.level.saturating_sub(parts(charge));
        let deficit = self.capacity.saturating_sub(self.level);
        let until_full = deficit.checked_div(self.rate).unwrap_or(0);
        let full_at = self.now_in_nanos().saturating_add(until_full);
        Mark { number: self.epoch, full_at, credited: self.credited }
    }

    /// No more is given back than what of the charge has not flowed in again by itself: what was missing at the send,
    /// less what has flowed in and what was given back since.
    fn correct(&mut self, now: Instant, mark: Mark, charge: u64, actual: u64) {
        self.advance(now);
        if actual > charge {
            self.level = self.level.saturating_sub(parts(actual - charge));
            return;
        }
        if mark.number != self.epoch {
            return;
        }
        let open = mark.full_at.saturating_sub(self.now_in_nanos()).max(0).saturating_mul(self.rate);
        let open = open.saturating_sub(self.credited.saturating_sub(mark.credited));
        let back = parts(charge - actual).min(open).max(0);
        self.credited = self.credited.saturating_add(back);
        self.level = self.level.saturating_add(back).min(self.capacity);
    }

    /// Less what has flowed over since, had they not been there.
    fn book(&mut self, now: Instant, mark: Mark, tokens: u64) {
        self.advance(now);
        let since_full = if mark.number == self.epoch { self.now_in_nanos() - mark.full_at } else { 0 };
        let refilled = since_full.max(0).saturating_mul(self.rate);
        self.level = self.level.saturating_sub(parts(tokens).saturating_sub(refilled).max(0));
    }

    fn sent(&self, now: Instant) -> u64 {
        self.missing(self.level_at(now.max(self.seen)))
    }

    fn used(&self, now: Instant) -> u64 {
        self.missing(self.level_at(now.max(self.seen)).saturating_sub(self.unsent))
    }

    fn limit(&self) -> u64 {
        self.held
    }
}
