use std::time::Duration;

use tokio::time::Instant;

use super::{FixedWindow, MINUTE, RequestWindow, SlidingWindow, TOO_LARGE_RETRY_AFTER, TokenBucket};

/// How a tokens-per-minute limit is enforced. Which of them a deployment uses is not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TokenLimit {
    /// A refilling bucket with debt that holds one minute's tokens. What captured traffic fits.
    #[default]
    Bucket,
    /// The same, but holding only this many tokens (for example a sixth of a minute's).
    BucketOf(u64),
    /// A count reset each minute, as Azure's documentation words it; the first reset comes
    /// `phase` after the simulator's start.
    FixedMinute {
        /// From the simulator's start to the first reset.
        phase: Duration,
    },
    /// The sum over the last sixty seconds.
    SlidingMinute,
}

/// Which quota refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalReason {
    /// Tokens per minute.
    Tokens,
    /// Requests per minute.
    Requests,
    /// The single request's charge is above the tokens of a whole minute: it can never pass.
    TooLarge,
    /// A provisioned deployment above 100 %.
    Utilisation,
}

/// A refusal, and the exact time until the quota would admit a request again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Which quota it was.
    pub reason: RefusalReason,
    /// Exact to the nanosecond; a day for [`RefusalReason::TooLarge`], as on the wire.
    pub retry_after: Duration,
}

/// A deployment's quota at one instant.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum QuotaSnapshot {
    /// A pay-as-you-go deployment.
    Standard {
        /// Tokens per minute now in force.
        limit_tokens: u64,
        /// Tokens left; negative in debt or after an overshoot.
        remaining_tokens: i64,
        /// Until the tokens are as many as they can be.
        reset_tokens: Duration,
        /// Requests per minute, or `None` without such a limit.
        limit_requests: Option<u64>,
        /// What the headers say is left of the minute's requests.
        remaining_requests: Option<i64>,
        /// Until the requests are as many as they can be.
        reset_requests: Duration,
        /// The window over which requests are counted.
        request_window: Duration,
    },
    /// A provisioned deployment.
    Provisioned {
        /// In percent; above 100 the next request is refused.
        utilisation: f64,
    },
    /// A deployment without a quota.
    Unlimited,
}

#[derive(Debug, Clone)]
enum Tokens {
    Bucket(TokenBucket),
    Fixed(FixedWindow),
    Sliding(SlidingWindow),
}

/// The quota of a pay-as-you-go deployment: tokens and requests per minute together.
#[derive(Debug, Clone)]
pub struct StandardQuota {
    per_minute: u64,
    tokens: Tokens,
    requests: Option<RequestWindow>,
    count_refused: bool,
}

impl StandardQuota {
    /// A quota with nothing used yet.
    #[must_use]
    pub fn new(tokens_per_minute: u64, limit: TokenLimit, requests: Option<RequestWindow>, start: Instant) -> Self {
        let tokens = match limit {
            TokenLimit::Bucket => Tokens::Bucket(TokenBucket::per_minute(tokens_per_minute, start)),
            TokenLimit::BucketOf(capacity) => {
                Tokens::Bucket(TokenBucket::new(tokens_per_minute, MINUTE, capacity, start))
            }
            TokenLimit::FixedMinute { phase } => {
                Tokens::Fixed(FixedWindow::new(tokens_per_minute, MINUTE, phase, start))
            }
            TokenLimit::SlidingMinute => Tokens::Sliding(SlidingWindow::new(tokens_per_minute, MINUTE)),
        };
        Self { per_minute: tokens_per_minute, tokens, requests, count_refused: true }
    }

    /// Whether refused requests count toward the request limit; they do by default, as Azure's
    /// documentation says ("unsuccessful requests contribute to your per-minute limit").
    #[must_use]
    pub fn count_refused(mut self, count: bool) -> Self {
        self.count_refused = count;
        self
    }

    /// Admits a request of this charge, in tokens, or refuses it. The request limit is asked
    /// first; tokens are debited only when both agree.
    ///
    /// # Errors
    /// Which limit refused, and for how long.
    pub fn admit(&mut self, now: Instant, charge: u64) -> Result<(), Refusal> {
        let decision = self.decide(now, charge);
        if let Some(requests) = &mut self.requests
            && (decision.is_ok() || self.count_refused)
        {
            requests.count(now);
        }
        decision
    }

    /// Debits tokens and counts a request without asking.
    pub fn charge(&mut self, now: Instant, charge: u64) {
        match &mut self.tokens {
            Tokens::Bucket(bucket) => bucket.charge(now, charge),
            Tokens::Fixed(window) => window.charge(now, charge),
            Tokens::Sliding(window) => window.charge(now, charge),
        }
        if let Some(requests) = &mut self.requests {
            requests.count(now);
        }
    }

    /// Lowers or raises the limit from `now` on, as Azure does under load ("temporary rate limit
    /// adjustment" in its documentation); the headers carry the new figure.
    pub fn set_tokens_per_minute(&mut self, now: Instant, tokens: u64) {
        self.per_minute = tokens;
        match &mut self.tokens {
            Tokens::Bucket(bucket) => bucket.set_rate(now, tokens),
            Tokens::Fixed(window) => window.set_limit(tokens),
            Tokens::Sliding(window) => window.set_limit(tokens),
        }
    }

    /// Changes the request limit from `now` on, if there is one.
    pub fn set_requests_per_minute(&mut self, now: Instant, requests: u64) {
        if let Some(window) = &mut self.requests {
            window.set_per_minute(now, requests);
        }
    }

    /// The quota as its headers tell it.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> QuotaSnapshot {
        let (remaining_tokens, reset_tokens) = match &self.tokens {
            Tokens::Bucket(bucket) => (bucket.balance(now), bucket.until_full(now)),
            Tokens::Fixed(window) => (window.remaining(now), window.until_reset(now)),
            Tokens::Sliding(window) => (window.remaining(now), window.until_empty(now)),
        };
        let requests = self.requests.as_ref();
        QuotaSnapshot::Standard {
            limit_tokens: self.per_minute,
            remaining_tokens,
            reset_tokens,
            limit_requests: requests.map(RequestWindow::per_minute),
            remaining_requests: requests.map(|window| window.remaining_shown(now)),
            reset_requests: requests.map_or(Duration::ZERO, |window| window.until_full(now)),
            request_window: requests.map_or(MINUTE, RequestWindow::window),
        }
    }

    fn decide(&mut self, now: Instant, charge: u64) -> Result<(), Refusal> {
        if charge > self.per_minute {
            return Err(Refusal { reason: RefusalReason::TooLarge, retry_after: TOO_LARGE_RETRY_AFTER });
        }
        if let Some(requests) = &mut self.requests {
            requests.check(now).map_err(|retry_after| Refusal { reason: RefusalReason::Requests, retry_after })?;
        }
        match &mut self.tokens {
            Tokens::Bucket(bucket) => bucket.admit(now, charge),
            Tokens::Fixed(window) => window.admit(now, charge),
            Tokens::Sliding(window) => window.admit(now, charge),
        }
        .map_err(|retry_after| Refusal { reason: RefusalReason::Tokens, retry_after })
    }
}
