//! The quota models alone, at instants of the test's own making.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;
use tower_aoai_simulator::{
    Estimate,
    quota::{
        FixedWindow, ProvisionedQuota, QuotaSnapshot, RefusalReason, RequestLimit, RequestWindow, SlidingWindow,
        StandardQuota, TokenBucket, TokenLimit,
    },
};

const MINUTE: Duration = Duration::from_secs(60);
const NANOSECOND: Duration = Duration::from_nanos(1);

/// Requests: how long after the one before, and what it is charged.
fn arrivals() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0_u64..40_000, 1_u64..4_000), 1..120)
}

/// The arrivals that were admitted: their instants from the start, in milliseconds, and charges.
fn admitted(
    arrivals: &[(u64, u64)],
    start: Instant,
    mut admit: impl FnMut(Instant, u64) -> Result<(), Duration>,
) -> Vec<(u64, u64)> {
    let mut at = 0;
    let mut admitted = Vec::new();
    for (gap, charge) in arrivals {
        at += gap;
        if admit(start + Duration::from_millis(at), *charge).is_ok() {
            admitted.push((at, *charge));
        }
    }
    admitted
}

#[test]
fn bucket_reproduces_the_captured_figures() {
    let now = Instant::now();
    let mut bucket = TokenBucket::per_minute(333_000, now);
    bucket.charge(now, 333_000 + 27_689);
    assert_eq!(bucket.balance(now), -27_689);
    assert_eq!(bucket.until_admitted(now).as_secs(), 4);
    assert_eq!(bucket.until_full(now).as_secs(), 64);

    let mut bucket = TokenBucket::per_minute(1_500_000, now);
    bucket.charge(now, 1_500_000 - 745_399);
    assert_eq!(bucket.balance(now), 745_399);
    assert_eq!(bucket.until_full(now).as_secs(), 30);
    assert_eq!(bucket.until_admitted(now), Duration::ZERO);

    let mut requests = RequestWindow::new(5, RequestLimit::Fixed(MINUTE), now);
    requests.count(now);
    assert_eq!(requests.remaining_shown(now), 4);
    assert_eq!(requests.until_full(now).as_secs(), 12);

    let mut requests = RequestWindow::new(9_000, RequestLimit::default(), now);
    requests.count(now);
    assert_eq!(requests.remaining_shown(now), 8_999);
    assert_eq!(requests.until_full(now).as_secs(), 0);
    assert_eq!(requests.window(), Duration::from_secs(10));
}

#[test]
fn six_hundred_a_minute_over_a_second_is_ten() {
    let now = Instant::now();
    let second = Duration::from_secs(1);
    let mut requests = RequestWindow::new(600, RequestLimit::Fixed(second), now);
    for _ in 0..10 {
        assert!(requests.check(now).is_ok());
        requests.count(now);
    }
    let wait = requests.check(now + Duration::from_millis(400)).unwrap_err();
    assert_eq!(wait, Duration::from_millis(600));
    assert!(requests.check(now + second).is_ok());
    // The headers still look generous while the window is spent.
    assert_eq!(requests.remaining_shown(now), 590);
    assert_eq!(requests.remaining_in_window(now), 10);
}

#[test]
fn fixed_window_is_reset_at_its_phase() {
    let start = Instant::now();
    let phase = Duration::from_secs(7);
    let mut window = FixedWindow::new(100, MINUTE, phase, start);
    assert!(window.admit(start, 150).is_ok());
    assert_eq!(window.remaining(start), -50);
    assert_eq!(window.admit(start, 1), Err(phase));
    assert!(window.check(start + phase - NANOSECOND).is_err());
    assert!(window.admit(start + phase, 99).is_ok());
    assert!(window.admit(start + phase, 99).is_ok());
    assert_eq!(window.admit(start + phase, 1), Err(MINUTE));
}

