use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules { model: WindowModel::Sliding, guard: Duration::ZERO, headers: Headers::Heeded };

fn limits() -> Limits {
    Limits::new().tokens_per_minute(1_000).requests_per_minute(60).max_in_flight(3)
}

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Grant(u64),
    Send(usize),
    Settle(usize, u64),
    Cancel(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u64..20_000).prop_map(Step::Pass),
        (0u64..600).prop_map(Step::Grant),
        any::<usize>().prop_map(Step::Send),
        (any::<usize>(), 0u64..700).prop_map(|(which, actual)| Step::Settle(which, actual)),
        any::<usize>().prop_map(Step::Cancel),
    ]
}

proptest! {
    #[test]
    fn l2_l3_c1_all_or_nothing_and_nothing_is_lost(
        steps in prop::collection::vec(step(), 1..150), corrects in any::<bool>(),
    ) {
        let mut now = Instant::now();
        let mut ledger = Ledger::new(RULES, limits(), now);
        let (mut reserved, mut sent) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Pass(time) => now += Duration::from_millis(time),
                Step::Grant(tokens) => {
                    let charge = Charge::tokens(tokens);
                    let before = (ledger.tokens(now), ledger.requests(now), ledger.in_flight(), ledger.tally());
                    if ledger.fits(now, charge) {
                        ledger.reserve(now, charge);
                        reserved.push(charge);
                    } else {
                        let after = (ledger.tokens(now), ledger.requests(now), ledger.in_flight(), ledger.tally());
                        prop_assert_eq!(before, after);
                        prop_assert!(ledger.obstacle(now, charge).is_some());
                    }
                }
                Step::Send(which) if !reserved.is_empty() => {
                    let charge = reserved.swap_remove(which % reserved.len());
                    sent.push((charge, ledger.send(now, now, charge)));
                }
                Step::Settle(which, actual) if !sent.is_empty() => {
                    let (charge, booking) = sent.swap_remove(which % sent.len());
                    ledger.settle(now, booking, charge, corrects.then_some(actual));
                }
                Step::Cancel(which) if !reserved.is_empty() => {
                    let charge = reserved.swap_remove(which % reserved.len());
                    ledger.cancel(charge);
                }
                _ => {}
            }
            prop_assert!(ledger.in_flight() <= 3);
            let held = reserved.iter().chain(sent.iter().map(|(charge, _)| charge));
            prop_assert_eq!(ledger.outstanding(), held.map(|charge| u128::from(charge.tokens)).sum::<u128>());
            if !corrects {
                prop_assert!(ledger.tokens(now).is_some_and(|(used, limit)| used <= limit));
            }
            prop_assert!(ledger.requests(now).is_some_and(|(used, limit)| used <= limit));
        }
        reserved.into_iter().for_each(|charge| ledger.cancel(charge));
        sent.into_iter().for_each(|(charge, booking)| ledger.settle(now, booking, charge, None));
        prop_assert_eq!((ledger.outstanding(), ledger.in_flight()), (0, 0));
    }
}

#[test]
fn a_gate_is_never_shortened_and_the_pace_is_kept_after_it() {
    let now = Instant::now();
    let after = |seconds| now + Duration::from_secs(seconds);
    let mut ledger = Ledger::new(RULES, Limits::new().tokens_per_minute(600), now);
    ledger.shut_until(now, after(10));
    ledger.shut_until(now, after(5));
    assert_eq!(ledger.earliest(now, Charge::tokens(1)), Some(after(10)));
    assert_eq!(ledger.obstacle(now, Charge::tokens(1)), Some(Dimension::Gate));
    ledger.reserve(after(10), Charge::tokens(20));
    assert_eq!(ledger.earliest(after(10), Charge::tokens(1)), Some(after(12)), "20 of 600 a minute");
    assert_eq!(ledger.obstacle(after(10), Charge::tokens(1)), Some(Dimension::Interval));
    ledger.reserve(after(20), Charge::tokens(20));
    assert_eq!(ledger.earliest(after(20), Charge::tokens(1)), Some(after(20)), "paced for as long as it was shut");
}

#[test]
fn a_short_hint_is_no_reason_to_keep_the_pace_for_a_minute() {
    let now = Instant::now();
    let after = |millis| now + Duration::from_millis(millis);
    let mut ledger = Ledger::new(RULES, Limits::new().tokens_per_minute(600), now);
    ledger.shut_until(now, after(43));
    ledger.reserve(after(100), Charge::tokens(20));
    assert_eq!(ledger.earliest(after(100), Charge::tokens(1)), Some(after(100)));
}

#[test]
fn the_minimum_interval_is_kept() {
    let now = Instant::now();
    let mut ledger = Ledger::new(RULES, Limits::new().min_interval(Duration::from_millis(250)), now);
    ledger.reserve(now, Charge::tokens(1));
    assert_eq!(ledger.earliest(now, Charge::tokens(1)), Some(now + Duration::from_millis(250)));
}

#[test]
fn l11_limits_change_without_forgetting_what_was_sent() {
    let now = Instant::now();
    let models =
        [WindowModel::Sliding, WindowModel::Bucket { capacity: 1_000 }, WindowModel::Utilisation { window: MINUTE }];
    for model in models {
        let mut ledger = Ledger::new(Rules { model, ..RULES }, limits(), now);
        ledger.reserve(now, Charge::tokens(800));
        ledger.send(now, now, Charge::tokens(800));
        ledger.set_limits(limits().tokens_per_minute(500), now);
        assert!(!ledger.fits(now, Charge::tokens(1)), "{model:?}: 800 are more than 500");
        ledger.set_limits(limits().tokens_per_minute(1_000), now);
        assert!(ledger.tokens(now).is_some_and(|(used, _)| used >= 800), "{model:?}: raising gives nothing back");
    }
}
