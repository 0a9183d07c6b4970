use std::time::Duration;

use tokio::time::Instant;

use super::{FixedWindow, MINUTE, SlidingWindow, TokenBucket, window_nanoseconds};

/// How a requests-per-minute limit is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestLimit {
    /// In windows of this length on the server's own clock. Azure's documentation: "typically 1
    /// or 10 seconds", with further requests refused until the next evaluation period.
    Fixed(Duration),
    /// Over any span of this length.
    Sliding(Duration),
}

impl Default for RequestLimit {
    /// Fixed windows of ten seconds, the renewal period that captured traffic carries.
    fn default() -> Self {
        Self::Fixed(Duration::from_secs(10))
    }
}

impl RequestLimit {
    /// The length of the window.
    #[must_use]
    pub fn window(self) -> Duration {
        match self {
            Self::Fixed(window) | Self::Sliding(window) => window,
        }
    }
}

/// A requests-per-minute limit, enforced over a window shorter than a minute.
///
/// A window allows its share of the minute, rounded up: 600 a minute over one second is 10.
/// What the headers say is another matter: captured traffic shows the minute's figure
/// (`x-ratelimit-limit-requests: 9000`, `remaining` one less, over a renewal period of ten
/// seconds, and `reset-requests: 12` after one request of five a minute), so a burst is refused
/// while the headers still look generous. That is modelled by a bucket that decides nothing.
#[derive(Debug, Clone)]
pub struct RequestWindow {
    per_minute: u64,
    limit: RequestLimit,
    enforced: Enforced,
    shown: TokenBucket,
}

#[derive(Debug, Clone)]
enum Enforced {
    Fixed(FixedWindow),
    Sliding(SlidingWindow),
}

impl RequestWindow {
    /// A limit of `per_minute` requests; fixed windows begin at `start`.
    #[must_use]
    pub fn new(per_minute: u64, limit: RequestLimit, start: Instant) -> Self {
        let allowed = share(per_minute, limit.window());
        let enforced = match limit {
            RequestLimit::Fixed(window) => Enforced::Fixed(FixedWindow::new(allowed, window, Duration::ZERO, start)),
            RequestLimit::Sliding(window) => Enforced::Sliding(SlidingWindow::new(allowed, window)),
        };
        Self { per_minute, limit, enforced, shown: TokenBucket::per_minute(per_minute, start) }
    }

    /// Whether one more request would be admitted; counts nothing.
    ///
    /// # Errors
    /// The time until the window has room.
    pub fn check(&mut self, now: Instant) -> Result<(), Duration> {
        match &mut self.enforced {
            Enforced::Fixed(window) => window.check(now),
            Enforced::Sliding(window) => window.check(now),
        }
    }

    /// Counts one request, admitted or not.
    pub fn count(&mut self, now: Instant) {
        match &mut self.enforced {
            Enforced::Fixed(window) => window.charge(now, 1),
            Enforced::Sliding(window) => window.charge(now, 1),
        }
        // A refused request never drives the shown figure below zero: none was captured so.
        if self.shown.balance(now) > 0 {
            self.shown.charge(now, 1);
        }
    }

    /// The limit, in requests per minute.
    #[must_use]
    pub fn per_minute(&self) -> u64 {
        self.per_minute
    }

    /// How many requests one window allows.
    #[must_use]
    pub fn per_window(&self) -> u64 {
        share(self.per_minute, self.limit.window())
    }

    /// The length of a window.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.limit.window()
    }

    /// What `x-ratelimit-remaining-requests` says: the minute's figure.
    #[must_use]
    pub fn remaining_shown(&self, now: Instant) -> i64 {
        self.shown.balance(now).max(0)
    }

    /// How many more requests the current window admits.
    #[must_use]
    pub fn remaining_in_window(&self, now: Instant) -> i64 {
        match &self.enforced {
            Enforced::Fixed(window) => window.remaining(now).max(0),
            Enforced::Sliding(window) => window.remaining(now).max(0),
        }
    }

    /// What `x-ratelimit-reset-requests` says: the time until the shown figure is full.
    #[must_use]
    pub fn until_full(&self, now: Instant) -> Duration {
        self.shown.until_full(now)
    }

    /// Changes the limit; what is counted stays counted.
    pub fn set_per_minute(&mut self, now: Instant, per_minute: u64) {
        self.per_minute = per_minute;
        let allowed = share(per_minute, self.limit.window());
        match &mut self.enforced {
            Enforced::Fixed(window) => window.set_limit(allowed),
            Enforced::Sliding(window) => window.set_limit(allowed),
        }
        self.shown.set_rate(now, per_minute);
    }
}

fn share(per_minute: u64, window: Duration) -> u64 {
    let minute = window_nanoseconds(MINUTE);
    let most = i128::from(per_minute).saturating_mul(window_nanoseconds(window));
    let allowed = most.saturating_add(minute - 1) / minute;
    u64::try_from(allowed).unwrap_or(u64::MAX)
}
