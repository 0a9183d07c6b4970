//! After which failures a call comes to a leg.

use std::{fmt, sync::Arc};

use tower_aoai_core::{Error, LegFailure, Outcome, Reason, classify::ResponseHead};

/// How the leg before failed: what a [`Condition`] decides by.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Failure<'a> {
    /// The leg that failed.
    pub leg: &'a str,
    /// What its failure means.
    pub cause: LegFailure,
    /// The head of its answer, if the server gave one.
    pub head: Option<ResponseHead<'a>>,
    /// Its error, if there is no answer.
    pub error: Option<&'a Error>,
}

impl<'a> Failure<'a> {
    pub(crate) const fn local(leg: &'a str, cause: LegFailure) -> Self {
        Self { leg, cause, head: None, error: None }
    }
}

/// After which failures of the leg before a call comes to this one.
///
/// ```
/// use tower_aoai_core::{LegFailure, Outcome};
/// use tower_aoai_fallback::Condition;
///
/// // A model with a larger window, for prompts that are too long and for nothing else. It takes an `ObserveLayer` below
/// // to see that a 400 says so.
/// let too_long = Condition::when(|failure| failure.cause == LegFailure::Outcome(Outcome::ContextLength));
/// ```
///
/// Whatever it says, a call that was answered, whose first content was handed on, or whose caller's own mistake it is
/// that the server refuses ([`Outcome::Refused`]) with the default, goes nowhere.
#[derive(Clone, Default)]
pub struct Condition {
    /// `None`: [`Condition::elsewhere`].
    predicate: Option<Arc<Predicate>>,
}

type Predicate = dyn Fn(&Failure<'_>) -> bool + Send + Sync;

impl Condition {
    /// After whatever another endpoint may do better, which is the default: the endpoint is throttled, has failed, is
    /// misconfigured or too small for the call; a layer refused because of its quota, its health or the call's start-by.
    ///
    /// Not after what would fail anywhere: a content filter, the caller's own mistakes, a deadline, a budget.
    #[must_use]
    pub const fn elsewhere() -> Self {
        Self { predicate: None }
    }

    /// After failures of which `predicate` says so. It must not block or panic.
    #[must_use]
    pub fn when(predicate: impl Fn(&Failure<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self { predicate: Some(Arc::new(predicate)) }
    }

    /// Whether a call with this failure comes to the leg.
    #[must_use]
    pub fn accepts(&self, failure: &Failure<'_>) -> bool {
        match &self.predicate {
            None => may_be_served_elsewhere(failure.cause),
            Some(predicate) => predicate(failure),
        }
    }
}

pub(crate) const fn may_be_served_elsewhere(cause: LegFailure) -> bool {
    match cause {
        LegFailure::Outcome(outcome) => matches!(
            outcome,
            Outcome::Throttled { .. }
                | Outcome::TooLarge
                | Outcome::Transient { .. }
                | Outcome::Misconfigured
                | Outcome::ContextLength
        ),
        LegFailure::Rejected(reason) => matches!(
            reason,
            Reason::ContextLength
                | Reason::TooLarge
                | Reason::QueueFull
                | Reason::QuotaSpent
                | Reason::StartBy
                | Reason::CircuitOpen
                | Reason::NoEndpoint
                | Reason::NoCredential
                | Reason::Unsupported
        ),
        LegFailure::KnownFull { .. } => true,
        _ => false,
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.predicate.is_some() { "Condition::when(..)" } else { "Condition::elsewhere()" })
    }
}

#[cfg(test)]
mod tests {
    use tower_aoai_core::Scope;

    use super::*;

    fn accepts(cause: LegFailure) -> bool {
        Condition::elsewhere().accepts(&Failure::local("a", cause))
    }

    #[test]
    fn the_default_is_the_table_of_outcomes() {
        let throttled = Outcome::Throttled { hint: None, scope: Scope::Unknown };
        for outcome in [
            throttled,
            Outcome::TooLarge,
            Outcome::Transient { hint: None },
            Outcome::Misconfigured,
            Outcome::ContextLength,
        ] {
            assert!(accepts(LegFailure::Outcome(outcome)), "{outcome:?}");
        }
        for outcome in [Outcome::Success, Outcome::Broken, Outcome::Refused, Outcome::Cancelled] {
            assert!(!accepts(LegFailure::Outcome(outcome)), "{outcome:?}");
        }
    }

    #[test]
    fn what_would_be_refused_anywhere_goes_nowhere() {
        for reason in [Reason::Deadline, Reason::BudgetSpent, Reason::ShuttingDown, Reason::BodyTooLarge { limit: 1 }] {
            assert!(!accepts(LegFailure::Rejected(reason)), "{reason:?}");
        }
        for reason in [Reason::QueueFull, Reason::StartBy, Reason::CircuitOpen, Reason::NoEndpoint, Reason::TooLarge] {
            assert!(accepts(LegFailure::Rejected(reason)), "{reason:?}");
        }
    }

    #[test]
    fn a_predicate_overrules_the_default_both_ways() {
        let refused = Failure::local("a", LegFailure::Outcome(Outcome::Refused));
        assert!(Condition::when(|failure| failure.leg == "a").accepts(&refused));
        let broken = Failure::local("a", LegFailure::Outcome(Outcome::Misconfigured));
        assert!(!Condition::when(|failure| failure.leg == "b").accepts(&broken));
    }
}
