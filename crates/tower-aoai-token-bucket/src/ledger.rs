//! Every dimension of a quota, reserved together or not at all.

use std::time::Duration;

use tokio::time::Instant;
use tower_aoai_core::later;

use crate::{
    Charge, Limits, WindowModel,
    adaptive::Adaptive,
    learned::{LearnedLimit, Others, Sends},
    share::Share,
    window::{MINUTE, Mark, Sliding, Tokens, Window},
};

mod enforce;
mod hear;
#[cfg(test)]
mod tests;

pub(crate) use self::hear::Lesson;

/// How a ledger counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) model: WindowModel,
    /// How much later than the one before it a request may arrive.
    pub(crate) guard: Duration,
    pub(crate) headers: Headers,
}

/// What is made of the quota headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Headers {
    /// Nothing.
    Ignored,
    /// They lower what is configured.
    #[default]
    Heeded,
    /// Their limits count, higher ones too.
    Decide,
}

/// The tokens that went through a ledger: `granted = settled + returned + outstanding`, where what was settled for less
/// or more than it was granted for counts as granted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) granted: u128,
    pub(crate) settled: u128,
    pub(crate) returned: u128,
}

/// What keeps a charge from being granted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dimension {
    /// Tokens per minute.
    Tokens,
    /// Requests per minute, in their window.
    Requests,
    /// The minimum interval between calls, or the pace after a 429.
    Interval,
    /// Calls in flight.
    InFlight,
    /// The server said when to come back.
    Gate,
}

#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    rules: Rules,
    configured: Limits,
    /// In force.
    limits: Limits,
    learned_tokens: LearnedLimit,
    learned_requests: LearnedLimit,
    sends: Sends,
    others: Others,
    tokens: Option<Tokens>,
    requests: Option<Sliding>,
    next: Option<Instant>,
    gate: Option<Instant>,
    /// Until when grants keep the pace of the quota, after a 429.
    paced_until: Option<Instant>,
    in_flight: usize,
    adaptive: Option<Adaptive>,
    share: Share,
    tally: Tally,
}

/// What the end of a sent call says of the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// Nothing.
    #[default]
    Unknown,
    /// It took the call, and answered.
    Answered,
    /// It had more to do than it could.
    Overloaded,
}

/// Where a sent charge is booked.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Booking {
    tokens: Mark,
    /// When it was sent, and how it then stood: with what the server counted it is compared.
    sent: Option<Instant>,
    used: u64,
    sends: u64,
    others: u64,
}

impl Ledger {
    pub(crate) fn new(rules: Rules, limits: Limits, now: Instant) -> Self {
        let mut ledger = Self {
            rules,
            configured: limits,
            limits: Limits::default(),
            learned_tokens: LearnedLimit::default(),
            learned_requests: LearnedLimit::default(),
            sends: Sends::new(rules.guard, now),
            others: Others::default(),
            tokens: None,
            requests: None,
            next: None,
            gate: None,
            paced_until: None,
            in_flight: 0,
            adaptive: None,
            share: Share::default(),
            tally: Tally::default(),
        };
        ledger.set_limits(limits, now);
        ledger
    }

    /// Whether a charge can be granted at all, as the limits are.
    pub(crate) fn can_ever(&self, charge: Charge) -> bool {
        self.tokens.as_ref().is_none_or(|window| charge.tokens <= window.largest())
            && self.requests.as_ref().is_none_or(|window| charge.requests <= window.largest())
    }

    /// How many calls may be in flight.
    pub(crate) fn places(&self) -> Option<usize> {
        let found = self.adaptive.as_ref().map(Adaptive::limit);
        self.limits.max_in_flight.into_iter().chain(found).min()
    }

    /// To be told again when what is let through now has ended.
    pub(crate) fn generation(&self) -> u32 {
        self.adaptive.as_ref().map_or(0, Adaptive::generation)
    }

