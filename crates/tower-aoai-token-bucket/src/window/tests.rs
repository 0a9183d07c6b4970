use proptest::prelude::*;
use tower_aoai_core::{Generator, later};

use super::*;

const GUARD: Duration = Duration::from_millis(100);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The sliding window as one would write it without a thought for time or memory.
#[derive(Debug, Clone, Default)]
struct Naive {
    sent: Vec<(Instant, u64)>,
    unsent: u64,
}

impl Naive {
    fn used(&self, now: Instant, span: Duration) -> u64 {
        let young = self.sent.iter().filter(|(at, _)| now.saturating_duration_since(*at) < span);
        young.map(|(_, charge)| charge).sum::<u64>() + self.unsent
    }

    fn earliest(&self, now: Instant, span: Duration, limit: u64, charge: u64) -> Option<Instant> {
        if charge > limit {
            return None;
        }
        let mut with = self.clone();
        with.sent.push((now, with.unsent));
        with.unsent = 0;
        let mut instants: Vec<_> = with.sent.iter().map(|(at, _)| *at + span).filter(|at| *at > now).collect();
        instants.push(now);
        instants.sort();
        instants.into_iter().find(|at| with.used(*at, span) + charge <= limit)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Grant(u64),
    Send { which: usize, ago: u64 },
    Cancel(usize),
    Correct { which: usize, actual: u64 },
    Limit(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u64..40_000).prop_map(Step::Pass),
        (0u64..1_200).prop_map(Step::Grant),
        (any::<usize>(), 0u64..3_000).prop_map(|(which, ago)| Step::Send { which, ago }),
        any::<usize>().prop_map(Step::Cancel),
        (any::<usize>(), 0u64..1_500).prop_map(|(which, actual)| Step::Correct { which, actual }),
        (1u64..2_000).prop_map(Step::Limit),
    ]
}

