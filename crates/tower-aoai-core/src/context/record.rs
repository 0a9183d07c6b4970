//! What comes up: the record that all clones of a call's context share.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::CallContext;
use crate::{Attempt, Served};

#[derive(Debug)]
pub(super) struct Record {
    pub(super) started: Instant,
    pub(super) log: Mutex<Log>,
}

impl Record {
    pub(super) fn new(started: Instant) -> Arc<Self> {
        Arc::new(Self { started, log: Mutex::default() })
    }
}

#[derive(Debug, Default)]
pub(super) struct Log {
    /// A call came through the door with this record.
    pub(super) entered: bool,
    /// Most calls make one.
    attempts: SmallVec<[Arc<Attempt>; 1]>,
    /// Attempts that were sent, and are not kept.
    forgotten: usize,
    served: Served,
    /// In nano-dollars.
    spend: Option<u64>,
    retry_at: Option<Instant>,
}

impl Log {
    /// Attempts that were sent.
    fn sent(&self) -> usize {
        self.forgotten + self.attempts.iter().filter(|attempt| attempt.is_sent()).count()
    }
}

/// The attempts that a call's record keeps; of more, the oldest are only counted.
pub(super) const ATTEMPTS_KEPT: usize = 64;

impl CallContext {
    /// The attempt under way: the current one while it has not been sent, a fresh one after that.
    ///
    /// A layer that decides or reserves for an attempt takes it here before handing the request down.
    pub fn attempt(&mut self) -> Arc<Attempt> {
        match &self.attempt {
            Some(attempt) if !attempt.is_sent() => Arc::clone(attempt),
            _ => self.begin_attempt(),
        }
    }

    /// A fresh attempt, whatever became of the one before.
    pub fn begin_attempt(&mut self) -> Arc<Attempt> {
        let mut log = self.record.log.lock();
        let attempt = Arc::new(Attempt::within(log.served.leg.clone()));
        self.attempt = Some(Arc::clone(&attempt));
        log.retry_at = None;
        // Those that nobody holds any more will never be sent.
        log.attempts.retain(|attempt| Arc::strong_count(attempt) > 1 || attempt.is_sent());
        if log.attempts.len() == ATTEMPTS_KEPT {
            let oldest = log.attempts.remove(0);
            log.forgotten += usize::from(oldest.is_sent());
        }
        log.attempts.push(Arc::clone(&attempt));
        attempt
    }

    /// Lets the attempt under way start over, where it has ended, for a send that takes its place: what became of it is
    /// kept in the record as an attempt of its own, and who holds this one sees what becomes of the next send.
    ///
    /// For a layer that sends once more *below* those that decided and reserved for this attempt: they are to judge by
    /// the send that counts. Both sends are counted. Does nothing while the attempt is open.
    pub fn restart_attempt(&mut self) {
        let Some(attempt) = self.attempt.as_ref().filter(|attempt| attempt.verdict().is_some()) else {
            return;
        };
        let past = Arc::new(attempt.start_over());
        let mut log = self.record.log.lock();
        match log.attempts.iter().position(|kept| Arc::ptr_eq(kept, attempt)) {
            Some(place) if log.attempts.len() < ATTEMPTS_KEPT => log.attempts.insert(place, past),
            Some(_) => log.forgotten += usize::from(past.is_sent()),
            // It was counted when it was let go.
            None => {}
        }
    }

    /// The attempt to observe for this send of the request: the one under way, or a fresh one if that is another
    /// send's. `None` if an observer further up has it.
    pub(crate) fn observe_attempt(&mut self) -> Option<Arc<Attempt>> {
        if self.observed && self.attempt.as_ref().is_some_and(|attempt| attempt.is_observed()) {
            return None;
        }
        self.observed = true;
        let mut attempt = self.attempt();
        if !attempt.observe() {
            attempt = self.begin_attempt();
            attempt.observe();
        }
        Some(attempt)
    }

    /// The attempt that this request belongs to, sent or not, if a layer above has begun one.
    pub(crate) fn current_attempt(&self) -> Option<&Arc<Attempt>> {
        self.attempt.as_ref()
    }

    /// The attempt that was begun last, sent or not.
    #[must_use]
    pub fn last_attempt(&self) -> Option<Arc<Attempt>> {
        self.record.log.lock().attempts.last().cloned()
    }

