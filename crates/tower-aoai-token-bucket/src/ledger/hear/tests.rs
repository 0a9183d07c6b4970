use std::time::Duration;

use proptest::prelude::*;
use tower_aoai_core::Generator;

use super::*;
use crate::{Charge, WindowModel, ledger::Rules, window::MINUTE};

const GUARD: Duration = Duration::from_millis(100);

fn ledger(model: WindowModel, now: Instant) -> Ledger {
    let rules = Rules { model, guard: GUARD, headers: Headers::Heeded };
    Ledger::new(rules, Limits::new().tokens_per_minute(10_000), now)
}

fn models() -> [WindowModel; 3] {
    [WindowModel::Sliding, WindowModel::Bucket { capacity: 10_000 }, WindowModel::utilisation()]
}

fn send(ledger: &mut Ledger, now: Instant, tokens: u64) -> Booking {
    ledger.reserve(now, Charge::tokens(tokens));
    ledger.send(now, now, Charge::tokens(tokens))
}

/// So many tokens are left of so many.
fn told(limit: i64, left: i64) -> QuotaHeaders {
    let mut headers = http::HeaderMap::new();
    headers.insert("x-ratelimit-limit-tokens", limit.into());
    headers.insert("x-ratelimit-remaining-tokens", left.into());
    QuotaHeaders::read(&headers)
}

fn used(ledger: &Ledger, now: Instant) -> u64 {
    ledger.tokens(now).map(|(used, _)| used).unwrap_or_default()
}

#[test]
fn what_others_used_is_booked_once_and_what_was_sent_later_is_not_theirs() {
    for model in models() {
        let now = Instant::now();
        let mut ledger = ledger(model, now);
        let first = send(&mut ledger, now, 1_000);
        let second = send(&mut ledger, now + Duration::from_secs(1), 1_000);
        let later = now + Duration::from_secs(2);
        send(&mut ledger, later, 4_000);
        let before = used(&ledger, later);
        assert_eq!(ledger.hear(later, first, &told(10_000, 9_000)).others, 0, "{model:?}: the answer came late");
        let lesson = ledger.hear(later, first, &told(10_000, 7_000));
        assert_eq!(lesson.others, 2_000, "{model:?}");
        assert_eq!(used(&ledger, later), before + 2_000, "{model:?}");
        // The second call's answer tells of the same 2,000, and of 500 more.
        let lesson = ledger.hear(later, second, &told(10_000, 5_500));
        assert!((500..=667).contains(&lesson.others), "{model:?}: {lesson:?}, and what had flowed off by then");
        assert_eq!(ledger.others(later), 2_000 + lesson.others);
        let much_later = later + Duration::from_secs(61);
        assert_eq!((used(&ledger, much_later), ledger.others(much_later)), (0, 0), "{model:?}: it ages");
    }
}

#[test]
fn what_is_sent_within_the_guard_may_have_come_there_first() {
    let now = Instant::now();
    let mut ledger = ledger(WindowModel::Sliding, now);
    let first = send(&mut ledger, now, 1_000);
    send(&mut ledger, now + GUARD, 3_000);
    assert_eq!(ledger.hear(now + GUARD, first, &told(10_000, 6_000)).others, 0);
}

#[test]
fn a_share_of_a_larger_deployment_is_ours_whatever_others_do_with_theirs() {
    let now = Instant::now();
    let mut ledger = ledger(WindowModel::Sliding, now);
    let call = send(&mut ledger, now, 1_000);
    assert_eq!(ledger.hear(now, call, &told(50_000, 9_000)), Lesson::default());
    assert_eq!(ledger.hear(now, call, &told(50_000, 8_000)).others, 1_000, "there is less left than is ours");
}

#[test]
fn a_lowered_limit_is_obeyed_at_once_and_garbage_is_not() {
    for model in models() {
        let now = Instant::now();
        let mut ledger = ledger(model, now);
        let call = send(&mut ledger, now, 1_000);
        for garbage in [told(-1, -1), told(0, 0), QuotaHeaders::default()] {
            assert_eq!(ledger.hear(now, call, &garbage), Lesson::default(), "{model:?}");
        }
        assert_eq!(ledger.hear(now, call, &told(4_000, 3_000)).tokens, Some(4_000), "{model:?}");
        assert_eq!((ledger.learned().0, ledger.configured().tokens_per_minute), (Some(4_000), Some(10_000)));
        assert!(!ledger.can_ever(Charge::tokens(4_001)) || matches!(model, WindowModel::Utilisation { .. }));
        ledger.set_limits(Limits::new().tokens_per_minute(8_000), now);
        assert_eq!(ledger.learned().0, None, "until the next answer");
    }
}

#[test]
fn utilisation_is_compared_too() {
    let now = Instant::now();
    let mut ledger = ledger(WindowModel::Utilisation { window: MINUTE }, now);
    let call = send(&mut ledger, now, 1_000);
    let mut headers = http::HeaderMap::new();
    headers.insert("azure-openai-deployment-utilization", http::HeaderValue::from_static("30.0%"));
    let lesson = ledger.hear(now, call, &QuotaHeaders::read(&headers));
    assert!((1_990..=2_000).contains(&lesson.others), "{lesson:?}");
}

#[test]
fn who_is_told_to_ignores_the_headers() {
    let now = Instant::now();
    let mut ledger = ledger(WindowModel::Sliding, now);
    ledger.rules.headers = Headers::Ignored;
    let call = send(&mut ledger, now, 1_000);
    assert_eq!(ledger.hear(now, call, &told(10, -5_000)), Lesson::default());
}

proptest! {
    /// A server that counts as we do, with calls that overtake each other by less than the guard: nobody else is seen.
    #[test]
    fn nobody_is_taken_for_another(seed in any::<u64>()) {
        let dice = Generator::seeded(seed);
        let start = Instant::now();
        let mut ledger = ledger(WindowModel::Sliding, start);
        let mut now = start;
        let (mut arrivals, mut answers): (Vec<(Instant, u64)>, Vec<(Instant, Instant, Booking)>) = Default::default();
        for _ in 0..100 {
            now += Duration::from_millis((dice.fraction() * 400.0) as u64);
            let tokens = (dice.fraction() * 900.0) as u64;
            if ledger.fits(now, Charge::tokens(tokens)) {
                let booking = send(&mut ledger, now, tokens);
                let arrival = now + GUARD.mul_f64(dice.fraction());
                arrivals.push((arrival, tokens));
                answers.push((arrival + Duration::from_secs_f64(dice.fraction() * 5.0), arrival, booking));
            }
            let (come, waiting) = answers.into_iter().partition::<Vec<_>, _>(|(at, ..)| *at <= now);
            answers = waiting;
            for (_, arrival, booking) in come {
                let counted = arrivals.iter().filter(|(at, _)| *at <= arrival && arrival - *at < MINUTE);
                let counted: u64 = counted.map(|(_, tokens)| tokens).sum();
                let lesson = ledger.hear(now, booking, &told(10_000, 10_000 - counted as i64));
                prop_assert_eq!(lesson, Lesson::default());
            }
        }
    }
}
