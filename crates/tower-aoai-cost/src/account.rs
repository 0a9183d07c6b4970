//! What has been spent and reserved of each budget: a pure state machine.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use crate::{
    Budget, Money, Span, Tag,
    alert::{Alert, AlertKind},
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
        if sheet.settled + sheet.reserved + amount <= budget.limit() {
            return Ok(());
        }
        sheet.refused += 1;
        let is_first = !std::mem::replace(&mut sheet.told_refusing, true);
        let sheet = *sheet;
        Err(Box::new(Refusal {
            value: named(&budget, claim.value, ledger),
            span: claim.span,
            settled: sheet.settled,
            reserved: sheet.reserved,
            asked: amount,
            alert: is_first.then(|| sheet.alert(&budget, claim.value, AlertKind::Refusing, ledger)),
            budget,
        }))
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Period, Spend, Tags,
        ledger::{Bounds, Entry},
    };

    const HOUR: u64 = 3_600;

    fn nano(amount: u64) -> Money {
        Money::nano_dollars(amount)
    }

    fn books(budgets: impl IntoIterator<Item = Budget>) -> (Accounts, Ledger) {
        let mut accounts = Accounts::default();
        budgets.into_iter().for_each(|budget| accounts.add(budget));
        (accounts, Ledger::new(Bounds::default()))
    }

    fn spend(cost: Money) -> Spend {
        let mut spend = Spend::default();
        spend.exact.cost = cost;
        spend
    }

    fn settle(accounts: &mut Accounts, ledger: &mut Ledger, tags: &Tags, seconds: u64, cost: u64) -> Vec<AlertKind> {
        let key = ledger.key(tags);
        let mut alerts = Vec::new();
        accounts.settle(&key, seconds, nano(cost), ledger, &mut alerts);
        ledger.book(seconds, &Entry { key, spend: spend(nano(cost)) });
        alerts.into_iter().map(|alert| alert.kind).collect()
    }

    const fn at(per_mille: u32) -> AlertKind {
        AlertKind::Threshold { per_mille }
    }

    #[test]
    fn each_threshold_is_told_of_once_in_a_period() {
        let (mut accounts, mut ledger) = books([Budget::new("b", nano(100), Period::Hour)]);
        let tags = Tags::new();
        let told = [(0, 79), (10, 1), (20, 19), (30, 1), (40, 500), (HOUR, 200), (HOUR + 1, 200), (50, 1)]
            .map(|(seconds, cost)| settle(&mut accounts, &mut ledger, &tags, seconds, cost));
        let nothing = Vec::new();
        let expected = [
            &nothing,
            &vec![at(800)],
            &nothing,
            &vec![at(1_000)],
            &nothing,
            &vec![at(800), at(1_000)],
            &nothing,
            &nothing,
        ];
        assert_eq!(told.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_the_books_say_of_before_counts_and_was_told_of() {
        let (mut accounts, mut ledger) = books([Budget::new("b", nano(100), Period::Day).each(Tag::Tenant)]);
        let acme = Tags::new().tenant("acme");
        settle(&mut accounts, &mut ledger, &acme, 0, 85);
        accounts.forget();
        assert_eq!(settle(&mut accounts, &mut ledger, &acme, 1, 5), []);
        assert_eq!(settle(&mut accounts, &mut ledger, &acme, 2, 10), [at(1_000)]);
        assert_eq!(settle(&mut accounts, &mut ledger, &Tags::new().tenant("other"), 2, 99), [at(800)]);
        let spent: Vec<_> =
            accounts.statuses(3, &ledger).into_iter().map(|status| (status.value, status.spent)).collect();
        let value = |name: &str| Some((Tag::Tenant, name.into()));
        assert_eq!(spent, [(value("acme"), nano(100)), (value("other"), nano(99))]);
    }

    #[test]
    fn what_does_not_fit_one_budget_is_reserved_in_none() {
        let enforced = |name, limit| Budget::new(name, nano(limit), Period::Day).enforce();
        let (mut accounts, mut ledger) = books([enforced("large", 100), enforced("small", 10).tag(Tag::Agent, "a")]);
        let (a, b) = (ledger.key(&Tags::new().agent("a")), ledger.key(&Tags::new().agent("b")));
        let refusal = accounts.reserve(&a, 0, nano(11), &ledger).unwrap_err();
        assert_eq!(
            (&**refusal.budget.name(), refusal.alert.map(|alert| alert.kind)),
            ("small", Some(AlertKind::Refusing))
        );
        assert_eq!(accounts.reserve(&a, 0, nano(11), &ledger).unwrap_err().alert, None, "once in a period");
        let claims = accounts.reserve(&b, 0, nano(100), &ledger).expect("nothing was reserved in the large one");
        assert!(accounts.reserve(&a, 0, nano(1), &ledger).is_err());
        accounts.release(&claims, nano(100), nano(100), &ledger);
        assert_eq!(accounts.reserve(&a, 0, nano(10), &ledger).expect("there is room").len(), 2);
    }

    /// Something that happens to the books.
    #[derive(Debug, Clone)]
    enum Step {
        /// A call of a tenant begins, and may cost so much.
        Begin {
            tenant: u8,
            worst: u64,
        },
        /// One that is under way is tried once more.
        Again {
            call: prop::sample::Index,
        },
        /// One that is under way ends, and has cost this share of what was reserved for it.
        End {
            call: prop::sample::Index,
            percent: u64,
        },
        /// Time passes, or goes back.
        Time {
            seconds: i64,
        },
        Reset,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0_u8..3, 0_u64..60).prop_map(|(tenant, worst)| Step::Begin { tenant, worst }),
            2 => any::<prop::sample::Index>().prop_map(|call| Step::Again { call }),
            5 => (any::<prop::sample::Index>(), 0_u64..=100).prop_map(|(call, percent)| Step::End { call, percent }),
            2 => (-4_000_i64..8_000).prop_map(|seconds| Step::Time { seconds }),
            1 => Just(Step::Reset),
        ]
    }

    proptest! {
        #[test]
        fn dollar1_spent_and_reserved_never_exceed_the_budget(steps in prop::collection::vec(step(), 1..120)) {
            let (mut accounts, mut ledger) = books([
                Budget::new("all", nano(150), Period::Day).enforce(),
                Budget::new("each", nano(80), Period::Hour).each(Tag::Tenant).enforce(),
                Budget::new("one", nano(300), Period::Total).tag(Tag::Tenant, "1").enforce(),
            ]);
            let mut seconds = 100 * HOUR;
            let mut open: Vec<(Key, u64, Vec<Claim>, u64, u64)> = Vec::new();
            for step in steps {
                match step {
                    Step::Begin { tenant, worst } => {
                        let key = ledger.key(&Tags::new().tenant(tenant.to_string()));
                        if let Ok(claims) = accounts.reserve(&key, seconds, nano(worst), &ledger) {
                            open.push((key, seconds, claims, worst, worst));
                        }
                    }
                    Step::Again { call } if !open.is_empty() => {
                        let call = call.index(open.len());
                        let (_, _, claims, worst, reserved) = &mut open[call];
                        if accounts.add_to(claims, nano(*worst), &ledger).is_ok() {
                            *reserved += *worst;
                        }
                    }
                    Step::End { call, percent } if !open.is_empty() => {
                        let (key, began, claims, _, reserved) = open.swap_remove(call.index(open.len()));
                        let cost = nano(reserved * percent / 100);
                        accounts.settle(&key, began, cost, &ledger, &mut Vec::new());
                        ledger.book(began, &Entry { key, spend: spend(cost) });
                        accounts.release(&claims, nano(reserved), cost, &ledger);
                    }
                    Step::Time { seconds: passed } => seconds = seconds.saturating_add_signed(passed),
                    Step::Reset => {
                        ledger.clear();
                        accounts.clear();
                    }
                    Step::Again { .. } | Step::End { .. } => {}
                }
                for account in &accounts.all {
                    for sheet in account.sheets.values().flatten() {
                        prop_assert!(sheet.settled + sheet.reserved <= account.budget.limit(), "{sheet:?}");
                    }
                }
            }
            for (_, _, claims, _, reserved) in open.drain(..) {
                accounts.release(&claims, nano(reserved), Money::ZERO, &ledger);
            }
            for account in &accounts.all {
                prop_assert!(account.sheets.values().flatten().all(|sheet| sheet.reserved == Money::ZERO));
            }
        }
    }
}
