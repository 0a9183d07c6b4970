//! What has been spent and reserved of each budget: a pure state machine.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use crate::{
    Budget, Money, Span, Tag, Tags,
    alert::{Alert, AlertKind},
    budget::Whose,
    ledger::Ledger,
    query::Query,
    tags::Key,
};

/// All budgets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accounts {
    all: Vec<Account>,
}

#[derive(Debug, Clone)]
struct Account {
    budget: Arc<Budget>,
    /// By the number of the value that has this sum to itself; few spans of each.
    sheets: HashMap<u32, Vec<Sheet>>,
}

/// One budget in one period.
#[derive(Debug, Clone, Copy)]
struct Sheet {
    span: Span,
    settled: Money,
    reserved: Money,
    /// So many thresholds were told of.
    told: usize,
    told_refusing: bool,
    refused: u64,
    /// Calls that cost more than was reserved for them.
    overrun: u64,
}

/// Spans that are kept of one sum; a clock that goes back finds them again.
const SPANS_KEPT: usize = 3;

/// A place in which a call has reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    account: usize,
    value: u32,
    span: Span,
}

/// Why nothing could be reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) budget: Arc<Budget>,
    pub(crate) value: Option<(Tag, Arc<str>)>,
    pub(crate) span: Span,
    pub(crate) settled: Money,
    pub(crate) reserved: Money,
    pub(crate) asked: Money,
    /// The first of its period is told of.
    pub(crate) alert: Option<Alert>,
}

/// How a budget stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Whose sum it is, where each value of a tag has its own.
    pub value: Option<(Tag, Arc<str>)>,
    /// Of which hour, day or month this is.
    pub span: Span,
    /// What may be spent.
    pub limit: Money,
    /// What has been spent, exact and estimated together, by calls that began in this time and have ended.
    pub spent: Money,
    /// What calls under way have reserved; 0 where it is not enforced.
    pub reserved: Money,
    /// Calls that were refused.
    pub refused: u64,
    /// Calls that cost more than what was reserved for them: pictures, files and conversations kept by the server count
    /// more than their bytes, and attempts may be more than were [planned for](crate::CostLayer::attempts).
    pub overrun: u64,
    /// When it is renewed; never, where it is for all of time.
    pub renewed_at: Option<SystemTime>,
}

