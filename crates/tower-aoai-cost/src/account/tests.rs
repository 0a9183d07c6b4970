//! Budgets as numbers, apart from calls.

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
    let expected =
        [&nothing, &vec![at(800)], &nothing, &vec![at(1_000)], &nothing, &vec![at(800), at(1_000)], &nothing, &nothing];
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
    let spent: Vec<_> = accounts.statuses(3, &ledger).into_iter().map(|status| (status.value, status.spent)).collect();
    let value = |name: &str| Some((Tag::Tenant, name.into()));
    assert_eq!(spent, [(value("acme"), nano(100)), (value("other"), nano(99))]);
}

#[test]
fn what_does_not_fit_one_budget_is_reserved_in_none() {
    let enforced = |name, limit| Budget::new(name, nano(limit), Period::Day).enforce();
    let (mut accounts, mut ledger) = books([enforced("large", 100), enforced("small", 10).tag(Tag::Agent, "a")]);
    let (a, b) = (ledger.key(&Tags::new().agent("a")), ledger.key(&Tags::new().agent("b")));
    let refusal = accounts.reserve(&a, 0, nano(11), &ledger).unwrap_err();
    assert_eq!((&**refusal.budget.name(), refusal.alert.map(|alert| alert.kind)), ("small", Some(AlertKind::Refusing)));
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
