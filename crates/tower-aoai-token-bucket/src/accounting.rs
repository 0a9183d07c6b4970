//! What becomes of a charge.

use std::fmt;

use tower_aoai_core::Call;

use crate::{Estimate, Prediction};

/// What is reserved for a call, and what of it stands when it is over: how the server accounts.
///
/// Must not block.
///
/// ```
/// use tower_aoai_token_bucket::{Accounting, Quota, Used};
///
/// /// A server that gives back half of what was not used.
/// #[derive(Debug)]
/// struct HalfBack;
///
/// impl Accounting for HalfBack {
///     fn settle(&self, charge: u64, used: Used) -> Option<u64> {
///         used.reported.map(|used| used.midpoint(charge))
///     }
/// }
///
/// let quota = Quota::standard(150_000).accounting(HalfBack);
/// ```
pub trait Accounting: fmt::Debug + Send + Sync {
    /// What is reserved for a call, in tokens; `learned` is how long answers to calls like it were, where that is known.
    /// Default: the [estimate](Estimate::charge).
    fn charge(&self, call: &Call, estimate: &dyn Estimate, learned: &dyn Fn() -> Option<Prediction>) -> u64 {
        let _ = learned;
        estimate.charge(call)
    }

    /// What a sent call of this charge is settled for; `None`: the charge stands.
    fn settle(&self, charge: u64, used: Used) -> Option<u64>;
}

/// What is known of a sent call's use, in tokens as the quota counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Used {
    /// What the server said; 0 of what it refused for want of quota, or let another deployment serve.
    pub reported: Option<u64>,
    /// Of a stream that ended before the server said it: the prompt's estimate, and a token for each event with content
    /// that was handed on. Rather too little: an event may carry several.
    pub seen: Option<u64>,
}

impl Used {
    /// What the server said.
    #[must_use]
    pub const fn reported(tokens: u64) -> Self {
        Self { reported: Some(tokens), seen: None }
    }
}

/// The server charges the estimate and gives nothing back: Azure's standard deployments, where no refund is documented.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChargeEstimate;

impl Accounting for ChargeEstimate {
    fn settle(&self, _: u64, _: Used) -> Option<u64> {
        None
    }
}

/// The server corrects the charge, up or down, by what was used: Azure's provisioned deployments. What it refuses for want
/// of quota it does not charge (Azure's documentation: a call comes to the utilisation when it is let in).
///
/// A call that does not limit its output is charged what answers to calls like it took on average, once some are known:
/// Azure's documentation says that the service estimates a value then, and not which. Where an answer tells no usage the
/// estimate stands; of a stream that was left half-way, what was seen of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CorrectOnCompletion;

impl Accounting for CorrectOnCompletion {
    fn charge(&self, call: &Call, estimate: &dyn Estimate, learned: &dyn Fn() -> Option<Prediction>) -> u64 {
        if call.max_output_tokens.is_none()
            && let Some(learned) = learned()
        {
            let output = (learned.mean() * call.choices.max(1) as f64).ceil() as u64;
            return estimate.charge_of(call, output);
        }
        estimate.charge(call)
    }

    fn settle(&self, _: u64, used: Used) -> Option<u64> {
        used.reported.or(used.seen)
    }
}
