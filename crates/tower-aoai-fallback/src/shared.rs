//! What all services of one layer share.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use tower_aoai_core::{AzureClassifier, CallContext, Classify};

use crate::{
    FallbackSnapshot, LegSnapshot, Patience, SpillCause, TokenPrice,
    asked::Asked,
    experience::Experience,
    full_until::FullUntil,
    leg::Rule,
    patience::{Plan, Prospect},
};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) rules: Box<[Rule]>,
    pub(crate) settings: Settings,
    warned_unreplayable: AtomicBool,
    ends: Mutex<Ends>,
    books: Box<[Mutex<Book>]>,
    /// Until when each leg's server said it is full.
    full: Box<[FullUntil]>,
}

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) classify: Arc<dyn Classify>,
    pub(crate) margin: Duration,
    pub(crate) is_off: bool,
}

#[derive(Debug, Default)]
struct Ends {
    failed: u64,
    cancelled: u64,
}

/// What is known of one leg.
#[derive(Debug, Default)]
struct Book {
    counts: LegSnapshot,
    experience: Experience,
}

/// What a call may expect of a leg.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outlook {
    pub(crate) plan: Plan,
    /// What serving it in the next leg would cost, in nano-dollars.
    pub(crate) spill_cost: Option<u64>,
    /// The leg is known to be full for longer than the call may wait: until then.
    pub(crate) full_until: Option<Instant>,
}

/// What a call has cost that was spilled.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spend {
    Exact(u64),
    Estimated(u64),
}

/// How a leg answered a call.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Answered {
    /// From the send to the last byte, of a success.
    pub(crate) service: Option<Duration>,
    pub(crate) output: Option<u64>,
    pub(crate) waited: Duration,
    /// `None` if it was not spilled from a provisioned leg.
    pub(crate) spend: Option<Spend>,
    pub(crate) is_spill: bool,
    pub(crate) spilled_by_azure: bool,
}

impl Answered {
    /// Of a call that was spilled, or had to wait.
    fn tell(&self, leg: &str) {
        let waited_ms = u64::try_from(self.waited.as_millis()).unwrap_or(u64::MAX);
        let (nano_dollars, is_estimated) = match self.spend {
            Some(Spend::Exact(spend)) => (Some(spend), false),
            Some(Spend::Estimated(spend)) => (Some(spend), true),
            None => (None, false),
        };
        if self.is_spill {
            tracing::info!(leg, waited_ms, nano_dollars, is_estimated, "a spilled call was served");
        } else {
            tracing::debug!(leg, waited_ms, "a call was served after a wait");
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { classify: Arc::new(AzureClassifier::default()), margin: Duration::from_millis(250), is_off: false }
    }
}

impl Shared {
    pub(crate) fn new(rules: Box<[Rule]>, settings: Settings) -> Self {
        let books = rules.iter().map(|_| Mutex::default()).collect();
        let origin = Instant::now();
        let full = rules.iter().map(|_| FullUntil::new(origin)).collect();
        Self { rules, settings, warned_unreplayable: AtomicBool::new(false), ends: Mutex::default(), books, full }
    }

    /// The legs that calls may go to.
    pub(crate) fn rules(&self) -> &[Rule] {
        if self.settings.is_off { &self.rules[..1] } else { &self.rules }
    }