impl Accounts {
    pub(crate) fn add(&mut self, budget: Budget) {
        self.all.push(Account { budget: Arc::new(budget), sheets: HashMap::new() });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether a call with these values has to reserve.
    pub(crate) fn enforces(&self, key: &Key, ledger: &Ledger) -> bool {
        self.all
            .iter()
            .any(|account| account.budget.is_enforced() && account.budget.fits(key, ledger.names()).is_some())
    }

    /// Reserves in every enforced budget that fits, or in none.
    pub(crate) fn reserve(
        &mut self,
        key: &Key,
        seconds: u64,
        amount: Money,
        ledger: &Ledger,
    ) -> Result<Vec<Claim>, Box<Refusal>> {
        let mut claims = Vec::new();
        for (place, account) in self.all.iter_mut().enumerate() {
            if account.budget.is_enforced()
                && let Some(value) = account.budget.fits(key, ledger.names())
            {
                let span = account.budget.period().of(seconds);
                account.sheet(value, span, ledger);
                claims.push(Claim { account: place, value, span });
            }
        }
        self.add_to(&claims, amount, ledger)?;
        Ok(claims)
    }

    /// Why a call with these tags could not reserve so much now; `Ok` if it could. Counts and tells nothing.
    pub(crate) fn would_admit(
        &mut self,
        tags: &Tags,
        seconds: u64,
        amount: Money,
        ledger: &Ledger,
    ) -> Result<(), Box<Refusal>> {
        for account in self.all.iter_mut().filter(|account| account.budget.is_enforced()) {
            let Some(whose) = account.budget.would_fit(tags, ledger.names()) else {
                continue;
            };
            let span = account.budget.period().of(seconds);
            let sheet = match whose {
                Whose::Known(value) => *account.sheet(value, span, ledger),
                Whose::New => Sheet::new(span),
            };
            if !sheet.has_room(amount, &account.budget) {
                let each = account.budget.each_tag();
                let value = each.map(|tag| (tag, Arc::from(tags.get(tag).unwrap_or_default())));
                return Err(Box::new(sheet.refusal(&account.budget, value, amount)));
            }
        }
        Ok(())
    }

    /// Whether a call with these tags would have to reserve.
    pub(crate) fn would_enforce(&self, tags: &Tags, ledger: &Ledger) -> bool {
        self.all
            .iter()
            .any(|account| account.budget.is_enforced() && account.budget.would_fit(tags, ledger.names()).is_some())
    }

    /// Reserves more where a call has reserved already, everywhere or nowhere.
    pub(crate) fn add_to(&mut self, claims: &[Claim], amount: Money, ledger: &Ledger) -> Result<(), Box<Refusal>> {
        for claim in claims {
            self.all[claim.account].admits(claim, amount, ledger)?;
        }
        for claim in claims {
            let sheet = self.all[claim.account].sheet(claim.value, claim.span, ledger);
            sheet.reserved = sheet.reserved + amount;
        }
        Ok(())
    }

    /// Gives back what a call had reserved, which has cost so much.
    pub(crate) fn release(&mut self, claims: &[Claim], reserved: Money, cost: Money, ledger: &Ledger) {
        for claim in claims {
            let sheet = self.all[claim.account].sheet(claim.value, claim.span, ledger);
            sheet.reserved = sheet.reserved.saturating_sub(reserved);
            sheet.overrun += u64::from(cost > reserved);
        }
    }

    /// Adds what was spent by a call that began at that second, **before** it is booked; tells which thresholds it
    /// crosses.
    pub(crate) fn settle(&mut self, key: &Key, seconds: u64, cost: Money, ledger: &Ledger, alerts: &mut Vec<Alert>) {
        if cost == Money::ZERO {
            return;
        }
        for account in &mut self.all {
            let Some(value) = account.budget.fits(key, ledger.names()) else {
                continue;
            };
            let span = account.budget.period().of(seconds);
            let budget = Arc::clone(&account.budget);
            let sheet = account.sheet(value, span, ledger);
            sheet.settled = sheet.settled + cost;
            let told = sheet.told;
            let crossed = budget.thresholds().filter(|(_, threshold)| *threshold <= sheet.settled);
            sheet.told = told.max(crossed.clone().count());
            let sheet = *sheet;
            for (threshold, _) in crossed.skip(told) {
                let kind = AlertKind::Threshold { per_mille: threshold };
                alerts.push(sheet.alert(&budget, value, kind, ledger));
            }
        }
    }

    /// Every sum that is under way in its period.
    pub(crate) fn statuses(&mut self, seconds: u64, ledger: &Ledger) -> Vec<BudgetStatus> {
        let mut statuses = Vec::new();
        for account in &mut self.all {
            let span = account.budget.period().of(seconds);
            if account.budget.each_tag().is_none() {
                // There is one, also before its first call.
                let no_value = crate::tags::NONE;
                account.sheet(no_value, span, ledger);
            }
            let of_now = account.sheets.iter().flat_map(|(value, sheets)| {
                sheets.iter().filter(|sheet| sheet.span == span).map(move |sheet| (*value, *sheet))
            });
            let budget = &account.budget;
            statuses.extend(of_now.map(|(value, sheet)| BudgetStatus {
                name: Arc::clone(budget.name()),
                value: named(budget, value, ledger),
                span,
                limit: budget.limit(),
                spent: sheet.settled,
                reserved: sheet.reserved,
                refused: sheet.refused,
                overrun: sheet.overrun,
                renewed_at: span.end(),
            }));
        }
        statuses.sort_by(|one, other| (&one.name, &one.value).cmp(&(&other.name, &other.value)));
        statuses
    }

    /// Forgets what was spent; what is reserved stays, for it will be given back.
    pub(crate) fn clear(&mut self) {
        for account in &mut self.all {
            for sheets in account.sheets.values_mut() {
                sheets.retain_mut(|sheet| {
                    *sheet = Sheet { reserved: sheet.reserved, ..Sheet::new(sheet.span) };
                    sheet.reserved > Money::ZERO
                });
            }
            account.sheets.retain(|_, sheets| !sheets.is_empty());
        }
    }

    /// Begins anew from what the books say.
    pub(crate) fn forget(&mut self) {
        for account in &mut self.all {
            account.sheets.clear();
        }
    }
}

impl Account {
    fn admits(&mut self, claim: &Claim, amount: Money, ledger: &Ledger) -> Result<(), Box<Refusal>> {
        let budget = Arc::clone(&self.budget);
        let sheet = self.sheet(claim.value, claim.span, ledger);
        if sheet.has_room(amount, &budget) {
            return Ok(());
        }
        sheet.refused += 1;
        let is_first = !std::mem::replace(&mut sheet.told_refusing, true);
        let sheet = *sheet;
        let alert = is_first.then(|| sheet.alert(&budget, claim.value, AlertKind::Refusing, ledger));
        let refusal = sheet.refusal(&budget, named(&budget, claim.value, ledger), amount);
        Err(Box::new(Refusal { alert, ..refusal }))
    }

