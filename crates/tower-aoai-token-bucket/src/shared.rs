//! What all services of one layer share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use tokio::time::Instant;
use tower_aoai_core::{Admission, Availability, CallContext, Load};

use crate::{
    Charge, Estimate, Quota,
    desk::{Desk, Wakes},
    queue::Ask,
};

#[derive(Debug)]
pub(crate) struct Shared {
    desk: Mutex<Desk>,
    pub(crate) estimate: Arc<dyn Estimate>,
    never_waits: bool,
    /// Whether sends are stamped by an observer below.
    is_observed: AtomicBool,
}

impl Shared {
    pub(crate) fn new(quota: &Quota) -> Self {
        Self {
            desk: Mutex::new(quota.desk(Instant::now())),
            estimate: Arc::clone(&quota.estimate),
            never_waits: quota.never_waits(),
            is_observed: AtomicBool::new(false),
        }
    }

    /// Changes the state, and wakes whom that concerns once the lock is given back.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Desk, &mut Wakes) -> T) -> T {
        let mut wakes = Wakes::new();
        let result = change(&mut self.desk.lock(), &mut wakes);
        for waker in wakes {
            waker.wake();
        }
        result
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Desk) -> T) -> T {
        look(&self.desk.lock())
    }

    pub(crate) fn note_observed(&self) {
        if !self.is_observed() {
            self.is_observed.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_observed(&self) -> bool {
        self.is_observed.load(Ordering::Relaxed)
    }

    /// What a call asks for.
    pub(crate) fn ask(&self, context: &CallContext) -> Ask {
        let latest = context.latest_start();
        Ask {
            charge: Charge::tokens(self.estimate.charge(context.call())),
            latest,
            is_deadline: latest.is_some() && latest == context.deadline(),
            spill_cost: context.spill_cost(),
            priority: context.priority(),
            tenant: context.tenant(),
        }
    }
}

impl Availability for Shared {
    fn admission(&self, call: &CallContext, from: Instant) -> Admission {
        let ask = self.ask(call);
        let desk = self.desk.lock();
        if !desk.ledger.can_ever(ask.charge) {
            return Admission::Shut(None);
        }
        let start = desk.start(from, &ask, None);
        let can_enter = if self.never_waits {
            start.is_some_and(|start| start <= from.max(desk.clock())) && desk.ledger.has_place() && desk.queued() == 0
        } else {
            desk.has_room()
        };
        match start {
            Some(start) if can_enter => Admission::At(start.max(from)),
            start => Admission::Shut(start),
        }
    }

    fn load(&self) -> Load {
        let desk = self.desk.lock();
        Load::new(desk.ledger.in_flight(), desk.queued())
    }
}