    /// What a call may expect of a leg, with that one behind it.
    #[inline]
    pub(crate) fn outlook(&self, leg: usize, next: usize, context: &CallContext, own: Option<Patience>) -> Outlook {
        let [here, behind] = [&self.rules[leg], &self.rules[next]];
        let patience = own.unwrap_or(here.patience());
        let deadline = context.deadline();
        if deadline.is_none() && behind.price.is_none() && patience == Patience::Unlimited {
            return Outlook { plan: Plan::UNLIMITED, spill_cost: None, full_until: None };
        }
        // What the next leg is like matters to those only who weigh it.
        let asked = Asked::by(context.call());
        let (service_next, usual_output) = if deadline.is_some() || behind.price.is_some() {
            let book = self.books[next].lock();
            (book.experience.service(asked, behind.expected_service), book.experience.output())
        } else {
            (behind.expected_service, 0)
        };
        let spill_cost = behind.price.map(|price| price.expected(asked, usual_output));
        let service_here = match deadline {
            Some(_) => self.books[leg].lock().experience.service(asked, here.expected_service),
            None => here.expected_service,
        };
        let plan = Plan::of(Prospect {
            now: context.now(),
            deadline,
            patience,
            spill_cost,
            service_here,
            service_next,
            margin: self.settings.margin,
        });
        let full_until = plan.start_by.and_then(|start_by| self.full[leg].later_than(start_by));
        Outlook { plan, spill_cost, full_until }
    }

    /// What a call costs in a leg, by what calls have used there of late.
    pub(crate) fn expected_spend(&self, leg: usize, price: TokenPrice, asked: Asked) -> u64 {
        price.expected(asked, self.books[leg].lock().experience.output())
    }

    pub(crate) fn warn_unreplayable(&self) {
        if !self.warned_unreplayable.swap(true, Ordering::Relaxed) {
            tracing::warn!("a call could not go to another leg, because its body can be sent only once; said once");
        }
    }

    pub(crate) fn note_full(&self, leg: usize, until: Instant) {
        self.full[leg].note(until);
    }

    pub(crate) fn left(&self, leg: usize, cause: SpillCause, was_asked: bool) {
        let mut book = self.books[leg].lock();
        book.counts.entered += u64::from(was_asked);
        book.counts.not_asked += u64::from(!was_asked);
        book.counts.left.count(cause);
    }

    pub(crate) fn answered(&self, leg: usize, asked: Asked, answered: Answered) {
        let is_plain = !answered.is_spill && answered.waited.is_zero();
        if !is_plain {
            answered.tell(&self.rules[leg].name);
        }
        let mut book = self.books[leg].lock();
        let counts = &mut book.counts;
        counts.entered += 1;
        counts.answered += 1;
        counts.spilled_by_azure += u64::from(answered.spilled_by_azure);
        if !is_plain {
            counts.waited += u64::from(!answered.waited.is_zero());
            counts.waited_for = counts.waited_for.saturating_add(answered.waited);
            counts.spills += u64::from(answered.is_spill);
        }
        match answered.spend {
            Some(Spend::Exact(spend)) => counts.spend = counts.spend.saturating_add(spend),
            Some(Spend::Estimated(spend)) => counts.estimated_spend = counts.estimated_spend.saturating_add(spend),
            None => {}
        }
        if let Some(service) = answered.service {
            book.experience.answered(asked, service, answered.output);
            // What it said of being full was with this call's estimate, which is corrected now.
            self.full[leg].forget();
        }
    }

    pub(crate) fn failed(&self, leg: usize) {
        self.books[leg].lock().counts.entered += 1;
        self.ends.lock().failed += 1;
    }

    pub(crate) fn cancelled(&self, leg: usize, is_in_leg: bool) {
        self.books[leg].lock().counts.entered += u64::from(is_in_leg);
        self.ends.lock().cancelled += 1;
    }

    pub(crate) fn snapshot(&self) -> FallbackSnapshot {
        let leg = |(rule, book): (&Rule, &Mutex<Book>)| {
            let book = book.lock();
            LegSnapshot { name: Arc::clone(&rule.name), service: book.experience.usual(), ..book.counts.clone() }
        };
        let legs: Vec<_> = self.rules.iter().zip(&self.books).map(leg).collect();
        let Ends { failed, cancelled } = *self.ends.lock();
        let answered = legs.iter().map(|leg| leg.answered).sum();
        FallbackSnapshot { calls: answered + failed + cancelled, answered, failed, cancelled, legs }
    }

    pub(crate) fn reset(&self) {
        mem::take(&mut *self.ends.lock());
        for book in &self.books {
            book.lock().counts = LegSnapshot::default();
        }
    }
}
