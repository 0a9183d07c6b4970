//! Who served a call.

use std::{sync::Arc, time::Duration};

/// Who served a call, and what it went through: an extension of the response that leaves
/// [`PrepareLayer`](crate::PrepareLayer).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// The endpoint that a balancer chose last.
    pub endpoint: Option<Arc<str>>,
    /// Its tier, 0 being the most preferred.
    pub tier: Option<usize>,
    /// The leg that a fallback chose last.
    pub leg: Option<Arc<str>>,
    /// Attempts sent.
    pub attempts: usize,
    /// Time spent waiting here: for hints, backoff and quota.
    pub waited: Duration,
    /// The deployment, provisioned, from which the call was spilled.
    pub spilled_from: Option<Arc<str>>,
    /// The model that answered.
    pub model: Option<Arc<str>>,
}
