//! Sequences of failures of every kind, held to what the policy promises.

use proptest::prelude::*;
use tower_aoai_core::{Hint, Scope};

use super::*;
use crate::{Backoff, RetryOn};

/// One thing that happens to a call: after `gap`, a try fails.
#[derive(Debug, Clone)]
struct Step {
    gap: Duration,
    what: What,
    draw: f64,
}

#[derive(Debug, Clone)]
enum What {
    Throttled(Option<Duration>),
    Transient(Option<Duration>),
    Refused,
    /// Throttled, and a balancer names an instant so far ahead.
    Elsewhere(Duration),
    /// Refused here, until so long before or after now.
    Closed(Option<i32>),
}

fn what() -> impl Strategy<Value = What> {
    let wait = || (0u64..200_000).prop_map(Duration::from_millis);
    prop_oneof![
        prop::option::of(wait()).prop_map(What::Throttled),
        prop::option::of(wait()).prop_map(What::Transient),
        Just(What::Refused),
        wait().prop_map(What::Elsewhere),
        prop::option::of(-5000i32..150_000).prop_map(What::Closed),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0u64..10_000, what(), 0.0f64..1.0).prop_map(|(gap, what, draw)| Step {
        gap: Duration::from_millis(gap),
        what,
        draw,
    });
    prop::collection::vec(step, 1..20)
}

fn hint(after: Duration) -> Hint {
    Hint { after, source: HintSource::RetryAfterMs }
}

proptest! {
    #[test]
    fn whatever_happens_no_promise_is_broken(
        steps in steps(),
        max in 1u32..6,
        only_throttled: bool,
        cap in prop::option::of(1u64..150),
        elapsed in prop::option::of(1u64..600),
        deadline in prop::option::of(1u64..600),
        start_by in prop::option::of(1u64..600),
        expected in 0u64..20,
    ) {
        let start = Instant::now();
        let seconds = Duration::from_secs;
        let policy = RetryPolicy::new()
            .max_attempts(max)
            .hint_cap(cap.map(seconds))
            .elapsed_limit(elapsed.map(seconds))
            .expected_service(seconds(expected))
            .retry_on(if only_throttled { RetryOn::Throttled } else { RetryOn::Transient });
        let limits = Limits {
            deadline: deadline.map(|after| start + seconds(after)),
            start_by: start_by.map(|after| start + seconds(after)),
            expected_service: seconds(expected),
        };
        let (mut session, mut now, mut sends) = (Session::new(start), start, 0);
        for Step { gap, what, draw } in steps {
            now += gap;
            let rejected;
            let scope = Scope::Unknown;
            let attempt = |outcome: Outcome, retry_at| Failure::Attempt { verdict: outcome.into(), retry_at };
            // The failure, the least wait it asks for, and whether the server or a layer named it.
            let (failure, least, is_named) = match what {
                What::Throttled(wait) => {
                    let outcome = Outcome::Throttled { hint: wait.map(hint), scope };
                    (attempt(outcome, None), wait, wait.is_some_and(|wait| !wait.is_zero()))
                }
                What::Transient(wait) => {
                    (attempt(Outcome::Transient { hint: wait.map(hint) }, None), wait, false)
                }
                What::Refused => (attempt(Outcome::Refused, None), None, false),
                What::Elsewhere(wait) => {
                    let outcome = Outcome::Throttled { hint: Some(hint(seconds(500))), scope };
                    (attempt(outcome, Some(now + wait)), Some(wait), true)
                }
                What::Closed(until) => {
                    let plain = Rejected::new(Reason::CircuitOpen, "test");
                    rejected = match until {
                        Some(ms) if ms >= 0 => plain.until(now + Duration::from_millis(u64::from(ms.unsigned_abs()))),
                        Some(_) => plain.until(now),
                        None => plain,
                    };
                    let least = rejected.opens_at().map(|at| at.saturating_duration_since(now));
                    (Failure::Refusal(&rejected), least, true)
                }
            };
            let is_sent = matches!(failure, Failure::Attempt { .. });
            sends += u32::from(is_sent);
            let decision = session.after(failure, &policy, limits, now, draw);
            prop_assert_eq!(session.sends(), sends);
            let over_cap = |wait: Duration| cap.is_some_and(|cap| wait > seconds(cap));
            match decision {
                Ok(retry) => {
                    prop_assert!(sends < max);
                    prop_assert_eq!(retry.at, now + retry.delay);
                    prop_assert!(least.is_none_or(|least| retry.delay >= least && !over_cap(least)));
                    prop_assert!(limits.check(retry.at).is_ok());
                    prop_assert!(elapsed.is_none_or(|most| retry.at <= start + seconds(most)));
                    prop_assert_eq!(retry.budgeted, !is_named);
                    prop_assert!(!only_throttled || !matches!(what, What::Transient(_)));
                    now = retry.at;
                }
                Err(why) => {
                    let is_one_to_try_again = match what {
                        What::Refused => false,
                        What::Transient(_) => !only_throttled,
                        What::Closed(until) => until.is_some(),
                        What::Throttled(_) | What::Elsewhere(_) => true,
                    };
                    prop_assert_eq!(why == GiveUp::Final, !is_one_to_try_again);
                    let is_sent_out = max == 1 || (is_sent && sends >= max);
                    prop_assert_eq!(why == GiveUp::Attempts, is_one_to_try_again && is_sent_out);
                    if why == GiveUp::HintCap && is_named {
                        prop_assert!(least.is_some_and(over_cap) || cap.is_some_and(|cap| cap < 8));
                    }
                    return Ok(());
                }
            }
        }
    }

    #[test]
    fn extreme_waits_neither_panic_nor_come_early(
        wait in any::<Duration>(),
        share in any::<f64>(),
        draw in 0.0f64..1.0,
        transient: bool,
    ) {
        let policy = RetryPolicy::new()
            .hint_cap(None)
            .elapsed_limit(None)
            .hint_jitter(share)
            .backoff(Backoff::constant(Duration::ZERO));
        let hint = Some(hint(wait));
        let outcome = if transient {
            Outcome::Transient { hint }
        } else {
            Outcome::Throttled { hint, scope: Scope::Tokens }
        };
        let now = Instant::now();
        let failure = Failure::Attempt { verdict: outcome.into(), retry_at: None };
        match Session::new(now).after(failure, &policy, Limits::default(), now, draw) {
            Ok(retry) => prop_assert!(retry.delay >= wait),
            Err(why) => prop_assert_eq!(why, GiveUp::HintCap),
        }
    }
}
