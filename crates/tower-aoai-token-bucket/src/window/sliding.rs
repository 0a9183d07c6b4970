//! A log of the last minute.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;
use tower_aoai_core::later;

use super::{Mark, Window, part_of};

/// Above this many entries a charge joins the youngest one: a little stricter, and bounded.
const MOST_ENTRIES: usize = 65_536;

/// Never more than the limit over *any* span of the window's length.
///
/// Which makes it safe against a server that counts the last minute, one that counts minutes from whatever phase, and a
/// bucket that holds a minute's tokens. The guard lengthens the window, against requests that are on their way for
/// longer than the ones before them.
#[derive(Debug, Clone)]
pub(crate) struct Sliding {
    /// Never above `largest`: what is left of it while the server charges more than we do.
    held_to: u64,
    largest: u64,
    /// With the guard.
    span: Duration,
    entries: VecDeque<Entry>,
    /// The number of the first entry.
    first: u64,
    /// Of all entries.
    sum: u64,
    unsent: u64,
    seen: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    at: Instant,
    charge: u64,
}

impl Sliding {
    pub(crate) fn new(limit: u64, window: Duration, guard: Duration, now: Instant) -> Self {
        Self {
            held_to: limit,
            largest: limit,
            span: window.saturating_add(guard),
            entries: VecDeque::new(),
            first: 0,
            sum: 0,
            unsent: 0,
            seen: now,
        }
    }

    /// Requests "per minute" that are enforced over a shorter window.
    ///
    /// The window's share is rounded down; where that is none, the window is as long as one request needs.
    pub(crate) fn of_requests(per_minute: u64, window: Duration, guard: Duration, now: Instant) -> Self {
        let (limit, window) = Self::share(per_minute, window);
        Self::new(limit, window, guard, now)
    }

    fn share(per_minute: u64, window: Duration) -> (u64, Duration) {
        let share = u128::from(per_minute).saturating_mul(window.as_nanos()) / super::MINUTE.as_nanos();
        match u64::try_from(share) {
            Ok(0) if per_minute > 0 => {
                let nanos = super::MINUTE.as_nanos().div_ceil(u128::from(per_minute));
                (1, Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
            }
            Ok(share) => (share, window),
            Err(_) => (u64::MAX, window),
        }
    }

    /// Other limits from now on; what is counted stays counted.
    pub(crate) fn set(&mut self, limit: u64, window: Duration, guard: Duration) {
        self.held_to = limit;
        self.largest = limit;
        self.span = window.saturating_add(guard);
    }

    /// Holds the sum to a share of the limit. A charge above that still fits an empty window.
    pub(crate) fn hold(&mut self, share: f64) {
        self.held_to = u64::try_from(part_of(i128::from(self.largest), share)).unwrap_or(self.largest);
    }

    pub(crate) fn set_requests(&mut self, per_minute: u64, window: Duration, guard: Duration) {
        let (limit, window) = Self::share(per_minute, window);
        self.set(limit, window, guard);
    }

    #[cfg(test)]
    pub(super) fn span(&self) -> Duration {
        self.span
    }

    fn has_left(&self, entry: Entry, now: Instant) -> bool {
        now.saturating_duration_since(entry.at) >= self.span
    }

    fn advance(&mut self, now: Instant) {
        self.seen = self.seen.max(now);
        while let Some(&entry) = self.entries.front()
            && self.has_left(entry, self.seen)
        {
            self.entries.pop_front();
            self.first += 1;
            self.sum = self.sum.saturating_sub(entry.charge);
        }
    }

    /// The entry of a charge that was sent, if it has not left.
    fn entry(&mut self, mark: Mark) -> Option<&mut Entry> {
        let index = usize::try_from(mark.number.checked_sub(self.first)?).ok()?;
        self.entries.get_mut(index)
    }

    fn push(&mut self, at: Instant, charge: u64) -> u64 {
        self.sum = self.sum.saturating_add(charge);
        let full = self.entries.len() >= MOST_ENTRIES;
        match self.entries.back_mut() {
            // What is said late to have been sent ages from the youngest entry: in order, and never too early.
            Some(last) if full || last.at >= at => {
                last.at = last.at.max(at);
                last.charge = last.charge.saturating_add(charge);
            }
            _ => self.entries.push_back(Entry { at, charge }),
        }
        self.first + (self.entries.len() as u64).saturating_sub(1)
    }
}

impl Window for Sliding {
    fn largest(&self) -> u64 {
        self.largest
    }

    fn earliest_behind(&self, now: Instant, ahead: u64, charge: u64) -> Option<Instant> {
        if charge > self.largest {
            return None;
        }
        let charge = charge.min(self.held_to);
        let now = now.max(self.seen);
        let fits = |sum: u64| {
            let with = sum.saturating_add(self.unsent).saturating_add(ahead).saturating_add(charge);
            with <= self.held_to
        };
        let mut sum = self.sum;
        let mut at = now;
        for &entry in &self.entries {
            if fits(sum) {
                return Some(at);
            }
            sum = sum.saturating_sub(entry.charge);
            at = at.max(later(entry.at, self.span));
        }
        if fits(sum) { Some(at) } else { Some(at.max(later(now, self.span))) }
    }

    fn reserve(&mut self, charge: u64) {
        self.unsent = self.unsent.saturating_add(charge);
    }

    fn cancel(&mut self, charge: u64) {
        self.unsent = self.unsent.saturating_sub(charge);
    }

    fn send_all(&mut self, now: Instant) {
        self.advance(now);
        let unsent = std::mem::take(&mut self.unsent);
        self.push(self.seen, unsent);
    }

    fn send(&mut self, now: Instant, sent: Instant, charge: u64) -> Mark {
        self.advance(now);
        self.unsent = self.unsent.saturating_sub(charge);
        Mark { number: self.push(sent.min(self.seen), charge), ..Mark::default() }
    }

    /// What is given back is taken from the entry, if it is still there; what comes on top is a charge of now.
    fn correct(&mut self, now: Instant, mark: Mark, charge: u64, actual: u64) {
        self.advance(now);
        if actual > charge {
            self.push(self.seen, actual - charge);
            return;
        }
        if let Some(entry) = self.entry(mark) {
            let back = (charge - actual).min(entry.charge);
            entry.charge -= back;
            self.sum = self.sum.saturating_sub(back);
        }
    }

    fn book(&mut self, now: Instant, mark: Mark, tokens: u64) {
        self.advance(now);
        if let Some(entry) = self.entry(mark) {
            entry.charge = entry.charge.saturating_add(tokens);
            self.sum = self.sum.saturating_add(tokens);
        }
    }

    fn sent(&self, now: Instant) -> u64 {
        let now = now.max(self.seen);
        let left = self.entries.iter().take_while(|entry| self.has_left(**entry, now));
        let left = left.fold(0u64, |left, entry| left.saturating_add(entry.charge));
        self.sum.saturating_sub(left)
    }

    fn used(&self, now: Instant) -> u64 {
        self.sent(now).saturating_add(self.unsent)
    }

    fn limit(&self) -> u64 {
        self.largest
    }
}