#[test]
fn refused_requests_count_where_they_should() {
    let start = Instant::now();
    let ten = Duration::from_secs(10);
    for (count, expected) in [(true, 0), (false, 1)] {
        let requests = RequestWindow::new(12, RequestLimit::Sliding(ten), start);
        let quota = StandardQuota::new(1_000, TokenLimit::Bucket, Some(requests), start);
        let mut quota = quota.count_refused(count);
        assert!(quota.admit(start, 1_000).is_ok());
        let refusal = quota.admit(start, 10).unwrap_err();
        assert_eq!(refusal.reason, RefusalReason::Tokens);
        // Two a window: whether the refused one was the second decides over the third.
        let third = quota.admit(start + Duration::from_secs(1), 10);
        assert_eq!(i32::from(third.is_ok()), expected, "count_refused({count})");
    }
}

#[test]
fn a_request_larger_than_the_minute_is_told_a_day() {
    let start = Instant::now();
    let mut quota = StandardQuota::new(1_000, TokenLimit::Bucket, None, start);
    let refusal = quota.admit(start, 1_001).unwrap_err();
    assert_eq!(refusal.reason, RefusalReason::TooLarge);
    assert_eq!(refusal.retry_after.as_secs(), 86_400);
    let QuotaSnapshot::Standard { remaining_tokens, .. } = quota.snapshot(start) else { panic!("not standard") };
    assert_eq!(remaining_tokens, 1_000, "a refused request is not debited");
}

#[test]
fn a_halved_quota_is_in_force_at_once() {
    let start = Instant::now();
    let mut bucket = TokenBucket::per_minute(60_000, start);
    bucket.set_rate(start, 30_000);
    assert_eq!(bucket.balance(start), 30_000);
    bucket.charge(start, 30_000);
    assert_eq!(bucket.until_full(start), MINUTE);
}

#[test]
fn utilisation_rises_is_corrected_and_drains() {
    let start = Instant::now();
    // 15 units of 2,500: 37,500 weighted tokens a minute, of which a minute's make 100 %.
    let mut quota = ProvisionedQuota::new(37_500, 4, MINUTE, start);
    let estimate = quota.weigh(1_500, 4_500);
    assert_eq!(estimate, 19_500);
    assert!(quota.admit(start, estimate).is_ok());
    assert!((quota.utilisation(start) - 52.0).abs() < 1e-9);
    assert!(quota.admit(start, estimate).is_ok(), "bursts may rise above 100 %");
    assert!((quota.utilisation(start) - 104.0).abs() < 1e-9);
    // 1,500 above 37,500 drain at 625 a second.
    assert_eq!(quota.admit(start, 1), Err(Duration::from_millis(2_400)));
    quota.correct(start, estimate, quota.weigh(1_500, 500));
    assert!(quota.utilisation(start) < 62.0);
    quota.correct(start, 0, 23_000);
    assert!(quota.utilisation(start) > 100.0, "corrections go up, too");
    let idle = quota.until_idle(start);
    assert!(quota.utilisation(start + idle) == 0.0);
    assert!(quota.utilisation(start + idle - NANOSECOND) > 0.0);
}

#[test]
fn the_estimate_is_characters_over_four_plus_output_times_choices() {
    let exact = Estimate::default();
    assert_eq!(exact.charge(401, Some(100), 3, 0.0), 101 + 300);
    assert_eq!(exact.charge(400, None, 1, 0.0), 116);
    let biased = exact.bias(1.08);
    assert_eq!(biased.charge_counted(1_000, Some(50), 1, 0.0), 1_130);
    let noisy = exact.noise(0.1);
    assert_eq!(noisy.charge_counted(1_000, Some(0), 1, -1.0), 900);
    assert_eq!(noisy.charge_counted(1_000, Some(0), 1, -100.0), 0, "never below nothing");
}

