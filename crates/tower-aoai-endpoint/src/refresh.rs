//! When a token is used, when another one is asked for, and when there is none: a pure state machine.

use std::time::Duration;

use tokio::time::Instant;

use crate::Token;

/// The token of one credential, and how obtaining it goes.
#[derive(Debug)]
pub(crate) struct Refresh {
    pace: Pace,
    held: Option<Held>,
    /// How many different tokens there were.
    generation: u64,
    failed: Option<Failed>,
    /// When a token was last given up because a server refused it.
    given_up_at: Option<Instant>,
}

/// How far ahead of its expiry a token is replaced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    pub(crate) margin: Duration,
    pub(crate) jitter: Duration,
}

#[derive(Debug)]
struct Held {
    token: Token,
    refresh_at: Option<Instant>,
    is_refused: bool,
}

#[derive(Debug, Clone, Copy)]
struct Failed {
    streak: u32,
    again_at: Instant,
}

/// A token for one send.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) token: Token,
    pub(crate) generation: u64,
}

/// What a call does.
#[derive(Debug)]
pub(crate) enum Want {
    /// It uses this one, and a new one is asked for meanwhile where it says so.
    Use { lease: Lease, refreshes: bool },
    /// It waits for a new one.
    Wait,
    /// There is none, and none is asked for before this instant.
    None { until: Instant },
}

/// The first wait after a failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How much of a pause chance adds at most.
const PAUSE_JITTER: f64 = 0.25;

/// A token that is refused so soon after another one was given up for that is not what is wrong.
const BETWEEN_GIVING_UP: Duration = Duration::from_secs(30);

impl Refresh {
    pub(crate) const fn new(pace: Pace) -> Self {
        Self { pace, held: None, generation: 0, failed: None, given_up_at: None }
    }

    pub(crate) fn want(&self, now: Instant) -> Want {
        let paused_until = self.failed.map(|failed| failed.again_at).filter(|again_at| *again_at > now);
        let usable = self.held.as_ref().filter(|held| held.token.is_good(now));
        match (usable, paused_until) {
            // Better a token that somebody refused than none at all.
            (Some(held), paused) if !held.is_refused || paused.is_some() => {
                let is_due = held.refresh_at.is_some_and(|at| at <= now);
                let lease = Lease { token: held.token.clone(), generation: self.generation };
                Want::Use { lease, refreshes: is_due && paused.is_none() }
            }
            (_, Some(until)) => Want::None { until },
            (_, None) => Want::Wait,
        }
    }

    /// A token came. `false` if it had expired already, which is a failure like any other. `draw` is from 0 to 1.
    pub(crate) fn obtained(&mut self, token: Token, now: Instant, draw: f64) -> bool {
        let left = token.expiry().map(|at| at.saturating_duration_since(now));
        if left.is_some_and(|left| left.is_zero()) {
            self.failed(now, draw);
            return false;
        }
        let refresh_at = left.map(|left| {
            // Of a short life the second half.
            let jitter = self.pace.jitter.mul_f64(draw.clamp(0.0, 1.0));
            let margin = self.pace.margin.saturating_add(jitter).min(left / 2);
            now + (left - margin)
        });
        if self.held.as_ref().is_none_or(|held| !held.token.is_same_secret(&token)) {
            self.generation += 1;
        }
        self.held = Some(Held { token, refresh_at, is_refused: false });
        self.failed = None;
        true
    }

    /// None could be had. `draw` is from 0 to 1.
    pub(crate) fn failed(&mut self, now: Instant, draw: f64) {
        let streak = self.failed.map_or(0, |failed| failed.streak);
        let pause = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(streak).unwrap_or(u32::MAX)).min(LONGEST_PAUSE);
        let pause = pause.mul_f64(1.0 + PAUSE_JITTER * draw.clamp(0.0, 1.0));
        self.failed = Some(Failed { streak: streak.saturating_add(1).min(16), again_at: now + pause });
    }

    /// A server refused the token of a generation; whether another one may do better.
    pub(crate) fn refused(&mut self, generation: u64, now: Instant) -> bool {
        let Some(held) = &mut self.held else {
            return false;
        };
        if generation != self.generation || held.is_refused {
            return true;
        }
        if self.given_up_at.is_some_and(|at| now.saturating_duration_since(at) < BETWEEN_GIVING_UP) {
            return false;
        }
        held.is_refused = true;
        self.given_up_at = Some(now);
        true
    }

    /// Whether the token was given up, and no other one came yet.
    pub(crate) fn is_refused(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.is_refused)
    }

    /// When the token expires, if there is one that does.
    pub(crate) fn expiry(&self) -> Option<Instant> {
        self.held.as_ref()?.token.expiry()
    }

    /// Whether there is a token that is good.
    pub(crate) fn is_good(&self, now: Instant) -> bool {
        self.held.as_ref().is_some_and(|held| held.token.is_good(now))
    }
}

#[cfg(test)]
mod tests;
