//! Ledger and queue together: who is let through, who waits, who is refused.

use std::{collections::HashMap, task::Waker, time::Duration};

use tokio::time::Instant;
use tower_aoai_core::{QuotaHeaders, Reason, Rejected};

use crate::{
    Ask, Cause, Charge, Limits, Settlement,
    desk::outlook::{late, until},
    forecast::Demand,
    ledger::{Booking, Ledger, Lesson},
    queue::{Place, Queue},
};

mod outlook;
mod pass;
#[cfg(test)]
mod tests;

/// The layer's name in a refusal.
pub(crate) const NAME: &str = "token bucket";

#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) ledger: Ledger,
    queue: Queue,
    /// What was decided of waiters that have not yet come to hear it.
    decided: HashMap<u64, Result<Grant, Rejected>>,
    capacity: usize,
    never_waits: bool,
    near_percent: u8,
    is_near: bool,
    /// The latest instant seen: who read the clock earlier and came later is of that instant.
    clock: Instant,
    /// For whom, and to when, the one timer was set.
    alarm: Option<(Place, Option<Instant>)>,
    demand: Demand,
    pub(crate) counts: Counts,
}

/// A charge that was let through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grant {
    pub(crate) charge: Charge,
    pub(crate) waited: Duration,
    /// Of the limit of calls in flight.
    pub(crate) generation: u32,
    /// With it the tokens' use rose to the threshold.
    pub(crate) is_near_limit: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) granted: u64,
    pub(crate) denied: u64,
    pub(crate) shed: u64,
    pub(crate) waited: Duration,
    pub(crate) longest: Duration,
    pub(crate) near_limit: u64,
    pub(crate) throttled: u64,
}

/// What becomes of one who comes.
#[derive(Debug)]
pub(crate) enum Arrival {
    Granted(Grant),
    Refused(Rejected),
    Waits(Place),
}

/// What one who waits is told.
#[derive(Debug)]
pub(crate) enum Told {
    Granted(Grant),
    Refused(Rejected),
    /// Wait on; until that instant, if the timer is yours.
    Wait(Option<Instant>),
}

/// Who has to be woken once the lock is given back.
pub(crate) type Wakes = Vec<Waker>;

impl Desk {
    pub(crate) fn new(
        ledger: Ledger,
        queue: Queue,
        capacity: usize,
        never_waits: bool,
        near_percent: u8,
        now: Instant,
    ) -> Self {
        let (decided, counts) = (HashMap::new(), Counts::default());
        Self {
            ledger,
            queue,
            decided,
            capacity,
            never_waits,
            near_percent,
            is_near: false,
            clock: now,
            alarm: None,
            demand: Demand::new(now),
            counts,
        }
    }

    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    fn tick(&mut self, now: Instant) -> Instant {
        self.clock = self.clock.max(now);
        self.clock
    }

    pub(crate) fn has_room(&self) -> bool {
        self.queue.len() < self.capacity
    }

    /// Somebody comes.
    pub(crate) fn arrive(&mut self, now: Instant, ask: &Ask, wakes: &mut Wakes) -> Arrival {
        let now = self.tick(now);
        self.demand.note(now, ask.charge);
        let refused = match self.judge(now, ask, wakes) {
            Ok(arrival) => return arrival,
            Err(refused) => refused,
        };
        self.counts.denied += 1;
        Arrival::Refused(refused)
    }