proptest! {
    #[test]
    fn fixed_window_overshoots_by_one_request_at_most(
        arrivals in arrivals(), limit in 1_u64..20_000, phase in 0_u64..120_000,
    ) {
        let start = Instant::now();
        let mut window =
            FixedWindow::new(limit, MINUTE, Duration::from_millis(phase), start);
        let admitted = admitted(&arrivals, start, |now, charge| window.admit(now, charge));
        let lead = (60_000 - phase % 60_000) % 60_000;
        let mut sums = std::collections::HashMap::<u64, (u64, u64)>::new();
        for (at, charge) in admitted {
            let (sum, last) = sums.entry((at + lead) / 60_000).or_default();
            *sum += charge;
            *last = charge;
        }
        for (sum, last) in sums.into_values() {
            prop_assert!(sum - last < limit, "{sum} with {last} last is beyond {limit}");
        }
    }

    #[test]
    fn sliding_window_overshoots_by_one_request_at_most(
        arrivals in arrivals(), limit in 1_u64..20_000,
    ) {
        let start = Instant::now();
        let mut window = SlidingWindow::new(limit, MINUTE);
        let admitted = admitted(&arrivals, start, |now, charge| window.admit(now, charge));
        for (index, (at, _)) in admitted.iter().enumerate() {
            let before: u64 = admitted[..index]
                .iter()
                .filter(|(other, _)| other + 60_000 > *at)
                .map(|(_, charge)| charge)
                .sum();
            prop_assert!(before < limit);
        }
    }

    #[test]
    fn bucket_admits_no_more_than_it_held_and_got(
        arrivals in arrivals(), rate in 1_u64..20_000, capacity in 1_u64..20_000,
    ) {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(rate, MINUTE, capacity, start);
        let admitted = admitted(&arrivals, start, |now, charge| bucket.admit(now, charge));
        let mut sum = 0;
        for (at, charge) in admitted {
            let got = capacity * 60_000 + rate * at;
            prop_assert!(sum * 60_000 < got, "admitted with nothing left");
            sum += charge;
        }
    }

    /// Whatever the model, a refusal's time is the first at which it is no refusal.
    #[test]
    fn hints_are_exact(
        arrivals in arrivals(), limit in 1_u64..20_000, phase in 0_u64..120_000,
        window in 1_u64..120,
    ) {
        let start = Instant::now();
        let window = Duration::from_secs(window);
        let mut fixed = FixedWindow::new(limit, window, Duration::from_millis(phase), start);
        let mut sliding = SlidingWindow::new(limit, window);
        let mut bucket = TokenBucket::new(limit, window, limit, start);
        let mut provisioned = ProvisionedQuota::new(limit, 4, window, start);
        let mut now = start;
        for (gap, charge) in arrivals {
            now += Duration::from_millis(gap);
            if let Err(wait) = fixed.admit(now, charge) {
                prop_assert!(fixed.clone().check(now + wait).is_ok());
                prop_assert!(fixed.clone().check(now + wait - NANOSECOND).is_err());
            }
            if let Err(wait) = sliding.admit(now, charge) {
                prop_assert!(sliding.clone().check(now + wait).is_ok());
                prop_assert!(sliding.clone().check(now + wait - NANOSECOND).is_err());
            }
            if let Err(wait) = bucket.admit(now, charge) {
                prop_assert!(bucket.clone().admit(now + wait, 1).is_ok());
                prop_assert!(bucket.clone().admit(now + wait - NANOSECOND, 1).is_err());
            }
            if let Err(wait) = provisioned.admit(now, charge) {
                prop_assert!(provisioned.clone().admit(now + wait, 1).is_ok());
                prop_assert!(provisioned.clone().admit(now + wait - NANOSECOND, 1).is_err());
            }
        }
    }

    /// What is shown as remaining is the same whether or not somebody touched the model between.
    #[test]
    fn looking_changes_nothing(arrivals in arrivals(), limit in 1_u64..20_000, later in 0_u64..200_000) {
        let start = Instant::now();
        let later = Duration::from_millis(later);
        let mut fixed = FixedWindow::new(limit, MINUTE, Duration::ZERO, start);
        let mut sliding = SlidingWindow::new(limit, MINUTE);
        let mut now = start;
        for (gap, charge) in arrivals {
            now += Duration::from_millis(gap);
            let _ = fixed.admit(now, charge);
            let _ = sliding.admit(now, charge);
        }
        let (seen, mut touched) = (fixed.remaining(now + later), fixed.clone());
        let _ = touched.check(now + later);
        prop_assert_eq!(seen, touched.remaining(now + later));
        let (seen, mut touched) = (sliding.remaining(now + later), sliding.clone());
        let _ = touched.check(now + later);
        prop_assert_eq!(seen, touched.remaining(now + later));
    }

    /// Instants in any order, charges of any size: nothing panics, and the past refills nothing.
    #[test]
    fn time_may_go_backwards(
        steps in prop::collection::vec((0_u64..200_000, any::<u64>()), 1..60), limit in any::<u64>(),
        window in any::<u64>(), phase in any::<u64>(),
    ) {
        let start = Instant::now();
        let window = Duration::from_nanos(window);
        let phase = Duration::from_nanos(phase);
        let mut fixed = FixedWindow::new(limit, window, phase, start);
        let mut sliding = SlidingWindow::new(limit, window);
        let mut bucket = TokenBucket::new(limit, window, limit, start);
        let mut provisioned = ProvisionedQuota::new(limit, limit, window, start);
        let requests = RequestWindow::new(limit, RequestLimit::Sliding(window), start);
        let mut quota = StandardQuota::new(
            limit, TokenLimit::FixedMinute { phase }, Some(requests), start,
        );
        for (at, charge) in steps {
            let now = start + Duration::from_millis(at);
            let _ = fixed.admit(now, charge);
            let _ = sliding.admit(now, charge);
            let _ = bucket.admit(now, charge);
            let _ = provisioned.admit(now, charge);
            let _ = quota.admit(now, charge);
            provisioned.correct(now, charge, charge / 2);
            let earlier = start;
            prop_assert!(bucket.balance(earlier) <= bucket.balance(now));
            let _ = (fixed.remaining(earlier), fixed.until_reset(earlier));
            let _ = (sliding.remaining(earlier), sliding.until_empty(earlier));
            let _ = (bucket.until_full(earlier), bucket.until_admitted(earlier));
            let _ = (provisioned.utilisation(earlier), provisioned.until_idle(earlier));
            let _ = quota.snapshot(earlier);
            bucket.set_rate(now, charge);
            quota.set_tokens_per_minute(now, charge);
            quota.set_requests_per_minute(now, charge);
        }
    }

    #[test]
    fn estimates_never_panic(
        characters in any::<u64>(), output in any::<Option<u64>>(), choices in any::<u64>(),
        normal in any::<f64>(), bias in any::<f64>(), noise in any::<f64>(), per in any::<f64>(),
    ) {
        let estimate = Estimate::default().bias(bias).noise(noise).characters_per_token(per);
        let _ = estimate.charge(characters, output, choices, normal);
    }

    #[test]
    fn utilisation_always_drains_to_zero(
        costs in prop::collection::vec((0_u64..5_000, 0_u64..100_000, 0_u64..100_000), 1..40),
        rate in 1_u64..1_000_000,
    ) {
        let start = Instant::now();
        let mut quota = ProvisionedQuota::new(rate, 4, MINUTE, start);
        let mut now = start;
        for (gap, estimate, actual) in costs {
            now += Duration::from_millis(gap);
            if quota.admit(now, estimate).is_ok() {
                quota.correct(now, estimate, actual);
            }
        }
        let idle = quota.until_idle(now);
        prop_assert!(quota.utilisation(now + idle) == 0.0);
        prop_assert!(idle.is_zero() || quota.utilisation(now + idle - NANOSECOND) > 0.0);
    }
}
