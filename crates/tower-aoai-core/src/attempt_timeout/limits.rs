use std::time::Duration;

use tokio::time::Instant;

use crate::Timeout;

/// The limits of one attempt, each measured from the send but `idle`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) first_byte: Option<Duration>,
    pub(super) first_token: Option<Duration>,
    pub(super) idle: Option<Duration>,
    pub(super) total: Option<Duration>,
}

/// What of an attempt has been seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) sent: Instant,
    /// The last frame, or the head; `None` while nothing came.
    pub(super) latest: Option<Instant>,
    /// Whether the first content is still awaited.
    pub(super) awaits_content: bool,
}

impl Limits {
    pub(super) fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// The limit that runs out first, and when; of two at the same instant the narrower one.
    pub(super) fn next(&self, seen: Seen) -> Option<(Instant, Timeout)> {
        let from_sent = |limit: Option<Duration>| limit.and_then(|limit| seen.sent.checked_add(limit));
        let first_byte = seen.latest.is_none().then(|| from_sent(self.first_byte)).flatten();
        let first_token = seen.awaits_content.then(|| from_sent(self.first_token)).flatten();
        let idle = seen.latest.zip(self.idle).and_then(|(latest, limit)| latest.checked_add(limit));
        [
            (first_byte, Timeout::FirstByte),
            (first_token, Timeout::FirstToken),
            (idle, Timeout::Idle),
            (from_sent(self.total), Timeout::Total),
        ]
        .into_iter()
        .filter_map(|(at, timeout)| Some((at?, timeout)))
        .min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        first_byte: Some(Duration::from_secs(10)),
        first_token: Some(Duration::from_secs(20)),
        idle: Some(Duration::from_secs(5)),
        total: Some(Duration::from_secs(22)),
    };

    #[test]
    fn the_narrowest_limit_that_applies_comes_next() {
        let sent = Instant::now();
        let at = |seconds| sent + Duration::from_secs(seconds);
        let next =
            |latest: Option<u64>, awaits_content| LIMITS.next(Seen { sent, latest: latest.map(at), awaits_content });
        assert_eq!(next(None, true), Some((at(10), Timeout::FirstByte)));
        assert_eq!(next(Some(9), true), Some((at(14), Timeout::Idle)));
        assert_eq!(next(Some(16), true), Some((at(20), Timeout::FirstToken)));
        assert_eq!(next(Some(16), false), Some((at(21), Timeout::Idle)));
        assert_eq!(next(Some(21), false), Some((at(22), Timeout::Total)));
        assert_eq!(Limits::default().next(Seen { sent, latest: None, awaits_content: true }), None);
    }
}
