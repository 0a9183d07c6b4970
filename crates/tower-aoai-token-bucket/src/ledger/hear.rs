//! What the quota headers of an answer say.

use tokio::time::Instant;
use tower_aoai_core::QuotaHeaders;

use super::{Booking, Headers, Ledger};
use crate::{Limits, learned::LearnedLimit, window::Window};

/// What was learned from one answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lesson {
    /// The tokens' limit, where it has changed.
    pub(crate) tokens: Option<u64>,
    /// The requests' limit, where it has changed.
    pub(crate) requests: Option<u64>,
    /// Tokens that others have used.
    pub(crate) others: u64,
}

impl Lesson {
    pub(crate) const fn changes_limits(&self) -> bool {
        self.tokens.is_some() || self.requests.is_some()
    }
}

impl Ledger {
    /// The headers of the answer to a sent call.
    ///
    /// They tell how it stood at the server when the call came there, so they are compared with how it stood here when it
    /// was sent. What was sent within the guard after it may have come there first.
    pub(crate) fn hear(&mut self, now: Instant, booking: Booking, headers: &QuotaHeaders) -> Lesson {
        if self.rules.headers == Headers::Ignored {
            return Lesson::default();
        }
        let decides = self.rules.headers == Headers::Decide;
        let hear = |learned: &mut LearnedLimit, told: Option<u64>, configured| {
            let changed = told.is_some_and(|told| learned.hear(now, told, configured, decides));
            changed.then(|| learned.of(configured)).flatten()
        };
        let tokens = hear(&mut self.learned_tokens, headers.tokens.limit, self.configured.tokens_per_minute);
        let requests = hear(&mut self.learned_requests, headers.requests.limit, self.configured.requests_per_minute);
        let mut lesson = Lesson { tokens, requests, others: 0 };
        if lesson.changes_limits() {
            let limits = Limits {
                tokens_per_minute: self.learned_tokens.of(self.configured.tokens_per_minute),
                requests_per_minute: self.learned_requests.of(self.configured.requests_per_minute),
                ..self.configured
            };
            self.enforce(limits, now);
        }
        lesson.others = self.surplus(booking, headers).unwrap_or(0);
        if let Some(window) = &mut self.tokens
            && lesson.others > 0
        {
            window.book(now, booking.tokens, lesson.others);
            self.others.book(now, lesson.others);
        }
        lesson
    }

    /// How many tokens fewer are left there than we thought: others have used them.
    fn surplus(&self, booking: Booking, headers: &QuotaHeaders) -> Option<u64> {
        let limit = self.tokens.as_ref()?.limit();
        let left = match headers.utilization {
            // It is told to a tenth of a percent.
            Some(level) => (limit as f64 * (1.0 - (level - 0.0005).max(0.0))) as i64,
            None => headers.tokens.remaining?,
        };
        let after = self.sends.since(booking.sends, booking.sent? + self.rules.guard)?;
        let ours = [booking.used, after, self.others.total.wrapping_sub(booking.others)];
        let ours = ours.into_iter().fold(0, u64::saturating_add);
        let surplus = i128::from(limit) - i128::from(ours) - i128::from(left);
        u64::try_from(surplus).ok()
    }

    /// What the server said of the limits, where it is not what is configured: tokens, requests.
    pub(crate) fn learned(&self) -> (Option<u64>, Option<u64>) {
        (self.learned_tokens.get(), self.learned_requests.get())
    }

    /// Tokens that others were seen to use in the last minute.
    pub(crate) fn others(&self, now: Instant) -> u64 {
        self.others.used(now)
    }
}

#[cfg(test)]
mod tests;