proptest! {
    #[test]
    fn l1_l7_l8_l11_sliding_is_the_naive_window(steps in prop::collection::vec(step(), 1..120)) {
        let start = Instant::now();
        let (mut now, mut limit) = (start, 1_000);
        let span = MINUTE + GUARD;
        let mut window = Sliding::new(limit, MINUTE, GUARD, now);
        let mut naive = Naive::default();
        let mut reserved: Vec<u64> = Vec::new();
        let mut booked: Vec<(Mark, usize, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Pass(time) => now += millis(time),
                Step::Grant(charge) => {
                    let at = window.earliest(now, charge);
                    prop_assert_eq!(at, naive.earliest(now, span, limit, charge));
                    if at == Some(now) {
                        window.reserve(charge);
                        naive.unsent += charge;
                        reserved.push(charge);
                        prop_assert!(naive.used(now, span) <= limit);
                    }
                }
                Step::Send { which, ago } if !reserved.is_empty() => {
                    let charge = reserved.swap_remove(which % reserved.len());
                    let sent = now.checked_sub(millis(ago)).unwrap_or(now).max(start);
                    let mark = window.send(now, sent, charge);
                    naive.unsent -= charge;
                    let still = naive.sent.iter().filter(|(at, _)| now.saturating_duration_since(*at) < span);
                    let at = still.map(|(at, _)| *at).fold(sent, Instant::max);
                    naive.sent.push((at, charge));
                    booked.push((mark, naive.sent.len() - 1, charge));
                }
                Step::Cancel(which) if !reserved.is_empty() => {
                    let charge = reserved.swap_remove(which % reserved.len());
                    window.cancel(charge);
                    naive.unsent -= charge;
                }
                Step::Correct { which, actual } if !booked.is_empty() => {
                    let (mark, index, charge) = booked.swap_remove(which % booked.len());
                    window.correct(now, mark, charge, actual);
                    if actual > charge {
                        naive.sent.push((now, actual - charge));
                    } else {
                        naive.sent[index].1 = actual;
                    }
                }
                Step::Limit(to) => {
                    limit = to;
                    window.set(limit, MINUTE, GUARD);
                }
                _ => {}
            }
            prop_assert_eq!(window.used(now), naive.used(now, span));
        }
    }

    #[test]
    fn l8_late_refunds_never_break_the_buckets_window(seed in any::<u64>()) {
        let dice = Generator::seeded(seed);
        let start = Instant::now();
        let (rate, capacity) = (6_000, 1_000);
        let mut bucket = Bucket::new(rate, capacity, Duration::ZERO, start);
        let mut now = start;
        let mut sends: Vec<(Instant, u64)> = Vec::new();
        let mut open: Vec<(Mark, usize)> = Vec::new();
        for _ in 0..80 {
            now += millis((dice.fraction() * 4_000.0) as u64);
            let charge = 1 + (dice.fraction() * 999.0) as u64;
            if bucket.earliest(now, charge) == Some(now) {
                bucket.reserve(charge);
                open.push((bucket.send(now, now, charge), sends.len()));
                sends.push((now, charge));
            }
            if dice.fraction() < 0.5 && !open.is_empty() {
                let (mark, index) = open.swap_remove((dice.fraction() * open.len() as f64) as usize);
                let actual = (sends[index].1 as f64 * dice.fraction()) as u64;
                bucket.correct(now, mark, sends[index].1, actual);
                sends[index].1 = actual;
            }
            for from in 0..sends.len() {
                let sum: u64 = sends[from..].iter().map(|(_, charge)| charge).sum();
                let flowed = (now - sends[from].0).as_nanos() * u128::from(rate) / MINUTE.as_nanos();
                prop_assert!(u128::from(sum) <= u128::from(capacity) + flowed + 1, "{sum} in {:?}", now - sends[from].0);
            }
        }
    }

    #[test]
    fn l7_the_buckets_instant_is_exact(seed in any::<u64>(), capacity in 1u64..20_000) {
        let dice = Generator::seeded(seed);
        let mut now = Instant::now();
        let mut bucket = Bucket::new(6_000, capacity, GUARD, now);
        for _ in 0..50 {
            let charge = (dice.fraction() * 6_000.0) as u64;
            let at = bucket.earliest(now, charge).expect("a minute's tokens fit");
            if at > now {
                prop_assert!(bucket.earliest(at - Duration::from_nanos(1), charge) > Some(at - Duration::from_nanos(1)));
            }
            prop_assert_eq!(bucket.earliest(at, charge), Some(at));
            now = at;
            bucket.reserve(charge);
            bucket.send(now, now, charge);
        }
    }

    #[test]
    fn l9_no_instant_and_no_amount_is_too_strange(
        amounts in prop::collection::vec(prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()], 12),
        jumps in prop::collection::vec(prop_oneof![Just(0i64), Just(-86_400), Just(3_000_000_000), -100i64..100], 6),
    ) {
        let start = Instant::now();
        let windows = [
            Tokens::Sliding(Sliding::new(amounts[0], MINUTE, GUARD, start)),
            Tokens::Bucket(Bucket::new(amounts[0], amounts[1], GUARD, start)),
            Tokens::Utilisation(Utilisation::new(amounts[0], Duration::MAX, Duration::MAX, start)),
            Tokens::Utilisation(Utilisation::new(amounts[0], MINUTE, GUARD, start)),
        ];
        for mut window in windows {
            let mut now = start;
            for (jump, pair) in jumps.iter().zip(amounts.chunks(2)) {
                let by = Duration::from_secs(jump.unsigned_abs());
                now = if *jump < 0 { now.checked_sub(by).unwrap_or(now) } else { later(now, by) };
                let before = window.used(now);
                let _ = window.earliest_behind(now, pair[1], pair[0]);
                prop_assert_eq!(window.used(now), before, "asking changes nothing");
                window.reserve(pair[0]);
                let mark = window.send(now, now, pair[0]);
                window.correct(now, mark, pair[0], pair[1]);
                window.cancel(pair[1]);
            }
        }
    }
}