    /// The attempt that was sent last.
    #[must_use]
    pub fn last_sent_attempt(&self) -> Option<Arc<Attempt>> {
        let log = self.record.log.lock();
        log.attempts.iter().rev().find(|attempt| attempt.is_sent()).cloned()
    }

    /// The attempts of the whole call so far, oldest first: those that were sent. At most the last 64.
    #[must_use]
    pub fn attempts(&self) -> Vec<Arc<Attempt>> {
        let log = self.record.log.lock();
        log.attempts.iter().filter(|attempt| attempt.is_sent()).cloned().collect()
    }

    /// Shows [these](Self::attempts), without a list of them, and tells [how many](Self::attempt_count) there are in all.
    ///
    /// The record is locked meanwhile: what is shown an attempt must not ask this context.
    pub fn show_attempts(&self, show: impl FnMut(&Attempt)) -> usize {
        let log = self.record.log.lock();
        log.attempts.iter().map(|attempt| &**attempt).filter(|attempt| attempt.is_sent()).for_each(show);
        log.sent()
    }

    /// How many attempts of the whole call were sent.
    #[must_use]
    pub fn attempt_count(&self) -> usize {
        self.record.log.lock().sent()
    }

    /// How many attempts of the whole call were sent after another one in the same leg.
    #[must_use]
    pub fn retry_count(&self) -> usize {
        let log = self.record.log.lock();
        let mut before = None;
        let mut firsts = 0;
        for leg in log.attempts.iter().filter(|attempt| attempt.is_sent()).map(|attempt| attempt.leg()) {
            firsts += usize::from(before.as_ref() != Some(&leg));
            before = Some(leg);
        }
        log.sent().saturating_sub(firsts)
    }

    /// The leg of a fallback that the call is in ([`Served::leg`]).
    #[must_use]
    pub fn leg(&self) -> Option<Arc<str>> {
        self.record.log.lock().served.leg.clone()
    }

    /// What the call has cost with all its attempts, in nano-dollars, once it has ended; `None` where nobody counts, or
    /// the price of an attempt is not known.
    #[must_use]
    pub fn spend(&self) -> Option<u64> {
        self.record.log.lock().spend
    }

    /// Says what the call has cost, in nano-dollars.
    pub fn note_spend(&self, nano_dollars: u64) {
        self.record.log.lock().spend = Some(nano_dollars);
    }

    /// From when on the call may be tried again, as a layer below knows better than the answer: a balancer with another
    /// endpoint says "now". Forgotten when the next attempt begins.
    #[must_use]
    pub fn retry_at(&self) -> Option<Instant> {
        self.record.log.lock().retry_at
    }

    /// Says from when on the call may be tried again.
    pub fn note_retry_at(&self, at: Instant) {
        self.record.log.lock().retry_at = Some(at);
    }

    /// Who served the call, as far as the layers have said.
    #[must_use]
    pub fn served(&self) -> Served {
        let log = self.record.log.lock();
        let named = log.attempts.last().and_then(|attempt| attempt.model());
        let mut served = log.served.clone();
        served.attempts = log.sent();
        served.model = named.or(served.model);
        served
    }

    /// Says which leg the call goes into ([`Served::leg`]); returns the attempt that was begun last before that, and
    /// what had been said of who serves the call, if anything had.
    pub fn enter_leg(&mut self, leg: Arc<str>) -> (Option<Arc<Attempt>>, Option<Box<Served>>) {
        let mut log = self.record.log.lock();
        let said = log.served.names_anyone().then(|| Box::new(log.served.clone()));
        if let Some(attempt) = log.attempts.last() {
            attempt.enter_leg(&leg);
        }
        log.served.leg = Some(leg);
        (log.attempts.last().cloned(), said)
    }

    /// How long the call has waited here so far: for hints, backoff and quota ([`Served::waited`]).
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.record.log.lock().served.waited
    }

    /// The [last attempt](Self::last_attempt) and [how long the call has waited](Self::waited), as of one moment.
    #[must_use]
    pub fn last_attempt_and_wait(&self) -> (Option<Arc<Attempt>>, Duration) {
        let log = self.record.log.lock();
        (log.attempts.last().cloned(), log.served.waited)
    }

    /// Says something of who served the call.
    pub fn note_served(&self, note: impl FnOnce(&mut Served)) {
        note(&mut self.record.log.lock().served);
    }
}
