//! Which leg a call goes to, as a pure state machine: each is entered at most once, in order.

use crate::{Failure, leg::Rule};

/// Where a call is in its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chain {
    leg: usize,
}

impl Chain {
    pub(crate) const fn first() -> Self {
        Self { leg: 0 }
    }

    /// The leg that the call is in.
    pub(crate) const fn leg(self) -> usize {
        self.leg
    }

    /// The leg that a call with this failure would go to: the first one behind whose condition accepts it.
    pub(crate) fn next(self, rules: &[Rule], failure: &Failure<'_>) -> Option<Self> {
        let mut behind = rules.iter().enumerate().skip(self.leg + 1);
        behind.find(|(_, rule)| rule.condition.accepts(failure)).map(|(leg, _)| Self { leg })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tower_aoai_core::{LegFailure, Outcome, Reason, Scope};

    use super::*;
    use crate::Condition;

    const THROTTLED: LegFailure = LegFailure::Outcome(Outcome::Throttled { hint: None, scope: Scope::Unknown });

    fn rule(condition: Condition) -> Rule {
        Rule { condition, ..Rule::new("leg".into()) }
    }

    #[test]
    fn a_leg_whose_condition_does_not_hold_is_passed_over() {
        let too_long = Condition::when(|failure| failure.cause == LegFailure::Outcome(Outcome::ContextLength));
        let rules = [rule(Condition::elsewhere()), rule(too_long), rule(Condition::elsewhere())];
        let next = |cause| Chain::first().next(&rules, &Failure::local("leg", cause)).map(Chain::leg);
        assert_eq!(next(THROTTLED), Some(2));
        assert_eq!(next(LegFailure::Outcome(Outcome::ContextLength)), Some(1));
        assert_eq!(next(LegFailure::Outcome(Outcome::Refused)), None);
        assert_eq!(next(LegFailure::Rejected(Reason::Deadline)), None);
    }

    proptest! {
        #[test]
        fn no_leg_is_entered_twice_and_the_chain_ends(accepts in prop::collection::vec(any::<bool>(), 1..12)) {
            let rules: Vec<_> = accepts.iter().map(|&accepts| rule(Condition::when(move |_| accepts))).collect();
            let mut entered = vec![0];
            let mut chain = Chain::first();
            while let Some(next) = chain.next(&rules, &Failure::local("leg", THROTTLED)) {
                prop_assert!(next.leg() > chain.leg());
                chain = next;
                entered.push(chain.leg());
            }
            let expected: Vec<_> = (0..accepts.len()).filter(|&leg| leg == 0 || accepts[leg]).collect();
            prop_assert_eq!(entered, expected);
        }
    }
}
