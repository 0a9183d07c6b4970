//! What all services of one layer share.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::time::Instant;
use tower_aoai_core::{Admission, Availability, CallContext, Load, Rejected, Usage};

use crate::{
    Accounting, Ask, Charge, Estimate, Prediction, Store,
    lengths::{Kind, Lengths},
};

pub(crate) struct Shared<St> {
    pub(crate) store: St,
    pub(crate) estimate: Arc<dyn Estimate>,
    pub(crate) accounting: Arc<dyn Accounting>,
    lengths: Mutex<Lengths>,
    /// Whether sends are stamped by an observer below.
    is_observed: AtomicBool,
}

/// What is kept of a call for its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    kind: Kind,
    pub(crate) prompt: u64,
    choices: u64,
    pub(crate) is_stream: bool,
}

impl<St> Shared<St> {
    pub(crate) fn new(store: St, estimate: Arc<dyn Estimate>, accounting: Arc<dyn Accounting>) -> Self {
        let (lengths, is_observed) = (Mutex::default(), AtomicBool::new(false));
        Self { store, estimate, accounting, lengths, is_observed }
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
        let learned = || self.predict(context);
        let tokens = self.accounting.charge(context.call(), &*self.estimate, &learned);
        Ask {
            charge: Charge::tokens(tokens),
            latest,
            is_deadline: latest.is_some() && latest == context.deadline(),
            spill_cost: context.spill_cost(),
            priority: context.priority(),
            tenant: context.tenant(),
        }
    }

    pub(crate) fn shape(&self, context: &CallContext) -> Shape {
        let call = context.call();
        let (kind, prompt) = (Kind::of(context), self.estimate.prompt(call));
        Shape { kind, prompt, choices: call.choices.max(1), is_stream: call.stream }
    }

    pub(crate) fn predict(&self, context: &CallContext) -> Option<Prediction> {
        self.lengths.lock().predict(Kind::of(context), context.call().max_output_tokens)
    }

    pub(crate) fn learn(&self, shape: &Shape, usage: &Usage) {
        self.lengths.lock().learn(shape.kind, usage.output / shape.choices);
    }
}

impl<St: Store> Availability for Shared<St> {
    fn admission(&self, call: &CallContext, from: Instant) -> Admission {
        self.store.admission(&self.ask(call), from)
    }

    fn load(&self) -> Load {
        self.store.load()
    }

    fn refusal(&self, call: &CallContext) -> Option<Rejected> {
        let charge = self.ask(call).charge;
        (!self.store.can_ever(charge)).then(|| charge.too_large())
    }
}

impl<St: fmt::Debug> fmt::Debug for Shared<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("store", &self.store).finish_non_exhaustive()
    }
}
