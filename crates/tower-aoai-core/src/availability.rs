//! How a balancer asks a layer when a call could start.

use std::{fmt, sync::Arc};

use tokio::time::Instant;

use crate::{CallContext, Rejected};

/// When a layer would let a call through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Enter now, and this layer starts the call at that instant (not before the asked one).
    At(Instant),
    /// The layer refuses, until the instant if it knows one.
    Shut(Option<Instant>),
}

/// How busy a layer's state is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Load {
    /// Calls sent and not yet ended.
    pub in_flight: usize,
    /// Calls that wait here.
    pub queued: usize,
}

impl Load {
    /// A load of so many calls in flight and so many waiting.
    #[must_use]
    pub const fn new(in_flight: usize, queued: usize) -> Self {
        Self { in_flight, queued }
    }
}

/// The shared state of a layer that admits calls: asked by a balancer before it chooses.
///
/// Asked of the state, not of a service, so that any layer may stand between the balancer and this one. An answer
/// promises nothing: the call may find another one was faster, and is then refused with nothing sent.
pub trait Availability: fmt::Debug + Send + Sync {
    /// When a call that reaches this layer at `from` would leave it again, downwards.
    ///
    /// Must not block, wait or reserve anything.
    fn admission(&self, call: &CallContext, from: Instant) -> Admission;

    /// How busy the state is.
    fn load(&self) -> Load;

    /// What this layer would say to a call that it will never let through, for the call's own sake: a caller is told that
    /// rather than that nobody has room. Default `None`: it is not that.
    ///
    /// Must not block, wait or reserve anything.
    fn refusal(&self, _call: &CallContext) -> Option<Rejected> {
        None
    }
}

/// A layer whose state can be asked.
pub trait Asked {
    /// The state that every service of this layer shares.
    fn availability(&self) -> Arc<dyn Availability>;
}

impl Admission {
    /// Folds the answers of several states, outermost first: each is asked for the instant at which the one before
    /// lets the call through; the first that is shut ends the fold.
    #[must_use]
    pub fn fold(states: &[Arc<dyn Availability>], call: &CallContext, from: Instant) -> Self {
        let mut at = from;
        for state in states {
            match state.admission(call, at) {
                Self::At(next) => at = at.max(next),
                shut @ Self::Shut(_) => return shut,
            }
        }
        Self::At(at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::Call;

    /// Holds each call for so many seconds, or refuses it.
    #[derive(Debug)]
    struct Gate(Result<u64, Option<Instant>>);

    impl Availability for Gate {
        fn admission(&self, _: &CallContext, from: Instant) -> Admission {
            match self.0 {
                Ok(seconds) => Admission::At(from + Duration::from_secs(seconds)),
                Err(until) => Admission::Shut(until),
            }
        }

        fn load(&self) -> Load {
            Load::default()
        }
    }

    /// Answers as if it were open since ever.
    #[derive(Debug)]
    struct Past(Instant);

    impl Availability for Past {
        fn admission(&self, _: &CallContext, _: Instant) -> Admission {
            Admission::At(self.0)
        }

        fn load(&self) -> Load {
            Load::new(1, 2)
        }
    }

    fn fold(gates: Vec<Gate>, from: Instant) -> Admission {
        let states: Vec<_> = gates.into_iter().map(|gate| Arc::new(gate) as Arc<dyn Availability>).collect();
        Admission::fold(&states, &CallContext::new(Call::default(), from), from)
    }

    #[test]
    fn each_state_is_asked_for_the_instant_at_which_the_one_before_lets_go() {
        let now = Instant::now();
        assert_eq!(fold(vec![], now), Admission::At(now));
        assert_eq!(fold(vec![Gate(Ok(2)), Gate(Ok(0)), Gate(Ok(3))], now), Admission::At(now + Duration::from_secs(5)));
        let until = Some(now + Duration::from_secs(9));
        assert_eq!(fold(vec![Gate(Ok(2)), Gate(Err(until)), Gate(Err(None))], now), Admission::Shut(until));
    }

    #[test]
    fn nothing_starts_before_it_was_asked_for() {
        let now = Instant::now();
        let later = now + Duration::from_secs(4);
        let states: [Arc<dyn Availability>; 1] = [Arc::new(Past(now))];
        let call = CallContext::new(Call::default(), now);
        assert_eq!(Admission::fold(&states, &call, later), Admission::At(later));
        assert_eq!(states[0].load(), Load::new(1, 2));
    }

    proptest! {
        #[test]
        fn waits_add_up_and_the_first_refusal_stands(
            gates in prop::collection::vec(prop::result::maybe_ok(0u64..1000, Just(None)), 0..8),
        ) {
            let now = Instant::now();
            let expected = gates.iter().try_fold(now, |at, gate| gate.map(|seconds| at + Duration::from_secs(seconds)));
            let expected = expected.map_or_else(Admission::Shut, Admission::At);
            prop_assert_eq!(fold(gates.into_iter().map(Gate).collect(), now), expected);
        }
    }
}
