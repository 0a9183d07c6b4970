//! What it means that there is no answer.

use crate::{Error, Outcome, Reason, Scope, Timeout};

/// Judges an error of a service.
///
/// The deadline is the caller's: that it passed says nothing of the endpoint. Any other time limit, and whatever the
/// transport has to say, is the endpoint's failure.
pub(super) fn judge(error: &Error, after_content: bool) -> Outcome {
    match error {
        Error::Timeout(Timeout::Deadline) => Outcome::Cancelled,
        Error::Rejected(_) if after_content => Outcome::Cancelled,
        Error::Rejected(rejected) => refused_here(rejected.reason()),
        Error::Timeout(_) | Error::Transport(_) if after_content => Outcome::Broken,
        Error::Timeout(_) | Error::Transport(_) => Outcome::Transient { hint: None },
    }
}

/// What a refusal by a layer below means to the one above.
///
/// Nothing was sent, so it never speaks against the endpoint's health. That the same call would be let through later,
/// or elsewhere, is a throttle; when, is said by [`Rejected::opens_at`](crate::Rejected::opens_at), an instant, and
/// not by a hint, which would have to be read with a clock.
fn refused_here(reason: Reason) -> Outcome {
    let throttled = |scope| Outcome::Throttled { hint: None, scope };
    match reason {
        Reason::QueueFull | Reason::QuotaSpent | Reason::StartBy | Reason::Deadline => throttled(Scope::Unknown),
        Reason::CircuitOpen | Reason::NoEndpoint | Reason::NoCredential | Reason::ShuttingDown => {
            throttled(Scope::Capacity)
        }
        Reason::TooLarge => Outcome::TooLarge,
        Reason::ContextLength => Outcome::ContextLength,
        Reason::BodyTooLarge { .. } | Reason::BudgetSpent | Reason::Unsupported => Outcome::Refused,
    }
}
