use proptest::prelude::*;

use super::*;

const PACE: Pace = Pace { margin: Duration::from_secs(300), jitter: Duration::from_secs(60) };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn token(name: &str) -> Token {
    Token::bearer(name).unwrap()
}

/// Which token, and whether another one is asked for meanwhile.
fn used(refresh: &Refresh, now: Instant) -> Option<(u64, bool)> {
    match refresh.want(now) {
        Want::Use { lease, refreshes } => Some((lease.generation, refreshes)),
        Want::Wait | Want::None { .. } => None,
    }
}

#[test]
fn a_token_is_replaced_ahead_of_its_expiry_and_earlier_by_chance() {
    let now = Instant::now();
    for (lifetime, draw, refreshed_after) in
        [(3600, 0.0, 3300), (3600, 1.0, 3240), (3600, 0.5, 3270), (400, 0.0, 200), (10, 1.0, 5)]
    {
        let mut refresh = Refresh::new(PACE);
        assert!(matches!(refresh.want(now), Want::Wait));
        assert!(refresh.obtained(token("a").expires_at(now + seconds(lifetime)), now, draw));
        let at = |after| now + seconds(after);
        assert_eq!(used(&refresh, at(refreshed_after) - Duration::from_millis(1)), Some((1, false)));
        assert_eq!(used(&refresh, at(refreshed_after)), Some((1, true)));
        assert_eq!(used(&refresh, at(lifetime) - Duration::from_millis(1)), Some((1, true)));
        assert!(matches!(refresh.want(at(lifetime)), Want::Wait), "never one that has expired");
    }
    let mut refresh = Refresh::new(PACE);
    refresh.obtained(token("key"), now, 0.0);
    assert_eq!(used(&refresh, now + seconds(1_000_000)), Some((1, false)), "what never expires is kept");
}

#[test]
fn a_failure_fails_no_call_while_the_old_token_is_good_and_pauses_grow() {
    let now = Instant::now();
    let mut refresh = Refresh::new(PACE);
    refresh.obtained(token("a").expires_at(now + seconds(400)), now, 0.0);
    let due = now + seconds(200);
    refresh.failed(due, 0.0);
    assert_eq!(used(&refresh, due), Some((1, false)), "not asked again at once");
    assert_eq!(used(&refresh, due + seconds(1)), Some((1, true)));
    let mut at = now + seconds(400);
    for pause in [2, 4, 8, 16, 30, 30] {
        refresh.failed(at, 0.0);
        assert!(matches!(refresh.want(at), Want::None { until } if until == at + seconds(pause)));
        at += seconds(pause);
        assert!(matches!(refresh.want(at), Want::Wait));
    }
    refresh.failed(at, 1.0);
    assert!(matches!(refresh.want(at), Want::None { until } if until == at + Duration::from_millis(37_500)));
    refresh.obtained(token("b"), at, 0.0);
    assert_eq!(used(&refresh, at), Some((2, false)));
    refresh.failed(at, 0.0);
    refresh.refused(2, at);
    assert_eq!(used(&refresh, at), Some((2, false)), "better a refused one than none");
}

#[test]
fn a_token_that_comes_too_late_is_a_failure() {
    let now = Instant::now();
    let mut refresh = Refresh::new(PACE);
    assert!(!refresh.obtained(token("a").expires_at(now), now, 0.0));
    assert!(matches!(refresh.want(now), Want::None { until } if until == now + seconds(1)));
}

#[test]
fn a_refused_token_is_given_up_once_in_a_while_and_by_those_who_used_it() {
    let now = Instant::now();
    let mut refresh = Refresh::new(PACE);
    assert!(!refresh.refused(0, now), "there was none");
    refresh.obtained(token("a"), now, 0.0);
    assert!(refresh.refused(1, now));
    assert!(refresh.refused(1, now), "another call with the same one waits for the same");
    assert!(matches!(refresh.want(now), Want::Wait));
    refresh.obtained(token("b"), now, 0.0);
    assert!(refresh.refused(1, now), "a call that was under way has not tried the new one");
    assert_eq!(used(&refresh, now), Some((2, false)));
    assert!(!refresh.refused(2, now + seconds(29)), "so soon it is not the token");
    assert_eq!(used(&refresh, now + seconds(29)), Some((2, false)));
    assert!(refresh.refused(2, now + seconds(30)));
    refresh.obtained(token("b"), now + seconds(31), 0.0);
    assert_eq!(used(&refresh, now + seconds(31)), Some((2, false)), "the same one once more is no other");
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Pass(u64),
    Obtain { lifetime: Option<u64>, name: u8 },
    Fail,
    Refuse(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u64..400).prop_map(Step::Pass),
        (prop::option::of(0u64..4000), 0u8..4).prop_map(|(lifetime, name)| Step::Obtain { lifetime, name }),
        Just(Step::Fail),
        (0u64..3).prop_map(Step::Refuse),
    ]
}

proptest! {
    /// Whatever happens: no expired token is used, a good one never withheld but to replace one that was refused, and
    /// nobody is told to come back at an instant that has passed.
    #[test]
    fn what_is_used_is_good_and_what_is_good_is_used(steps in prop::collection::vec((step(), 0.0f64..=1.0), 0..60)) {
        let mut now = Instant::now();
        let mut refresh = Refresh::new(PACE);
        let mut given_up = Vec::new();
        for (step, draw) in steps {
            match step {
                Step::Pass(time) => now += seconds(time),
                Step::Obtain { lifetime, name } => {
                    let token = token(&format!("t{name}"));
                    let expiry = lifetime.map(|lifetime| now + seconds(lifetime));
                    refresh.obtained(expiry.map_or(token.clone(), |at| token.clone().expires_at(at)), now, draw);
                }
                Step::Fail => refresh.failed(now, draw),
                Step::Refuse(behind) => {
                    let was = refresh.is_refused();
                    refresh.refused(refresh.generation.saturating_sub(behind), now);
                    if !was && refresh.is_refused() {
                        given_up.push(now);
                    }
                }
            }
            match refresh.want(now) {
                Want::Use { lease, .. } => prop_assert!(lease.token.expiry().is_none_or(|at| now < at)),
                Want::Wait => prop_assert!(!refresh.is_good(now) || refresh.is_refused()),
                Want::None { until } => {
                    prop_assert!(!refresh.is_good(now) && until > now);
                    prop_assert!(until <= now + seconds(38));
                }
            }
        }
        for pair in given_up.windows(2) {
            prop_assert!(pair[1] >= pair[0] + BETWEEN_GIVING_UP, "no storm on the identity provider");
        }
    }
}
