use std::time::Duration;

use crate::{InFlightRange, window::MINUTE};

/// What a quota allows; may be changed while it is in use.
///
/// Take the figures from the deployment, not from a rule: requests per minute are no fixed share of the tokens (Azure's
/// tables have 1 to 10 requests for each 1,000 tokens, by model).
///
/// ```
/// use std::time::Duration;
/// use tower_aoai_token_bucket::Limits;
///
/// let limits = Limits::new()
///     .tokens_per_minute(150_000)
///     .requests_per_minute(900)
///     .request_window(Duration::from_secs(10))
///     .max_in_flight(64);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Tokens per minute; `None`: as many as one likes, which is the default.
    pub tokens_per_minute: Option<u64>,
    /// Requests per minute; `None`: as many as one likes, which is the default.
    pub requests_per_minute: Option<u64>,
    /// The window over which requests are counted. Default 10 s: captured traffic says
    /// `x-ratelimit-renewalperiod-requests: 10`, Azure's documentation "typically 1 or 10 seconds".
    ///
    /// A window's share of the minute is rounded down; where that is none, one request is let through in the time that
    /// the minute has for one.
    pub request_window: Duration,
    /// The least time from one grant to the next. Default none.
    pub min_interval: Duration,
    /// Calls at once, each from its grant to the end of its body; `None`: as many as one likes, which is the default.
    pub max_in_flight: Option<usize>,
    /// Calls at once as the server bears them, besides; `None`: that is not found out, which is the default.
    pub adaptive_in_flight: Option<InFlightRange>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tokens_per_minute: None,
            requests_per_minute: None,
            request_window: Duration::from_secs(10),
            min_interval: Duration::ZERO,
            max_in_flight: None,
            adaptive_in_flight: None,
        }
    }
}

impl Limits {
    /// No limit at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tokens per minute, on a provisioned deployment weighted ones. Zero lets nothing through. Default: no limit.
    #[must_use]
    pub const fn tokens_per_minute(mut self, tokens: u64) -> Self {
        self.tokens_per_minute = Some(tokens);
        self
    }

    /// Requests per minute, counted over the [window](Self::request_window). Zero lets nothing through. Default: no limit.
    #[must_use]
    pub const fn requests_per_minute(mut self, requests: u64) -> Self {
        self.requests_per_minute = Some(requests);
        self
    }

    /// The window over which requests are counted: 1, 10 or 60 s are in use. Azure documents "1 or 10 seconds", and not
    /// which; 1 s is safe for all. Default 10 s.
    #[must_use]
    pub const fn request_window(mut self, window: Duration) -> Self {
        self.request_window = window;
        self
    }

    /// The least time from one grant to the next. Default none.
    #[must_use]
    pub const fn min_interval(mut self, interval: Duration) -> Self {
        self.min_interval = interval;
        self
    }

    /// Calls at once, each until its answer has ended or is dropped. Zero lets nothing through, until it is raised. Default:
    /// no limit.
    #[must_use]
    pub const fn max_in_flight(mut self, calls: usize) -> Self {
        self.max_in_flight = Some(calls);
        self
    }

    /// Calls at once as the server bears them, from `min` to `max`, beginning with `max`.
    ///
    /// Each overload (408, 503, 504, a timeout, a refusal for want of capacity) takes a tenth; each success gives back one
    /// divided by the limit, as long as half of the limit is in use. A quota that is spent is no overload.
    #[must_use]
    pub const fn adaptive_in_flight(mut self, min: usize, max: usize) -> Self {
        self.adaptive_in_flight = Some(InFlightRange { min, max });
        self
    }
}

/// How the server counts tokens: what the mirror is made after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WindowModel {
    /// Never more than a minute's tokens over any minute. Safe against a server that counts minutes, at whatever phase,
    /// one that counts the last minute, and a bucket that holds a minute's tokens; so the default.
    ///
    /// Not safe against a bucket that holds less: declare that.
    #[default]
    Sliding,
    /// A bucket that refills continuously and holds so many tokens.
    ///
    /// A larger charge, of up to a minute's tokens, is let through when the bucket is full and leaves a debt.
    Bucket {
        /// What it holds, in tokens.
        capacity: u64,
    },
    /// Provisioned throughput: calls are let through while utilisation is not above 100 %.
    Utilisation {
        /// How much time's work makes 100 %. Azure does not document it.
        window: Duration,
    },
}

impl WindowModel {
    /// A provisioned deployment with a minute's work at 100 %.
    #[must_use]
    pub const fn utilisation() -> Self {
        Self::Utilisation { window: MINUTE }
    }
}