    fn judge(&mut self, now: Instant, ask: &Ask, wakes: &mut Wakes) -> Result<Arrival, Rejected> {
        if !self.ledger.can_ever(ask.charge) {
            return Err(ask.charge.too_large());
        }
        if ask.latest.is_some_and(|latest| latest <= now) {
            return Err(Rejected::new(late(ask.is_deadline), NAME));
        }
        self.pump(now, wakes);
        if self.queue.len() == 0 && self.ledger.fits(now, ask.charge) {
            return Ok(Arrival::Granted(self.grant(now, ask.charge, Duration::ZERO)));
        }
        if self.never_waits {
            return Err(until(Reason::QuotaSpent, self.start(now, ask, None)));
        }
        if let Some(latest) = ask.latest {
            self.make_room(now, ask, latest, wakes)?;
        }
        if !self.has_room() && !self.shed_cheapest(now, ask, wakes) {
            return Err(until(Reason::QueueFull, self.start(now, ask, None)));
        }
        let place = self.queue.push(now, ask);
        self.pump(now, wakes);
        Ok(match self.decided.remove(&place.number()) {
            Some(Ok(grant)) => Arrival::Granted(grant),
            Some(Err(refused)) => Arrival::Refused(refused),
            None => Arrival::Waits(place),
        })
    }

    fn grant(&mut self, now: Instant, charge: Charge, waited: Duration) -> Grant {
        self.ledger.reserve(now, charge);
        self.counts.granted += 1;
        self.counts.waited = self.counts.waited.saturating_add(waited);
        self.counts.longest = self.counts.longest.max(waited);
        Grant { charge, waited, generation: self.ledger.generation(), is_near_limit: self.comes_near(now) }
    }

    fn comes_near(&mut self, now: Instant) -> bool {
        let was_near = self.is_near;
        self.is_near = self
            .ledger
            .tokens(now)
            .is_some_and(|(used, limit)| u128::from(used) * 100 >= u128::from(limit) * u128::from(self.near_percent));
        let crossed = self.is_near && !was_near;
        self.counts.near_limit += u64::from(crossed);
        crossed
    }

    fn let_through(&mut self, now: Instant, place: Place, wakes: &mut Wakes) {
        if let Some(waiter) = self.queue.serve(place) {
            let waited = self.queue.waited(&waiter, now);
            let grant = self.grant(now, waiter.charge, waited);
            self.decided.insert(place.number(), Ok(grant));
            wakes.extend(waiter.waker);
        }
    }

    /// Decides whatever can be decided now. To be called after everything that happens.
    pub(crate) fn pump(&mut self, now: Instant, wakes: &mut Wakes) {
        let now = self.tick(now);
        if self.is_quiet() {
            return;
        }
        while let Some((latest, place)) = self.queue.first_latest()
            && latest <= now
        {
            let is_deadline = self.queue.get_mut(place).is_some_and(|waiter| waiter.is_deadline);
            self.shed(now, place, late(is_deadline), wakes);
        }
        while let Some((place, head)) = self.queue.head() {
            let (charge, is_deadline, latest) = (head.charge, head.is_deadline, self.queue.latest(head));
            if !self.ledger.can_ever(charge) {
                self.shed(now, place, Reason::TooLarge, wakes);
            } else if self.ledger.fits(now, charge) {
                self.let_through(now, place, wakes);
            } else {
                let Some(at) = self.ledger.earliest(now, charge) else {
                    break;
                };
                if latest.is_some_and(|latest| at >= latest) {
                    self.shed(now, place, late(is_deadline), wakes);
                    continue;
                }
                self.let_small_ones_pass(now, charge, at, wakes);
                break;
            }
        }
        self.set_alarm(now, wakes);
    }

    /// When something will have to be decided though nothing happens.
    fn next_alarm(&self, now: Instant) -> Option<Instant> {
        let (_, head) = self.queue.head()?;
        let start = if self.ledger.has_place() { self.ledger.earliest(now, head.charge) } else { None };
        let latest = self.queue.first_latest().map(|(at, _)| at);
        start.into_iter().chain(latest).min()
    }

    /// Wakes the head where the timer is not, or no longer, right: it sets it when it is polled.
    fn set_alarm(&mut self, now: Instant, wakes: &mut Wakes) {
        let alarm = self.queue.head().map(|(place, _)| (place, self.next_alarm(now)));
        if alarm == self.alarm {
            return;
        }
        self.alarm = alarm;
        if let Some(waiter) = alarm.and_then(|(place, _)| self.queue.get_mut(place)) {
            wakes.extend(waiter.waker.clone());
        }
    }

