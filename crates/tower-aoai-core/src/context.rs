//! What travels with a call.

use std::{sync::Arc, time::Duration};

use http::{Extensions, Request};
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::{Attempt, Call, Priority, Served, Tenant};

/// What travels with a call: an extension of its request.
///
/// What goes *down* is a plain value in here (the deadline, a leg's start-by, the attempt under way), so that what a
/// layer sets is seen below it and nowhere else, also when a request is cloned. What comes *up* is written into a
/// record that all clones share ([`attempts`](Self::attempts), [`served`](Self::served)).
///
/// [`PrepareLayer`](crate::PrepareLayer) makes it at the door; a layer that finds none makes one from the request's
/// head alone ([`CallContext::of`]).
///
/// A caller may put one into a request, to set a deadline or to keep a clone and read afterwards what became of the
/// call, also where it ended in an error. One context is for one call: where the same is put into several requests,
/// the record stays that of the first, and [`PrepareLayer`](crate::PrepareLayer) gives each later one its own.
#[derive(Debug, Clone)]
pub struct CallContext {
    call: Arc<Call>,
    record: Arc<Record>,
    /// Below a door: the record is this call's own.
    inside: bool,
    now: Instant,
    deadline: Option<Instant>,
    start_by: Option<Instant>,
    attempt: Option<Arc<Attempt>>,
    spill_cost: Option<u64>,
    priority: Priority,
    tenant: Option<Tenant>,
    retries_owned: bool,
    attempts_left: Option<u32>,
    usage_added: bool,
    /// The attempt under way is observed further up.
    observed: bool,
}

#[derive(Debug)]
struct Record {
    started: Instant,
    log: Mutex<Log>,
}

impl Record {
    fn new(started: Instant) -> Arc<Self> {
        Arc::new(Self { started, log: Mutex::default() })
    }
}

#[derive(Debug, Default)]
struct Log {
    /// A call came through the door with this record.
    entered: bool,
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
const ATTEMPTS_KEPT: usize = 64;

impl CallContext {
    /// The context of a call that starts now.
    #[must_use]
    pub fn new(call: Call, now: Instant) -> Self {
        Self {
            call: Arc::new(call),
            record: Record::new(now),
            inside: false,
            now,
            deadline: None,
            start_by: None,
            attempt: None,
            spill_cost: None,
            priority: Priority::default(),
            tenant: None,
            retries_owned: false,
            attempts_left: None,
            usage_added: false,
            observed: false,
        }
    }

    /// The request's context; made from its head, and put there, if it has none.
    pub fn of<B>(request: &mut Request<B>) -> &mut Self {
        if request.extensions().get::<Self>().is_none() {
            let call = Call::from_head(request.uri(), request.headers());
            let context = Self::new(call, Instant::now());
            request.extensions_mut().insert(context);
        }
        Self::in_extensions(request.extensions_mut())
    }

    /// Does something with the request's context, as [`of`](Self::of) finds or makes it; at half the cost where it is
    /// there.
    #[inline]
    pub fn with<B, T>(request: &mut Request<B>, act: impl FnOnce(&mut Self) -> T) -> T {
        match request.extensions_mut().get_mut() {
            Some(context) => act(context),
            None => act(Self::of(request)),
        }
    }

    fn in_extensions(extensions: &mut Extensions) -> &mut Self {
        extensions.get_or_insert_with(|| Self::new(Call::default(), Instant::now()))
    }

    /// What the request asks for.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// The same, to be kept when the request is gone: cheaper than a clone of the whole context.
    #[must_use]
    pub fn shared_call(&self) -> Arc<Call> {
        Arc::clone(&self.call)
    }

    /// Says what a rewritten request asks for: how long its prompt is now, which output. For what lies below.
    ///
    /// The [spans](Call::spans) stay as they are: they point into the body as it was read.
    pub fn amend_call(&mut self, change: impl FnOnce(&mut Call)) {
        change(Arc::make_mut(&mut self.call));
    }

