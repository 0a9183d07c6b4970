//! What travels with a call.

mod record;

use std::sync::Arc;

use http::Request;
use tokio::time::Instant;

use self::record::Record;
use crate::{Attempt, Call, Priority, Tenant};

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
        match request.extensions_mut().get_mut() {
            Some(context) => context,
            None => unreachable!("it was put there if it was not"),
        }
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
}

#[cfg(test)]
mod tests;