    /// One who waits comes to hear.
    pub(crate) fn poll(&mut self, now: Instant, place: Place, waker: &Waker, wakes: &mut Wakes) -> Told {
        let now = self.tick(now);
        // Not woken by its own poll, which sets the timer anyway.
        let known = self.queue.get_mut(place).and_then(|waiter| waiter.waker.take());
        self.pump(now, wakes);
        match self.decided.remove(&place.number()) {
            Some(Ok(grant)) => return Told::Granted(grant),
            Some(Err(refused)) => return Told::Refused(refused),
            None => {}
        }
        if let Some(waiter) = self.queue.get_mut(place) {
            waiter.waker = Some(known.filter(|known| known.will_wake(waker)).unwrap_or_else(|| waker.clone()));
        }
        Told::Wait(self.alarm.filter(|(owner, _)| *owner == place).and_then(|(_, at)| at))
    }

    /// One who waits goes away.
    pub(crate) fn leave(&mut self, now: Instant, place: Place, wakes: &mut Wakes) {
        self.queue.remove(place);
        if let Some(Ok(grant)) = self.decided.remove(&place.number()) {
            self.ledger.cancel(grant.charge);
            self.counts.granted = self.counts.granted.saturating_sub(1);
        }
        self.pump(now, wakes);
    }

    /// Like [`settle`](Self::settle) asks for the time only where somebody waits for it: it costs as much as the rest.
    pub(crate) fn cancel(&mut self, now: impl FnOnce() -> Instant, charge: Charge, wakes: &mut Wakes) {
        self.ledger.cancel(charge);
        if !self.is_quiet() {
            self.pump(now(), wakes);
        }
    }

    fn is_quiet(&self) -> bool {
        self.queue.len() == 0 && self.alarm.is_none()
    }

    pub(crate) fn send(&mut self, now: Instant, sent: Instant, charge: Charge, wakes: &mut Wakes) -> Booking {
        let booking = self.ledger.send(now, sent, charge);
        self.pump(now, wakes);
        booking
    }

    pub(crate) fn settle(
        &mut self,
        now: impl FnOnce() -> Instant,
        booking: Booking,
        charge: Charge,
        generation: u32,
        settlement: Settlement,
        wakes: &mut Wakes,
    ) {
        let is_timeless = self.is_quiet() && settlement.actual.is_none();
        let now = if is_timeless { self.clock } else { self.tick(now()) };
        self.ledger.end(now, generation, settlement.ending);
        self.ledger.settle(now, booking, charge, settlement.actual);
        self.pump(now, wakes);
    }

    pub(crate) fn shut_until(&mut self, now: Instant, until: Instant, cause: Cause, wakes: &mut Wakes) {
        if cause == Cause::Tokens {
            self.ledger.lower_share(now);
        }
        self.ledger.shut_until(now, until);
        self.counts.throttled += u64::from(cause != Cause::Health);
        self.pump(now, wakes);
    }

    pub(crate) fn set_limits(&mut self, now: Instant, limits: Limits, wakes: &mut Wakes) {
        self.ledger.set_limits(limits, now);
        self.shed_too_large(now, wakes);
        self.pump(now, wakes);
    }

    /// What the headers of the answer to a sent call say.
    pub(crate) fn hear(&mut self, now: Instant, booking: Booking, headers: &QuotaHeaders, wakes: &mut Wakes) -> Lesson {
        let now = self.tick(now);
        let lesson = self.ledger.hear(now, booking, headers);
        if lesson.changes_limits() {
            self.shed_too_large(now, wakes);
        }
        self.pump(now, wakes);
        lesson
    }

    fn shed_too_large(&mut self, now: Instant, wakes: &mut Wakes) {
        let never: Vec<_> = self
            .queue
            .all()
            .filter(|(_, waiter)| !self.ledger.can_ever(waiter.charge))
            .map(|(place, _)| place)
            .collect();
        for place in never {
            self.shed(now, place, Reason::TooLarge, wakes);
        }
    }
}
