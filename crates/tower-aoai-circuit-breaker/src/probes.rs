//! The probes of a half-open circuit.

use std::time::Duration;

use tokio::time::Instant;
use tower_aoai_core::later;

/// Probes under way, each with a lease; none is ever waited for longer than that.
#[derive(Debug, Clone, Default)]
pub(crate) struct Probes {
    leases: Vec<Lease>,
    pub(crate) successes: u32,
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    probe: u64,
    begun: Instant,
    ends: Instant,
}

/// Who is refused for a probe that has just begun need not ask again sooner.
pub(crate) const LEAST_WAIT_FOR_A_PROBE: Duration = Duration::from_millis(100);

impl Probes {
    /// Takes one of so many places. There must be a free one.
    pub(crate) fn take(&mut self, now: Instant, probe: u64, lease: Duration) {
        self.leases.retain(|lease| lease.ends > now);
        self.leases.push(Lease { probe, begun: now, ends: later(now, lease) });
    }

    /// Gives a place back, unless its lease is over and it is another's.
    pub(crate) fn release(&mut self, probe: u64) {
        self.leases.retain(|lease| lease.probe != probe);
    }

    /// How many are under way.
    pub(crate) fn taken(&self, now: Instant) -> usize {
        self.leases.iter().filter(|lease| lease.ends > now).count()
    }

    /// When a place is free again, if none of so many is now.
    pub(crate) fn full_until(&self, now: Instant, places: u32) -> Option<Instant> {
        let under_way = self.leases.iter().map(|lease| lease.ends).filter(|ends| *ends > now);
        under_way.min().filter(|_| self.taken(now) >= places as usize)
    }

    /// When it is worth to ask again: of what has taken so long, as much again is to be expected. A lease says for how
    /// long a probe is believed in, and most are over long before.
    pub(crate) fn ask_again_at(&self, now: Instant) -> Option<Instant> {
        let oldest = self.leases.iter().filter(|lease| lease.ends > now).min_by_key(|lease| lease.begun)?;
        let wait = now.saturating_duration_since(oldest.begun).max(LEAST_WAIT_FOR_A_PROBE);
        Some(later(now, wait).min(oldest.ends))
    }
}
