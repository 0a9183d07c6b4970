//! Mirrors of the ways in which a server counts what it is sent.
//!
//! All take `now` and do no I/O. An instant earlier than one already seen counts as that later one, so that a clock that
//! goes backwards gives nothing free, and sums saturate.

mod bucket;
mod sliding;
mod utilisation;

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

pub(crate) use self::{bucket::Bucket, sliding::Sliding, utilisation::Utilisation};

/// What "per minute" means.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// One dimension of a quota: what is in it, and from when on more fits.
///
/// A charge is *reserved* first, and counts from then on; it *ages* only from its send.
pub(crate) trait Window {
    /// The largest charge that can ever fit.
    fn largest(&self) -> u64;

    /// The first instant, not before `now`, at which `charge` fits if nothing else happens than that `ahead` is booked
    /// now and that what is reserved is sent now; `None` if it never does.
    fn earliest_behind(&self, now: Instant, ahead: u64, charge: u64) -> Option<Instant>;

    /// The first instant at which `charge` fits.
    fn earliest(&self, now: Instant, charge: u64) -> Option<Instant> {
        self.earliest_behind(now, 0, charge)
    }

    /// Counts a charge that is not yet sent; does not ask whether it fits.
    fn reserve(&mut self, charge: u64);

    /// Takes a reserved charge back that was not sent.
    fn cancel(&mut self, charge: u64);

    /// All that is reserved is sent now: for looking ahead, where it must age like the rest.
    fn send_all(&mut self, now: Instant);

    /// A reserved charge was sent at `sent`, which may be a while ago.
    fn send(&mut self, now: Instant, sent: Instant, charge: u64) -> Mark;

    /// A sent charge turned out to be `actual`.
    fn correct(&mut self, now: Instant, mark: Mark, charge: u64, actual: u64);

    /// Others were at it, too: what the server counted more than we had sent when the marked charge was. It ages as
    /// that does.
    fn book(&mut self, now: Instant, mark: Mark, tokens: u64);

    /// What is counted now, without what is not yet sent.
    fn sent(&self, now: Instant) -> u64;

    /// What is counted now.
    fn used(&self, now: Instant) -> u64;

    /// What may be counted at most, without the guard.
    fn limit(&self) -> u64;
}

/// Where a window finds a sent charge again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Sliding: the entry's number. Bucket: the epoch of its limits.
    number: u64,
    /// Bucket: when it was to be full again, provisioned: idle, in nanoseconds since its start, at the send.
    full_at: i128,
    /// Bucket: what had been given back by then.
    credited: i128,
}

/// The window of a quota's tokens.
#[derive(Debug, Clone)]
pub(crate) enum Tokens {
    Sliding(Sliding),
    Bucket(Bucket),
    Utilisation(Utilisation),
}

macro_rules! each {
    ($self:expr, $window:ident => $what:expr) => {
        match $self {
            Tokens::Sliding($window) => $what,
            Tokens::Bucket($window) => $what,
            Tokens::Utilisation($window) => $what,
        }
    };
}

impl Tokens {
    /// Holds the use to a share of what is allowed.
    pub(crate) fn hold(&mut self, now: Instant, share: f64) {
        match self {
            Self::Sliding(window) => window.hold(share),
            Self::Bucket(window) => window.hold(now, share),
            Self::Utilisation(window) => window.hold(share),
        }
    }
}

impl Window for Tokens {
    fn largest(&self) -> u64 {
        each!(self, window => window.largest())
    }

    fn earliest_behind(&self, now: Instant, ahead: u64, charge: u64) -> Option<Instant> {
        each!(self, window => window.earliest_behind(now, ahead, charge))
    }

    fn reserve(&mut self, charge: u64) {
        each!(self, window => window.reserve(charge));
    }

    fn cancel(&mut self, charge: u64) {
        each!(self, window => window.cancel(charge));
    }

    fn send_all(&mut self, now: Instant) {
        each!(self, window => window.send_all(now));
    }

    fn send(&mut self, now: Instant, sent: Instant, charge: u64) -> Mark {
        each!(self, window => window.send(now, sent, charge))
    }

    fn correct(&mut self, now: Instant, mark: Mark, charge: u64, actual: u64) {
        each!(self, window => window.correct(now, mark, charge, actual));
    }

    fn book(&mut self, now: Instant, mark: Mark, tokens: u64) {
        each!(self, window => window.book(now, mark, tokens));
    }

    fn sent(&self, now: Instant) -> u64 {
        each!(self, window => window.sent(now))
    }

    fn used(&self, now: Instant) -> u64 {
        each!(self, window => window.used(now))
    }

    fn limit(&self) -> u64 {
        each!(self, window => window.limit())
    }
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

/// A share of a whole: the whole itself, to the last part, where the share is 1.
fn part_of(whole: i128, share: f64) -> i128 {
    if share >= 1.0 { whole } else { ((whole as f64 * share) as i128).clamp(0, whole.max(0)) }
}

fn duration(nanos: i128) -> Duration {
    u64::try_from(nanos.max(0)).map_or(Duration::MAX, Duration::from_nanos)
}

/// How long `amount` takes at `rate`, rounded up; `None` if it never comes.
fn time_for(amount: i128, rate: i128) -> Option<Duration> {
    if amount <= 0 {
        return Some(Duration::ZERO);
    }
    if rate <= 0 {
        return None;
    }
    Some(duration((amount - 1) / rate + 1))
}