    /// The context of a call that came through the door at `now`: with its caller's settings, if they put some into
    /// the request, and with their record, unless another call went through the door with that already.
    pub(crate) fn enter(theirs: Option<Self>, call: Call, now: Instant) -> Self {
        let mut context = match theirs {
            None => Self::new(call, now),
            Some(mut theirs) => {
                theirs.call = Arc::new(call);
                let entered = std::mem::replace(&mut theirs.record.log.lock().entered, true);
                if entered && !theirs.inside {
                    theirs.record = Record::new(now);
                    theirs.attempt = None;
                }
                theirs
            }
        };
        context.inside = true;
        context
    }

    /// When the call came through the door.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.record.started
    }

    /// The clock as it was last read for this call: by the door, by a layer that waited, or for this attempt.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Passes a newer reading of the clock down.
    pub fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    /// The instant by which the caller wants the whole answer.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Sets the deadline, unless an earlier one is set already.
    pub fn tighten_deadline(&mut self, at: Instant) {
        self.deadline = Some(self.deadline.map_or(at, |earlier| earlier.min(at)));
    }

    /// The latest useful start here: a layer that waits refuses at or before it, with nothing sent.
    #[must_use]
    pub fn start_by(&self) -> Option<Instant> {
        self.start_by
    }

    /// Sets, or lifts, the start-by for what lies below.
    pub fn set_start_by(&mut self, at: Option<Instant>) {
        self.start_by = at;
    }

    /// The earlier of deadline and start-by.
    #[must_use]
    pub fn latest_start(&self) -> Option<Instant> {
        match (self.deadline, self.start_by) {
            (Some(deadline), Some(start_by)) => Some(deadline.min(start_by)),
            (one, other) => one.or(other),
        }
    }

    /// What serving the call elsewhere would cost, in nano-dollars: the cheapest waiters are shed first.
    #[must_use]
    pub fn spill_cost(&self) -> Option<u64> {
        self.spill_cost
    }

    /// Sets what serving the call elsewhere would cost, in nano-dollars.
    pub fn set_spill_cost(&mut self, nano_dollars: Option<u64>) {
        self.spill_cost = nano_dollars;
    }

    /// The class in which the call waits, where a queue knows classes. Default 0, the most urgent.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Sets the class in which the call waits.
    pub fn set_priority(&mut self, priority: Priority) {
        self.priority = priority;
    }

    /// For whom the call is made, where a queue shares out among tenants.
    #[must_use]
    pub fn tenant(&self) -> Option<Tenant> {
        self.tenant
    }

    /// Says for whom the call is made.
    pub fn set_tenant(&mut self, tenant: Option<Tenant>) {
        self.tenant = tenant;
    }

    /// Whether a layer above already owns the call's retries: there is one owner in a leg.
    #[must_use]
    pub fn retries_owned(&self) -> bool {
        self.retries_owned
    }

    /// Says who owns the retries below: `true` by a retry layer, `false` by a fallback for each leg.
    pub fn set_retries_owned(&mut self, owned: bool) {
        self.retries_owned = owned;
    }

    /// How many more attempts the owner of the retries allows after this one, if there is an owner.
    #[must_use]
    pub fn attempts_left(&self) -> Option<u32> {
        self.attempts_left
    }

    /// Says how many more attempts are allowed after this one.
    pub fn set_attempts_left(&mut self, left: Option<u32>) {
        self.attempts_left = left;
    }

    /// Whether `include_usage` was added for the caller, so that its extra event has to be taken out again.
    #[must_use]
    pub fn usage_added(&self) -> bool {
        self.usage_added
    }

    /// Says that `include_usage` was added for the caller.
    pub fn set_usage_added(&mut self, added: bool) {
        self.usage_added = added;
    }

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

#[cfg(test)]
mod tests;