#[test]
fn l1_holds_over_any_minute_in_millions_of_steps() {
    let dice = Generator::seeded(7);
    let (limit, start) = (100_000, Instant::now());
    let mut window = Sliding::new(limit, MINUTE, Duration::ZERO, start);
    let mut last_minute = std::collections::VecDeque::new();
    let (mut now, mut sum, mut granted) = (start, 0, 0u64);
    for _ in 0..2_000_000 {
        now += Duration::from_micros((dice.fraction() * 30_000.0) as u64);
        let charge = (dice.fraction() * 800.0) as u64;
        while let Some((at, old)) = last_minute.front().copied()
            && now.saturating_duration_since(at) >= MINUTE
        {
            last_minute.pop_front();
            sum -= old;
        }
        // Both ways: what fits is granted, and what does not fit is not.
        let fits = window.earliest(now, charge) == Some(now);
        assert_eq!(fits, sum + charge <= limit);
        if fits {
            window.reserve(charge);
            window.send(now, now, charge);
            last_minute.push_back((now, charge));
            sum += charge;
            granted += charge;
        }
    }
    assert!(granted > 400 * limit);
}

#[test]
fn l10_what_never_fits_is_told_so() {
    let now = Instant::now();
    assert_eq!(Sliding::new(10, MINUTE, GUARD, now).earliest(now, 11), None);
    assert_eq!(Bucket::new(100, 10, GUARD, now).earliest(now, 101), None);
    assert!(Bucket::new(100, 10, GUARD, now).earliest(now, 100).is_some(), "a debt may be left");
    assert_eq!(Utilisation::new(0, MINUTE, GUARD, now).largest(), 0);
}

#[test]
fn a_minutes_requests_are_shared_out_among_their_windows() {
    let now = Instant::now();
    let window = |per_minute, seconds| {
        let window = Sliding::of_requests(per_minute, Duration::from_secs(seconds), Duration::ZERO, now);
        (window.limit(), window.span())
    };
    assert_eq!(window(600, 1), (10, Duration::from_secs(1)));
    assert_eq!(window(300, 10), (50, Duration::from_secs(10)));
    assert_eq!(window(5, 10), (1, Duration::from_secs(12)), "one in twelve seconds");
    assert_eq!(window(0, 10).0, 0);
}

#[test]
fn utilisation_is_corrected_on_completion_and_drains() {
    let now = Instant::now();
    let mut level = Utilisation::new(6_000, MINUTE, Duration::ZERO, now);
    level.reserve(9_000);
    let mark = level.send(now, now, 9_000);
    assert_eq!(level.earliest(now, 1), Some(now + Duration::from_secs(30)), "3,000 above, 100 a second");
    level.correct(now, mark, 9_000, 6_500);
    assert_eq!(level.earliest(now, 1), Some(now + Duration::from_secs(5)));
    assert_eq!(level.used(now + Duration::from_secs(600)), 0);
}

#[test]
fn a_share_of_a_provisioned_deployment_is_filled_less_but_drains_as_it_is_paid_for() {
    let now = Instant::now();
    let mut held = Utilisation::new(6_000, MINUTE, Duration::ZERO, now);
    let mut free = held.clone();
    held.hold(0.97);
    for second in 0..600 {
        let at = now + Duration::from_secs(second);
        for level in [&mut held, &mut free] {
            level.reserve(100);
            level.send(at, at, 100);
        }
    }
    let end = now + Duration::from_secs(600);
    assert_eq!(held.used(end), free.used(end), "the mirror does not drift away from the server");
    assert!(held.earliest_behind(end, 5_900, 1) > Some(end) && free.earliest_behind(end, 5_900, 1) == Some(end));
}

#[test]
fn a_share_leaves_what_fits_an_empty_window() {
    let now = Instant::now();
    let windows = [
        Tokens::Sliding(Sliding::new(1_000, MINUTE, Duration::ZERO, now)),
        Tokens::Bucket(Bucket::new(1_000, 1_000, Duration::ZERO, now)),
    ];
    for mut window in windows {
        window.hold(now, 0.97);
        assert_eq!((window.largest(), window.limit()), (1_000, 1_000));
        assert_eq!(window.earliest(now, 1_000), Some(now), "not more than there is, if more than is used");
        window.reserve(500);
        window.send(now, now, 500);
        let at = window.earliest(now, 600).expect("it fits in time");
        window.hold(now, 1.0);
        assert!(window.earliest(now, 600) <= Some(at));
    }
    assert_eq!(part_of(i128::from(u64::MAX), 1.0), i128::from(u64::MAX));
    assert_eq!(part_of(1_000, 0.5), 500);
}
