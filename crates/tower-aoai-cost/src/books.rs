//! Ledger, budgets and log under one lock.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, OnceLock},
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use tokio::time::Instant;
use tower_aoai_core::{Reason, Rejected};

use crate::{
    Budget, Money, Spend, Tag, Tags,
    account::{Accounts, Claim, Refusal},
    alert::{Alert, Outlets},
    ledger::{Bounds, Entry, Ledger},
    log::{self, Pipe},
    period::WallClock,
};

/// What all services of a layer share.
pub(crate) struct Books {
    state: Mutex<State>,
    pub(crate) outlets: Mutex<Outlets>,
    clock: OnceLock<WallClock>,
    pipe: OnceLock<Arc<Pipe>>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) ledger: Ledger,
    pub(crate) accounts: Accounts,
    pub(crate) counts: Counts,
    /// Models without a price that were told of.
    pub(crate) told_unpriced: BTreeSet<Arc<str>>,
}

/// Models without a price that are told of; of more, calls are only counted.
const UNPRICED_TOLD: usize = 64;

/// Calls, apart from what they cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) open: u64,
    pub(crate) ended: u64,
    pub(crate) attempts: u64,
    pub(crate) refused: u64,
    pub(crate) refused_unpriced: u64,
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Open {
    /// When it began.
    pub(crate) seconds: u64,
    pub(crate) claims: Vec<Claim>,
    /// What each attempt may cost at most.
    pub(crate) worst: Money,
}

/// Who refuses.
pub(crate) const BY: &str = "cost layer";

