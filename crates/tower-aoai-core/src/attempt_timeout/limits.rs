//! Which limit runs out when.

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

impl Limits {
    pub(super) fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// The limit that runs out first before the head, and when; of two at the same instant the narrower one. Only a
    /// call that asks for a stream is known to have a first token.
    pub(super) fn before_head(&self, sent: Instant, streams: bool) -> Option<(Instant, Timeout)> {
        earliest([
            (after(sent, self.first_byte), Timeout::FirstByte),
            (after(sent, self.first_token.filter(|_| streams)), Timeout::FirstToken),
            (self.total_at(sent), Timeout::Total),
        ])
    }

    /// The same behind the head; the body was found silent at `silent_since`.
    pub(super) fn behind_head(
        &self,
        sent: Instant,
        awaits_content: bool,
        silent_since: Instant,
    ) -> Option<(Instant, Timeout)> {
        earliest([
            (after(sent, self.first_token.filter(|_| awaits_content)), Timeout::FirstToken),
            (after(silent_since, self.idle), Timeout::Idle),
            (self.total_at(sent), Timeout::Total),
        ])
    }

    pub(super) fn total_at(&self, sent: Instant) -> Option<Instant> {
        after(sent, self.total)
    }
}

/// `None` without a limit, and where it lies beyond what an instant can tell.
fn after(start: Instant, limit: Option<Duration>) -> Option<Instant> {
    start.checked_add(limit?)
}

fn earliest(limits: [(Option<Instant>, Timeout); 3]) -> Option<(Instant, Timeout)> {
    limits.into_iter().filter_map(|(at, timeout)| Some((at?, timeout))).min_by_key(|(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        let behind = |since, awaits| LIMITS.behind_head(sent, awaits, at(since));
        assert_eq!(LIMITS.before_head(sent, true), Some((at(10), Timeout::FirstByte)));
        assert_eq!(behind(9, true), Some((at(14), Timeout::Idle)));
        assert_eq!(behind(16, true), Some((at(20), Timeout::FirstToken)));
        assert_eq!(behind(16, false), Some((at(21), Timeout::Idle)));
        assert_eq!(behind(21, false), Some((at(22), Timeout::Total)));
        let first_token = Limits { first_token: LIMITS.first_token, ..Limits::default() };
        assert_eq!(first_token.before_head(sent, true), Some((at(20), Timeout::FirstToken)));
        assert_eq!(first_token.before_head(sent, false), None, "an answer in one piece has no first token");
        assert!(Limits::default().is_off() && !first_token.is_off());
    }

    proptest! {
        #[test]
        fn r5_what_runs_out_is_never_later_than_any_limit_that_applies(
            limits in prop::array::uniform4(prop::option::of(any::<u64>())),
            streams in any::<bool>(),
            silent in 0u64..1_000_000,
        ) {
            let [first_byte, first_token, idle, total] = limits.map(|limit| limit.map(Duration::from_nanos));
            let limits = Limits { first_byte, first_token, idle, total };
            let sent = Instant::now();
            let since = sent + Duration::from_secs(silent);
            for next in [limits.before_head(sent, streams), limits.behind_head(sent, streams, since)] {
                let latest = limits.total_at(sent);
                prop_assert!(latest.is_none_or(|latest| next.is_some_and(|(at, _)| at <= latest)));
                prop_assert!(next.is_none_or(|(_, timeout)| streams || timeout != Timeout::FirstToken));
            }
        }
    }
}