    /// What a call's end says of the server. To be told before it is settled.
    pub(crate) fn end(&mut self, now: Instant, generation: u32, ending: Ending) {
        match (ending, &mut self.adaptive) {
            (Ending::Answered, adaptive) => {
                if let Some(adaptive) = adaptive {
                    adaptive.succeed(generation, self.in_flight);
                }
                self.raise_share(now);
            }
            (Ending::Overloaded, Some(adaptive)) => adaptive.overload(generation),
            _ => {}
        }
    }

    pub(crate) fn has_place(&self) -> bool {
        self.places().is_none_or(|limit| self.in_flight < limit)
    }

    /// The first instant at which the charge fits every dimension but the places in flight, if nothing else happens;
    /// `None` if it never does.
    pub(crate) fn earliest(&self, now: Instant, charge: Charge) -> Option<Instant> {
        self.earliest_behind(now, Charge::NONE, charge)
    }

    fn earliest_behind(&self, now: Instant, ahead: Charge, charge: Charge) -> Option<Instant> {
        let mut at = now.max(self.next.unwrap_or(now)).max(self.gate.unwrap_or(now));
        if let Some(window) = &self.tokens {
            at = at.max(window.earliest_behind(now, ahead.tokens, charge.tokens)?);
        }
        if let Some(window) = &self.requests {
            at = at.max(window.earliest_behind(now, ahead.requests, charge.requests)?);
        }
        Some(at)
    }

    /// What keeps the charge waiting the longest, if it has to wait.
    pub(crate) fn obstacle(&self, now: Instant, charge: Charge) -> Option<Dimension> {
        if !self.has_place() {
            return Some(Dimension::InFlight);
        }
        let tokens = self.tokens.as_ref().and_then(|window| window.earliest(now, charge.tokens));
        let requests = self.requests.as_ref().and_then(|window| window.earliest(now, charge.requests));
        [
            (self.gate, Dimension::Gate),
            (self.next, Dimension::Interval),
            (requests, Dimension::Requests),
            (tokens, Dimension::Tokens),
        ]
        .into_iter()
        .filter_map(|(at, dimension)| at.filter(|at| *at > now).map(|at| (at, dimension)))
        .max_by_key(|(at, _)| *at)
        .map(|(_, dimension)| dimension)
    }

    pub(crate) fn fits(&self, now: Instant, charge: Charge) -> bool {
        self.has_place() && self.earliest(now, charge).is_some_and(|at| at <= now)
    }

    /// Whether `small` may be granted now without delaying `head`, which waits until `head_at`.
    pub(crate) fn may_pass(&self, now: Instant, small: Charge, head: Charge, head_at: Instant) -> bool {
        let places = self.places().is_none_or(|limit| self.in_flight.saturating_add(2) <= limit);
        places
            && self.fits(now, small)
            && self.after_grant(now, small) <= head_at
            && self.earliest_behind(now, small, head).is_some_and(|at| at <= head_at)
    }

    /// Counts a charge in every dimension. Ask [`fits`](Self::fits) first.
    pub(crate) fn reserve(&mut self, now: Instant, charge: Charge) {
        if let Some(window) = &mut self.tokens {
            window.reserve(charge.tokens);
        }
        if let Some(window) = &mut self.requests {
            window.reserve(charge.requests);
        }
        let next = self.after_grant(now, charge);
        self.next = (next > now).then_some(next);
        self.in_flight += 1;
        self.tally.granted += u128::from(charge.tokens);
    }

    /// When the next charge may be granted, as far as interval and pace are concerned.
    fn after_grant(&self, now: Instant, charge: Charge) -> Instant {
        let mut pause = self.limits.min_interval;
        if self.paced_until.is_some_and(|until| now < until) {
            pause = pause.max(self.time_of(charge));
        }
        later(now, pause)
    }

