//! No answer at all.

use super::*;
use crate::{Reason, Rejected, Timeout};

fn failure(error: impl Into<Error>) -> (Outcome, Outcome) {
    let error = error.into();
    let judge = |after| AZURE.failure(&error, after).outcome;
    (judge(false), judge(true))
}

#[test]
fn the_endpoints_failures() {
    let lost = (Outcome::Transient { hint: None }, Outcome::Broken);
    for timeout in [Timeout::Connect, Timeout::FirstByte, Timeout::FirstToken, Timeout::Idle, Timeout::Total] {
        assert_eq!(failure(timeout), lost, "{timeout:?}");
    }
    assert_eq!(failure(Error::Transport("reset".into())), lost);
}

#[test]
fn the_callers_deadline_is_not_the_endpoints_fault() {
    let cancelled = (Outcome::Cancelled, Outcome::Cancelled);
    assert_eq!(failure(Timeout::Deadline), cancelled);
}

#[test]
fn a_refusal_never_speaks_against_the_endpoints_health() {
    use Outcome::{Cancelled, ContextLength, Refused, TooLarge};
    let unknown = throttled(Scope::Unknown, None);
    let capacity = throttled(Scope::Capacity, None);
    for (reason, expected) in [
        (Reason::QueueFull, unknown),
        (Reason::QuotaSpent, unknown),
        (Reason::StartBy, unknown),
        (Reason::Deadline, unknown),
        (Reason::CircuitOpen, capacity),
        (Reason::NoEndpoint, capacity),
        (Reason::ShuttingDown, capacity),
        (Reason::NoCredential, capacity),
        (Reason::TooLarge, TooLarge),
        (Reason::ContextLength, ContextLength),
        (Reason::BodyTooLarge { limit: 1 }, Refused),
        (Reason::BudgetSpent, Refused),
        (Reason::Unsupported, Refused),
    ] {
        let (before, after) = failure(Rejected::new(reason, "test"));
        assert_eq!((before, after), (expected, Cancelled), "{reason:?}");
        assert!(!before.is_unhealthy(), "{reason:?}");
    }
}
