//! What all services of one layer share.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use tower_aoai_core::{Admission, Availability, AzureClassifier, CallContext, Classify, Generator, Load, Rejected};

use crate::{
    CircuitChange, CircuitPolicy, CircuitState,
    breaker::Breaker,
    finding::Finding,
    stamp::{Refusal, Stamp},
};

/// What refusals name as their author.
const NAME: &str = "circuit breaker";

/// The state, and what the layer's builder sets beside it.
#[derive(Clone)]
pub(crate) struct Circuit {
    pub(crate) state: Arc<Shared>,
    pub(crate) classify: Arc<dyn Classify>,
    pub(crate) generator: Generator,
    pub(crate) name: Option<Arc<str>>,
}

pub(crate) struct Shared {
    /// The generation and a 1 behind it while calls go through unasked; else 0.
    door: AtomicU64,
    in_flight: AtomicUsize,
    breaker: Mutex<Breaker>,
    changes: watch::Sender<Option<CircuitChange>>,
    /// From when on a first byte is late, if that matters.
    slow: Option<Duration>,
    is_off: bool,
}

impl Circuit {
    pub(crate) fn new(policy: CircuitPolicy, is_off: bool) -> Self {
        Self {
            state: Arc::new(Shared::new(policy, is_off)),
            classify: Arc::new(AzureClassifier::default()),
            generator: Generator::from_system(),
            name: None,
        }
    }

    /// Lets a call through, or not. Where a clock was read for that, its reading comes along.
    pub(crate) fn admit(&self) -> Result<(Stamp, Option<Instant>), Rejected> {
        if let Some(stamp) = self.state.open_door() {
            return Ok((stamp, None));
        }
        let now = Instant::now();
        self.change(|breaker| breaker.admit(now)).map(|stamp| (stamp, Some(now))).map_err(rejected)
    }

    /// Refuses a call; where the circuit would not, with `now` as the instant from which it would go through.
    pub(crate) fn refuse_busy(&self, now: Instant) -> Rejected {
        rejected(self.change(|breaker| breaker.refuse_busy(now)))
    }

    pub(crate) fn first_byte(&self, now: Instant, stamp: Stamp, is_slow: bool) -> Stamp {
        self.change(|breaker| breaker.first_byte(now, stamp, is_slow, || self.generator.fraction()))
    }

    pub(crate) fn finish(&self, now: Instant, stamp: Stamp, finding: Finding) {
        self.change(|breaker| breaker.finish(now, stamp, finding, || self.generator.fraction()));
    }

    /// Changes the state; says so once the lock is given back.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let (result, news) = {
            let mut breaker = self.state.breaker.lock();
            let result = change(&mut breaker);
            self.state.publish(&breaker);
            (result, breaker.take_news())
        };
        for change in news {
            self.tell(change);
        }
        result
    }

    /// One event for each change; target and fields are stable.
    fn tell(&self, change: CircuitChange) {
        let CircuitChange { sequence, at, from, to, reason } = change;
        let wait = to.until().map(|until| until.saturating_duration_since(at));
        let wait_ms = wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        let circuit = self.name.as_deref();
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(
                    target: "tower_aoai::circuit",
                    circuit,
                    sequence,
                    from = from.name(),
                    to = to.name(),
                    reason = reason.name(),
                    wait_ms,
                    "{reason}"
                )
            };
        }
        match to {
            CircuitState::Open { .. } => event!(warn),
            _ => event!(info),
        }
        self.state.changes.send_if_modified(|last| {
            // Two threads may tell in another order than it happened.
            let is_newer = last.is_none_or(|last| last.sequence < sequence);
            if is_newer {
                *last = Some(change);
            }
            is_newer
        });
    }
}

impl Shared {
    fn new(policy: CircuitPolicy, is_off: bool) -> Self {
        let slow = policy.slow.map(|slow| slow.threshold);
        let breaker = Breaker::new(policy, Instant::now());
        let door = AtomicU64::new(word(&breaker));
        Self {
            door,
            in_flight: AtomicUsize::new(0),
            breaker: Mutex::new(breaker),
            changes: watch::Sender::new(None),
            slow,
            is_off,
        }
    }

    /// A stamp, without a lock, while the circuit is closed and no gate shut.
    fn open_door(&self) -> Option<Stamp> {
        let word = self.door.load(Ordering::Acquire);
        (word & 1 == 1).then_some(Stamp::closed(word >> 1))
    }

    fn publish(&self, breaker: &Breaker) {
        let word = word(breaker);
        // Only changes are written: the word is read by every call.
        if self.door.load(Ordering::Relaxed) != word {
            self.door.store(word, Ordering::Release);
        }
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Breaker) -> T) -> T {
        look(&self.breaker.lock())
    }

    /// Whether a call that comes at `now` would be refused.
    pub(crate) fn is_shut(&self, now: impl FnOnce() -> Instant) -> bool {
        self.open_door().is_none() && self.breaker.lock().entry(now()).is_err()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<Option<CircuitChange>> {
        self.changes.subscribe()
    }

    pub(crate) const fn slow(&self) -> Option<Duration> {
        self.slow
    }

    pub(crate) const fn is_off(&self) -> bool {
        self.is_off
    }

    pub(crate) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

fn word(breaker: &Breaker) -> u64 {
    breaker.open_door().map_or(0, |generation| generation << 1 | 1)
}

fn rejected(refusal: Refusal) -> Rejected {
    let rejected = Rejected::new(refusal.reason, NAME);
    match refusal.until {
        Some(until) => rejected.until(until),
        None => rejected,
    }
}

impl Availability for Shared {
    fn admission(&self, _: &CallContext, from: Instant) -> Admission {
        if self.is_off || self.open_door().is_some() {
            return Admission::At(from);
        }
        match self.breaker.lock().entry(from) {
            Ok(()) => Admission::At(from),
            Err(refusal) => Admission::Shut(refusal.until),
        }
    }

    fn load(&self) -> Load {
        Load::new(self.in_flight(), 0)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("breaker", &self.breaker)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit").field("name", &self.name).field("state", &self.state).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
