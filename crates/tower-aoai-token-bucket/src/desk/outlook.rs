//! Looking ahead: when somebody would start, and who has to make room for that.

use std::time::Duration;

use tokio::time::Instant;
use tower_aoai_core::{Admission, Reason, Rejected, later};

use super::{Desk, NAME, Wakes, pass::LOOK_BEHIND};
use crate::{Ask, Forecast, Risk, queue::Place, window::MINUTE};

impl Desk {
    /// When a call that comes now would be let through, if nothing else happens; `None` if never, or if that is not
    /// before `cutoff`. Of calls in flight nobody knows when they end: their places count as free.
    pub(crate) fn start(&self, now: Instant, ask: &Ask, cutoff: Option<Instant>) -> Option<Instant> {
        let now = now.max(self.clock);
        self.start_without(now, ask, cutoff, &[])
    }

    fn start_without(&self, now: Instant, ask: &Ask, cutoff: Option<Instant>, out: &[Place]) -> Option<Instant> {
        let mut ahead = self.queue.ahead_of(now, ask).filter(|(place, _)| !out.contains(place)).peekable();
        if ahead.peek().is_none() {
            return self.ledger.earliest(now, ask.charge);
        }
        let mut ledger = self.ledger.ahead(now);
        let mut at = now;
        for (_, waiter) in ahead {
            let Some(next) = ledger.earliest(at, waiter.charge) else {
                continue;
            };
            at = at.max(next);
            if cutoff.is_some_and(|cutoff| at >= cutoff) {
                return Some(at);
            }
            ledger.reserve(at, waiter.charge);
            ledger.send(at, at, waiter.charge);
        }
        ledger.earliest(at, ask.charge)
    }

    /// What would become of a call that comes now.
    pub(crate) fn risk(&self, now: Instant, ask: &Ask) -> Risk {
        let now = now.max(self.clock);
        if !self.ledger.can_ever(ask.charge) {
            return Risk::Refused { reason: Reason::TooLarge, until: None };
        }
        let start = self.start(now, ask, None);
        if self.queue.len() == 0 && self.ledger.fits(now, ask.charge) {
            return Risk::Now;
        }
        if self.never_waits {
            return Risk::Refused { reason: Reason::QuotaSpent, until: start };
        }
        match start {
            Some(until) if self.has_room() => Risk::Waits { until, on: self.ledger.obstacle(now, ask.charge) },
            until => Risk::Refused { reason: Reason::QueueFull, until },
        }
    }

    /// What will be used and wanted so much later.
    pub(crate) fn forecast(&self, now: Instant, within: Duration) -> Forecast {
        let now = now.max(self.clock);
        let then = later(now, within);
        let waiting = self.queue.all().fold((0u64, 0u64), |(tokens, requests), (_, waiter)| {
            (tokens.saturating_add(waiter.charge.tokens), requests.saturating_add(waiter.charge.requests))
        });
        let come = |window: Duration| self.demand.within(now, within.min(window));
        let (tokens, tokens_limit) = self.ledger.tokens(then).unwrap_or_default();
        let (requests, requests_limit) = self.ledger.requests(then).unwrap_or_default();
        let window = self.ledger.configured().request_window;
        Forecast {
            tokens_wanted: tokens.saturating_add(waiting.0).saturating_add(come(MINUTE).tokens),
            tokens_limit,
            requests_wanted: requests.saturating_add(waiting.1).saturating_add(come(window).requests),
            requests_limit,
        }
    }

    /// What a balancer is told of a call that comes at `from`.
    pub(crate) fn admission(&self, from: Instant, ask: &Ask) -> Admission {
        if !self.ledger.can_ever(ask.charge) {
            return Admission::Shut(None);
        }
        let start = self.start(from, ask, None);
        let can_enter = if self.never_waits {
            start.is_some_and(|start| start <= from.max(self.clock)) && self.ledger.has_place() && self.queue.len() == 0
        } else {
            self.has_room()
        };
        match start {
            Some(start) if can_enter => Admission::At(start.max(from)),
            start => Admission::Shut(start),
        }
    }

    /// Sees to it that the call can start before its latest start: sheds who is cheaper to serve elsewhere, or refuses.
    pub(super) fn make_room(
        &mut self,
        now: Instant,
        ask: &Ask,
        latest: Instant,
        wakes: &mut Wakes,
    ) -> Result<(), Rejected> {
        let Some(start) = self.start(now, ask, Some(latest)).filter(|start| *start >= latest) else {
            return Ok(());
        };
        let own = ask.spill_cost.unwrap_or(u64::MAX);
        let mut cheaper: Vec<_> = self
            .queue
            .ahead_of(now, ask)
            .filter_map(|(place, waiter)| Some((waiter.spill_cost()?, place)))
            .filter(|(cost, _)| *cost < own)
            .collect();
        cheaper.sort_unstable();
        let cheaper: Vec<_> = cheaper.into_iter().map(|(_, place)| place).take(LOOK_BEHIND).collect();
        let fits = |out: &[Place]| self.start_without(now, ask, Some(latest), out).is_some_and(|start| start < latest);
        // The fewest of the cheapest; that more of them make more room is all that the search needs.
        if !fits(&cheaper) {
            return Err(until(late(ask.is_deadline), self.start(now, ask, None).or(Some(start))));
        }
        let (mut low, mut high) = (0, cheaper.len());
        while low < high {
            let middle = low.midpoint(high);
            if fits(&cheaper[..middle]) { high = middle } else { low = middle + 1 }
        }
        for place in &cheaper[..high] {
            self.shed(now, *place, Reason::StartBy, wakes);
        }
        Ok(())
    }

    /// Makes room in a full queue for one who is dearer to serve elsewhere.
    pub(super) fn shed_cheapest(&mut self, now: Instant, ask: &Ask, wakes: &mut Wakes) -> bool {
        let own = ask.spill_cost.unwrap_or(u64::MAX);
        let costs = self.queue.all().filter_map(|(place, waiter)| Some((waiter.spill_cost()?, place)));
        let Some((_, place)) = costs.min().filter(|(cost, _)| *cost < own) else {
            return false;
        };
        self.shed(now, place, Reason::QueueFull, wakes);
        true
    }

    pub(super) fn shed(&mut self, now: Instant, place: Place, reason: Reason, wakes: &mut Wakes) {
        if let Some(waiter) = self.queue.remove(place) {
            let opens_at = self.ledger.earliest(now, waiter.charge);
            self.decided.insert(place.number(), Err(until(reason, opens_at)));
            self.counts.shed += 1;
            wakes.extend(waiter.waker);
        }
    }
}

pub(super) fn late(is_deadline: bool) -> Reason {
    if is_deadline { Reason::Deadline } else { Reason::StartBy }
}

pub(super) fn until(reason: Reason, at: Option<Instant>) -> Rejected {
    let refused = Rejected::new(reason, NAME);
    match at {
        Some(at) => refused.until(at),
        None => refused,
    }
}