impl Default for Ledger {
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

impl Books {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            outlets: Mutex::default(),
            clock: OnceLock::new(),
            pipe: OnceLock::new(),
        })
    }

    /// Looks at, or changes, everything at once.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock())
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.get_or_init(WallClock::default).now()
    }

    /// Only the first counts, and only before time was asked for.
    pub(crate) fn set_clock(&self, clock: WallClock) {
        let _ = self.clock.set(clock);
    }

    /// Only the first counts.
    pub(crate) fn set_pipe(&self, pipe: Arc<Pipe>) -> bool {
        self.pipe.set(pipe).is_ok()
    }

    pub(crate) fn pipe(&self) -> Option<&Arc<Pipe>> {
        self.pipe.get()
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    pub(crate) fn add_budget(&self, budget: Budget) {
        if budget.enforces_in_vain() {
            tracing::warn!(target: "tower_aoai::cost", budget = %budget.name(), "a budget of a tag that is not known before the call is sent cannot be enforced: it only alerts; enforce one of task, workflow, agent or tenant");
        }
        self.with(|state| state.accounts.add(budget));
    }

    /// Begins a call that may cost so much an attempt, for so many attempts; `worst` is asked for only where a budget
    /// is enforced, and `None` from it means that it is not known.
    pub(crate) fn open(
        &self,
        tags: &Tags,
        now: Instant,
        attempts: u32,
        worst: impl FnOnce() -> Option<Money>,
    ) -> Result<Open, Rejected> {
        let seconds = self.seconds();
        let mut state = self.state.lock();
        let State { ledger, accounts, counts, .. } = &mut *state;
        if accounts.is_empty() {
            counts.open += 1;
            return Ok(Open { seconds, claims: Vec::new(), worst: Money::ZERO });
        }
        let key = ledger.key(tags);
        if !accounts.enforces(&key, ledger) {
            counts.open += 1;
            return Ok(Open { seconds, claims: Vec::new(), worst: Money::ZERO });
        }
        let Some(worst) = worst() else {
            counts.refused_unpriced += 1;
            return Err(unbounded());
        };
        match accounts.reserve(&key, seconds, worst.times(attempts.into()), ledger) {
            Ok(claims) => {
                counts.open += 1;
                Ok(Open { seconds, claims, worst })
            }
            Err(refusal) => {
                counts.refused += 1;
                drop(state);
                Err(self.refuse(*refusal, now))
            }
        }
    }

    /// What [`open`](Self::open) would refuse now; nothing is reserved, counted or told.
    pub(crate) fn would_refuse(
        &self,
        tags: &Tags,
        now: Instant,
        attempts: u32,
        worst: impl FnOnce() -> Option<Money>,
    ) -> Option<Rejected> {
        let seconds = self.seconds();
        let mut state = self.state.lock();
        let State { ledger, accounts, .. } = &mut *state;
        if !accounts.would_enforce(tags, ledger) {
            return None;
        }
        let Some(worst) = worst() else {
            return Some(unbounded());
        };
        let refusal = accounts.would_admit(tags, seconds, worst.times(attempts.into()), ledger).err()?;
        drop(state);
        Some(self.refuse(*refusal, now))
    }

    /// Reserves so much more for a call under way.
    pub(crate) fn reserve_more(&self, open: &Open, amount: Money, now: Instant) -> Result<(), Rejected> {
        let mut state = self.state.lock();
        let State { ledger, accounts, counts, .. } = &mut *state;
        match accounts.add_to(&open.claims, amount, ledger) {
            Ok(()) => Ok(()),
            Err(refusal) => {
                counts.refused += 1;
                drop(state);
                Err(self.refuse(*refusal, now))
            }
        }
    }

    /// Ends a call: what was reserved goes back, what was spent is booked.
    pub(crate) fn close(&self, open: &Open, reserved: Money, spent: &[(Tags, Spend)]) {
        let mut alerts = Vec::new();
        let mut unpriced = Vec::new();
        let records = self.pipe().map(|_| log::encode_all(open.seconds, spent));
        {
            let mut state = self.state.lock();
            let State { ledger, accounts, counts, told_unpriced } = &mut *state;
            counts.open = counts.open.saturating_sub(1);
            counts.ended += 1;
            let mut cost = Money::ZERO;
            for (tags, spend) in spent {
                let key = ledger.key(tags);
                cost = cost + spend.cost();
                counts.attempts += spend.attempts();
                if spend.unpriced.attempts > 0 && told_unpriced.len() < UNPRICED_TOLD {
                    let model = tags.get(Tag::Model).or(tags.get(Tag::Deployment)).unwrap_or("(unknown)");
                    if !told_unpriced.contains(model) {
                        told_unpriced.insert(model.into());
                        unpriced.push(model);
                    }
                }
                accounts.settle(&key, open.seconds, spend.cost(), ledger, &mut alerts);
                ledger.book(open.seconds, &Entry { key, spend: *spend });
            }
            accounts.release(&open.claims, reserved, cost, ledger);
            // Under the lock, so that a log that is written anew holds each booking once.
            if let (Some(pipe), Some(records)) = (self.pipe(), records) {
                pipe.push(&records);
            }
        }
        for model in unpriced {
            tracing::warn!(target: "tower_aoai::cost", model, "attempts have no price and are booked as unpriced: name the price of this model, or say which model this deployment is");
        }
        self.tell(alerts);
    }

    fn tell(&self, alerts: impl IntoIterator<Item = Alert>) {
        for alert in alerts {
            let outlets = self.outlets.lock().clone();
            outlets.tell(alert);
        }
    }

    fn refuse(&self, refusal: Refusal, now: Instant) -> Rejected {
        let Refusal { budget, value, span, settled, reserved, asked, alert } = refusal;
        self.tell(alert);
        let whose = value.map(|(tag, value)| format!(" ({} {value:?})", tag.name())).unwrap_or_default();
        let mut detail = format!(
            "the budget {budget}{whose}: {settled} spent, {reserved} reserved by calls under way, and this call may cost {asked}"
        );
        let rejected = Rejected::new(Reason::BudgetSpent, BY);
        if asked > budget.limit() {
            detail.push_str(", more than all of it: ask for fewer output tokens, or raise it");
            return rejected.detail(detail);
        }
        let left = span.end().and_then(|end| end.duration_since(self.now()).ok());
        match left.and_then(|left| now.checked_add(left)) {
            Some(until) => rejected.detail(detail).until(until),
            None => rejected.detail(detail),
        }
    }
}

/// Not the books themselves: they are long.
impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Books").field("log", &self.pipe.get().is_some()).finish_non_exhaustive()
    }
}

fn unbounded() -> Rejected {
    Rejected::new(Reason::BudgetSpent, BY).detail(UNBOUNDED)
}

const UNBOUNDED: &str = "a budget is enforced for this call, and the most that it can cost is not known: name its model's price, and put PrepareLayer above the cost layer";

impl Drop for Books {
    fn drop(&mut self) {
        if let Some(pipe) = self.pipe() {
            pipe.close();
        }
    }
}
