//! Limits that change while they are in use.

use tokio::time::Instant;

use super::Ledger;
use crate::{
    Limits, WindowModel,
    adaptive::Adaptive,
    window::{Bucket, MINUTE, Sliding, Tokens, Utilisation, Window},
};

impl Ledger {
    /// Other limits from now on; what is counted stays counted.
    ///
    /// A limit that is lifted forgets; one that is new begins with nothing used.
    pub(crate) fn set_limits(&mut self, limits: Limits, now: Instant) {
        self.configured = limits;
        (self.learned_tokens, self.learned_requests) = Default::default();
        self.enforce(limits, now);
    }

    pub(super) fn enforce(&mut self, limits: Limits, now: Instant) {
        let guard = self.rules.guard;
        self.tokens = limits.tokens_per_minute.map(|limit| match (self.tokens.take(), self.rules.model) {
            (Some(mut window), model) => {
                match (&mut window, model) {
                    (Tokens::Bucket(bucket), WindowModel::Bucket { capacity }) => {
                        let held = self.limits.tokens_per_minute.unwrap_or(limit).max(1);
                        bucket.set(now, limit, proportional(bucket.limit(), limit, held).unwrap_or(capacity), guard);
                    }
                    (Tokens::Utilisation(level), WindowModel::Utilisation { window }) => {
                        level.set(now, limit, window, guard);
                    }
                    (Tokens::Sliding(sliding), _) => sliding.set(limit, MINUTE, guard),
                    _ => {}
                }
                window
            }
            (None, WindowModel::Sliding) => Tokens::Sliding(Sliding::new(limit, MINUTE, guard, now)),
            (None, WindowModel::Bucket { capacity }) => Tokens::Bucket(Bucket::new(limit, capacity, guard, now)),
            (None, WindowModel::Utilisation { window }) => {
                Tokens::Utilisation(Utilisation::new(limit, window, guard, now))
            }
        });
        self.requests = limits.requests_per_minute.map(|limit| match self.requests.take() {
            Some(mut window) => {
                window.set_requests(limit, limits.request_window, guard);
                window
            }
            None => Sliding::of_requests(limit, limits.request_window, guard, now),
        });
        if let Some(window) = &mut self.tokens {
            window.hold(now, self.share.now());
        }
        self.adaptive = limits.adaptive_in_flight.map(|range| match self.adaptive {
            Some(mut adaptive) => {
                adaptive.set(range);
                adaptive
            }
            None => Adaptive::new(range),
        });
        self.limits = limits;
    }
}

fn proportional(held: u64, limit: u64, before: u64) -> Option<u64> {
    let held = u128::from(held).checked_mul(u128::from(limit))? / u128::from(before);
    u64::try_from(held).ok()
}