    /// The time in which so much flows back.
    fn time_of(&self, charge: Charge) -> Duration {
        let share = |amount: u64, limit: Option<u64>| {
            let nanos = u128::from(amount).saturating_mul(MINUTE.as_nanos());
            let nanos = nanos.checked_div(u128::from(limit?))?;
            Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(MINUTE))
        };
        let tokens = share(charge.tokens, self.limits.tokens_per_minute).unwrap_or_default();
        tokens.max(share(charge.requests, self.limits.requests_per_minute).unwrap_or_default())
    }

    /// A copy to look ahead with, in which all that is granted is on its way.
    pub(crate) fn ahead(&self, now: Instant) -> Self {
        let mut ahead = self.clone();
        if let Some(window) = &mut ahead.tokens {
            window.send_all(now);
        }
        if let Some(window) = &mut ahead.requests {
            window.send_all(now);
        }
        ahead
    }

    /// Takes a charge back that was not sent.
    pub(crate) fn cancel(&mut self, charge: Charge) {
        if let Some(window) = &mut self.tokens {
            window.cancel(charge.tokens);
        }
        if let Some(window) = &mut self.requests {
            window.cancel(charge.requests);
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        self.tally.returned += u128::from(charge.tokens);
    }

    /// A reserved charge was sent at `sent`: from then on it ages.
    pub(crate) fn send(&mut self, now: Instant, sent: Instant, charge: Charge) -> Booking {
        if let Some(window) = &mut self.requests {
            window.send(now, sent, charge.requests);
        }
        let Some(window) = &mut self.tokens else {
            return Booking::default();
        };
        let tokens = window.send(now, sent, charge.tokens);
        let (used, sends) = (window.sent(sent), self.sends.note(sent, charge.tokens));
        Booking { tokens, sent: Some(sent), used, sends, others: self.others.total }
    }

    /// A sent call has ended; `actual` is what it is settled for, where that is not its charge.
    pub(crate) fn settle(&mut self, now: Instant, booking: Booking, charge: Charge, actual: Option<u64>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let (Some(actual), Some(window)) = (actual, &mut self.tokens) {
            window.correct(now, booking.tokens, charge.tokens, actual);
        }
        self.tally.settled += u128::from(charge.tokens);
    }

    /// Nothing is granted before `until`, and what follows keeps the quota's pace for as long again, up to a minute, so
    /// that those who waited do not all come at once. An earlier instant never shortens a gate.
    pub(crate) fn shut_until(&mut self, now: Instant, until: Instant) {
        self.gate = Some(self.gate.map_or(until, |gate| gate.max(until)));
        let paced = later(until, until.saturating_duration_since(now).min(MINUTE));
        self.paced_until = Some(self.paced_until.map_or(paced, |at| at.max(paced)));
    }

    /// The server refused for its tokens what the mirror let through; refusals behind a shut gate are of the same news.
    pub(crate) fn lower_share(&mut self, now: Instant) {
        if self.gate(now).is_some() {
            return;
        }
        let share = self.share.lower(matches!(self.tokens, Some(Tokens::Utilisation(_))));
        if let Some(window) = &mut self.tokens {
            window.hold(now, share);
        }
    }

    /// The server answered.
    fn raise_share(&mut self, now: Instant) {
        if let (Some(share), Some(window)) = (self.share.raise(), &mut self.tokens) {
            window.hold(now, share);
        }
    }

    pub(crate) fn share(&self) -> f64 {
        self.share.now()
    }

    pub(crate) fn gate(&self, now: Instant) -> Option<Instant> {
        self.gate.filter(|gate| *gate > now)
    }

    /// As configured; what the server said of them is left out.
    pub(crate) fn configured(&self) -> Limits {
        self.configured
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    #[cfg(test)]
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    pub(crate) fn outstanding(&self) -> u128 {
        self.tally.granted - self.tally.settled - self.tally.returned
    }

    /// Used and allowed tokens.
    pub(crate) fn tokens(&self, now: Instant) -> Option<(u64, u64)> {
        self.tokens.as_ref().map(|window| (window.used(now), window.limit()))
    }

    /// Used and allowed requests of their window.
    pub(crate) fn requests(&self, now: Instant) -> Option<(u64, u64)> {
        self.requests.as_ref().map(|window| (window.used(now), window.limit()))
    }
}
