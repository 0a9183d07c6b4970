//! Provisioned throughput.

use std::time::Duration;

use tokio::time::Instant;
use tower_aoai_core::later;

use super::{MINUTE, Mark, Window, nanos, part_of, time_for};

/// The leaky bucket of Azure's documentation: admitted while utilisation is not above 100 %, whatever the size;
/// corrected on completion; drained continuously.
///
/// The guard lowers the 100 % by what drains during it.
#[derive(Debug, Clone)]
pub(crate) struct Utilisation {
    rate: i128,
    full: i128,
    limit: u64,
    /// 100 %, less the guard.
    most: i128,
    level: i128,
    unsent: i128,
    start: Instant,
    seen: Instant,
}

const UNIT: i128 = MINUTE.as_nanos() as i128;

fn parts(tokens: u64) -> i128 {
    i128::from(tokens) * UNIT
}

fn tokens(parts: i128) -> u64 {
    u64::try_from(parts.saturating_add(UNIT - 1) / UNIT).unwrap_or(u64::MAX)
}

impl Utilisation {
    /// An idle deployment that works off `per_minute` weighted tokens and is at 100 % with the work of `window`.
    pub(crate) fn new(per_minute: u64, window: Duration, guard: Duration, now: Instant) -> Self {
        let mut idle = Self { rate: 0, full: 0, limit: 0, most: 0, level: 0, unsent: 0, start: now, seen: now };
        idle.set(now, per_minute, window, guard);
        idle
    }

    /// Another throughput from now on; what has to be worked off stays.
    pub(crate) fn set(&mut self, now: Instant, per_minute: u64, window: Duration, guard: Duration) {
        self.advance(now);
        self.rate = i128::from(per_minute);
        let full = self.rate.saturating_mul(nanos(window));
        self.limit = u64::try_from(full / UNIT).unwrap_or(u64::MAX);
        self.most = full.saturating_sub(self.rate.saturating_mul(nanos(guard))).max(full / 2);
        self.full = self.most;
    }

    /// Fills to a share. What drains stays: what the server estimated otherwise than we did it has corrected in the end,
    /// and a mirror that drains less would drift away from it for as long as there is work.
    pub(crate) fn hold(&mut self, share: f64) {
        self.full = part_of(self.most, share);
    }

    fn level_at(&self, now: Instant) -> i128 {
        let passed = nanos(now.saturating_duration_since(self.seen));
        self.level.saturating_sub(passed.saturating_mul(self.rate)).max(0)
    }

    fn now_in_nanos(&self) -> i128 {
        nanos(self.seen.saturating_duration_since(self.start))
    }

    fn advance(&mut self, now: Instant) {
        self.level = self.level_at(now);
        self.seen = self.seen.max(now);
    }
}

impl Window for Utilisation {
    fn largest(&self) -> u64 {
        if self.rate > 0 { u64::MAX } else { 0 }
    }

    fn earliest_behind(&self, now: Instant, ahead: u64, _: u64) -> Option<Instant> {
        let now = now.max(self.seen);
        let level = self.level_at(now).saturating_add(self.unsent).saturating_add(parts(ahead));
        time_for(level.saturating_sub(self.full), self.rate).map(|wait| later(now, wait))
    }

    fn reserve(&mut self, charge: u64) {
        self.unsent = self.unsent.saturating_add(parts(charge));
    }

    fn cancel(&mut self, charge: u64) {
        self.unsent = self.unsent.saturating_sub(parts(charge)).max(0);
    }

    fn send_all(&mut self, now: Instant) {
        self.advance(now);
        self.level = self.level.saturating_add(std::mem::take(&mut self.unsent));
    }

    fn send(&mut self, now: Instant, _: Instant, charge: u64) -> Mark {
        self.advance(now);
        self.cancel(charge);
        self.level = self.level.saturating_add(parts(charge));
        let idle_at = self.now_in_nanos().saturating_add(self.level.checked_div(self.rate).unwrap_or(0));
        Mark { full_at: idle_at, ..Mark::default() }
    }

    /// Less what would have drained since while we thought it idle.
    fn book(&mut self, now: Instant, mark: Mark, tokens: u64) {
        self.advance(now);
        let drained = (self.now_in_nanos() - mark.full_at).max(0).saturating_mul(self.rate);
        self.level = self.level.saturating_add(parts(tokens).saturating_sub(drained).max(0));
    }

    fn sent(&self, now: Instant) -> u64 {
        tokens(self.level_at(now.max(self.seen)))
    }

    /// As the server does it: no more is taken off than is there.
    fn correct(&mut self, now: Instant, _: Mark, charge: u64, actual: u64) {
        self.advance(now);
        self.level = self.level.saturating_add(parts(actual)).saturating_sub(parts(charge)).max(0);
    }

    fn used(&self, now: Instant) -> u64 {
        tokens(self.level_at(now.max(self.seen)).saturating_add(self.unsent))
    }

    fn limit(&self) -> u64 {
        self.limit
    }
}
