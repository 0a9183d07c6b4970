//! From what was seen of a call to how it ended.

use tower_aoai_core::{Outcome, Reason, Timeout};

use crate::telemetry::CallEnding;

/// How a call came to its end, as the layer at its door saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// Its future or its body was dropped.
    Dropped,
    /// Its body was read to the end.
    Read,
    /// A layer refused it.
    Refused { reason: Reason, by: &'static str },
    /// A time limit ran out.
    TimedOut(Timeout),
    /// There was another error, which means this.
    Failed(Outcome),
}

/// What was seen of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) last: Last,
    /// What the head of its answer means; `None` where none came.
    pub(super) head: Option<Outcome>,
    /// What an observer says of the attempt that answered, or that was made last.
    pub(super) observed: Option<Outcome>,
    pub(super) has_content: bool,
}

pub(super) fn ending(seen: Seen) -> CallEnding {
    let Seen { last, head, observed, has_content } = seen;
    match last {
        Last::Refused { reason, by } => CallEnding::Refused { reason, by },
        Last::TimedOut(timeout) => CallEnding::TimedOut(timeout),
        Last::Failed(_) if has_content => CallEnding::BrokenOff,
        // Where the server answered well, or the attempt was given up, a layer above it has made the error.
        Last::Failed(means) => {
            let knows_better = |outcome: &Outcome| !matches!(outcome, Outcome::Success | Outcome::Cancelled);
            CallEnding::Failed(observed.filter(knows_better).unwrap_or(means))
        }
        Last::Read | Last::Dropped => match (head, observed) {
            (None, _) => CallEnding::Cancelled,
            (Some(Outcome::Success), None) if last == Last::Dropped => CallEnding::Cancelled,
            (Some(head), observed) => match observed.unwrap_or(head) {
                Outcome::Success => CallEnding::Answered,
                Outcome::Cancelled => CallEnding::Cancelled,
                Outcome::Broken => CallEnding::BrokenOff,
                outcome => CallEnding::Failed(outcome),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSIENT: Outcome = Outcome::Transient { hint: None };

    fn of(last: Last, head: Option<Outcome>, observed: Option<Outcome>, has_content: bool) -> CallEnding {
        ending(Seen { last, head, observed, has_content })
    }

    #[test]
    fn an_answer_is_what_its_observer_says_and_without_one_what_its_head_says() {
        let good = Some(Outcome::Success);
        for (last, head, observed, expected) in [
            (Last::Read, good, good, CallEnding::Answered),
            (Last::Read, good, None, CallEnding::Answered),
            (Last::Dropped, good, good, CallEnding::Answered),
            (Last::Dropped, good, None, CallEnding::Cancelled),
            (Last::Dropped, good, Some(Outcome::Cancelled), CallEnding::Cancelled),
            (Last::Dropped, None, None, CallEnding::Cancelled),
            (Last::Dropped, None, Some(TRANSIENT), CallEnding::Cancelled),
            (Last::Read, good, Some(TRANSIENT), CallEnding::Failed(TRANSIENT)),
            (Last::Read, Some(Outcome::Refused), None, CallEnding::Failed(Outcome::Refused)),
            (Last::Dropped, Some(Outcome::Refused), None, CallEnding::Failed(Outcome::Refused)),
            (Last::Read, good, Some(Outcome::Broken), CallEnding::BrokenOff),
        ] {
            assert_eq!(of(last, head, observed, true), expected, "{last:?} {head:?} {observed:?}");
        }
    }

    #[test]
    fn an_error_is_broken_off_behind_content_and_else_what_the_last_attempt_came_to() {
        let failed = Last::Failed(TRANSIENT);
        assert_eq!(of(failed, Some(Outcome::Success), Some(Outcome::Broken), true), CallEnding::BrokenOff);
        assert_eq!(of(failed, None, None, false), CallEnding::Failed(TRANSIENT));
        let known = Outcome::Misconfigured;
        assert_eq!(of(failed, None, Some(known), false), CallEnding::Failed(known));
        for of_no_use in [Outcome::Success, Outcome::Cancelled] {
            assert_eq!(of(failed, None, Some(of_no_use), false), CallEnding::Failed(TRANSIENT));
        }
        let refused = Last::Refused { reason: Reason::QueueFull, by: "token-bucket" };
        let expected = CallEnding::Refused { reason: Reason::QueueFull, by: "token-bucket" };
        assert_eq!(of(refused, None, Some(TRANSIENT), false), expected);
        let late = Last::TimedOut(Timeout::Deadline);
        assert_eq!(of(late, Some(Outcome::Success), None, true), CallEnding::TimedOut(Timeout::Deadline));
    }
}