    /// What is spent and reserved; where that is not known yet, the books are asked.
    fn sheet(&mut self, value: u32, span: Span, ledger: &Ledger) -> &mut Sheet {
        let Self { budget, sheets } = self;
        let sheets = sheets.entry(value).or_default();
        let place = match sheets.iter().position(|sheet| sheet.span == span) {
            Some(place) => place,
            None => {
                if sheets.len() >= SPANS_KEPT
                    && let Some(idle) = sheets.iter().position(|sheet| sheet.reserved == Money::ZERO)
                {
                    sheets.remove(idle);
                }
                sheets.push(Sheet::booked(budget, value, span, ledger));
                sheets.len() - 1
            }
        };
        &mut sheets[place]
    }
}

fn named(budget: &Budget, value: u32, ledger: &Ledger) -> Option<(Tag, Arc<str>)> {
    budget.each_tag().map(|tag| (tag, ledger.names().name(tag, value)))
}

impl Sheet {
    const fn new(span: Span) -> Self {
        Self {
            span,
            settled: Money::ZERO,
            reserved: Money::ZERO,
            told: 0,
            told_refusing: false,
            refused: 0,
            overrun: 0,
        }
    }

    fn has_room(&self, amount: Money, budget: &Budget) -> bool {
        self.settled + self.reserved + amount <= budget.limit()
    }

    /// Nobody is told of it.
    fn refusal(&self, budget: &Arc<Budget>, value: Option<(Tag, Arc<str>)>, asked: Money) -> Refusal {
        let Self { span, settled, reserved, .. } = *self;
        Refusal { budget: Arc::clone(budget), value, span, settled, reserved, asked, alert: None }
    }

    /// As the books say; what they say was told of when it was booked.
    fn booked(budget: &Budget, value: u32, span: Span, ledger: &Ledger) -> Self {
        let mut query = Query::of(span);
        for (tag, value) in budget.values() {
            query = query.tag(*tag, Arc::clone(value));
        }
        if let Some((tag, value)) = named(budget, value, ledger) {
            query = query.tag(tag, value);
        }
        let settled = ledger.sum(&query).cost();
        let told = budget.thresholds().filter(|(_, threshold)| settled > Money::ZERO && *threshold <= settled).count();
        Self { settled, told, ..Self::new(span) }
    }

    fn alert(&self, budget: &Budget, value: u32, kind: AlertKind, ledger: &Ledger) -> Alert {
        Alert {
            budget: Arc::clone(budget.name()),
            value: named(budget, value, ledger),
            span: self.span,
            kind,
            spent: self.settled,
            reserved: self.reserved,
            limit: budget.limit(),
        }
    }
}

#[cfg(test)]
mod tests;
