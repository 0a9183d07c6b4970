//! Until when a leg is known to be full: asked for by every call, without a lock.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// The latest instant that was noted, until it is forgotten.
#[derive(Debug)]
pub(crate) struct FullUntil {
    /// Nanoseconds since the origin; 0: none.
    nanos: AtomicU64,
    origin: Instant,
}

impl FullUntil {
    /// Of a leg of which nothing is known; all instants come after the origin.
    pub(crate) const fn new(origin: Instant) -> Self {
        Self { nanos: AtomicU64::new(0), origin }
    }

    /// An earlier instant never shortens a later one.
    pub(crate) fn note(&self, until: Instant) {
        let nanos = until.saturating_duration_since(self.origin).as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        self.nanos.fetch_max(nanos, Ordering::Relaxed);
    }

    pub(crate) fn forget(&self) {
        if self.nanos.load(Ordering::Relaxed) > 0 {
            self.nanos.store(0, Ordering::Relaxed);
        }
    }

    /// The instant, if it is later than this one.
    pub(crate) fn later_than(&self, at: Instant) -> Option<Instant> {
        let nanos = Some(self.nanos.load(Ordering::Relaxed)).filter(|nanos| *nanos > 0)?;
        let until = self.origin.checked_add(Duration::from_nanos(nanos))?;
        (until > at).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_instant_stands_until_it_is_forgotten() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let full = FullUntil::new(now);
        assert_eq!(full.later_than(now), None);
        full.note(after(5));
        assert_eq!((full.later_than(now), full.later_than(after(5))), (Some(after(5)), None));
        full.note(after(9));
        full.note(after(3));
        assert_eq!(full.later_than(after(5)), Some(after(9)));
        full.forget();
        assert_eq!(full.later_than(now), None);
        full.note(after(2));
        assert_eq!(full.later_than(now), Some(after(2)), "and an earlier one counts");
    }
}
