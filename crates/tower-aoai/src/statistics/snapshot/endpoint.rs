//! An endpoint at one instant.

use std::sync::Arc;

use serde::Serialize;
use tower_aoai_cost::Tokens;

use crate::statistics::{Outcomes, Spread};

/// One endpoint.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct EndpointSnapshot {
    /// Its name; `other` for all that found no room.
    pub name: Arc<str>,
    /// Whether it is paid for by the hour.
    pub is_provisioned: bool,
    /// Its base URL.
    pub base_url: Option<Arc<str>>,
    /// Its circuit.
    pub breaker: Option<BreakerSnapshot>,
    /// Its quota.
    pub quota: Option<QuotaSnapshot>,
    /// Its place in a balancer.
    pub member: Option<MemberSnapshot>,
    /// Its credential, where that is a token.
    pub credential: Option<CredentialSnapshot>,
    /// For how long it has answered that key, deployment or network rules are wrong, and no call well.
    pub misconfigured_for_seconds: Option<f64>,
    /// Attempts by outcome, since the statistics were made.
    pub attempts: Outcomes,
    /// Calls that were refused below the statistics, with nothing sent.
    pub unsent: u64,
    /// Tokens that its answers said they used.
    pub tokens: Tokens,
    /// From the send to the head of good answers, in seconds.
    pub first_byte_seconds: Option<Spread>,
    /// From the send to the end of good answers, in seconds.
    pub duration_seconds: Option<Spread>,
}

/// A circuit.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BreakerSnapshot {
    /// `closed`, `throttled`, `open` or `half_open`.
    pub state: &'static str,
    /// For how long calls are refused.
    pub opens_in_seconds: Option<f64>,
    /// Why it last changed.
    pub last_change: Option<String>,
    /// For how long it has been so.
    pub since_seconds: Option<f64>,
    /// How often it opened by itself.
    pub opened: u64,
    /// Successes.
    pub healthy: u64,
    /// Failures.
    pub unhealthy: u64,
    /// Calls refused here.
    pub refused: u64,
    /// Calls let through as probes.
    pub probes: u64,
}

/// A quota.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct QuotaSnapshot {
    /// Tokens in their window.
    pub tokens_used: u64,
    /// What the window holds; `null` without a limit, as below.
    pub tokens_limit: Option<u64>,
    /// Requests in their window.
    pub requests_used: u64,
    /// What their window holds.
    pub requests_limit: Option<u64>,
    /// The fuller of the two.
    pub used_share: f64,
    /// The most of it in the last hour; looked at once a second.
    pub peak_share: f64,
    /// Calls let through that have not ended.
    pub in_flight: u64,
    /// How many may be.
    pub in_flight_limit: Option<u64>,
    /// Calls that wait.
    pub queued: u64,
    /// How long the calls let through have waited, together.
    pub waited_seconds: f64,
    /// How long one of them has at the most.
    pub longest_wait_seconds: f64,
    /// Calls let through.
    pub granted: u64,
    /// Calls refused when they came.
    pub denied: u64,
    /// Calls refused while they waited.
    pub shed: u64,
    /// Answers by which the server refused for its quota.
    pub throttled: u64,
    /// For how long the server asked not to be asked.
    pub gate_seconds: Option<f64>,
    /// Tokens that others were seen to use in the last minute.
    pub others_tokens: u64,
    /// How much of the limit is used, where the server refused what was let through.
    pub held_back_share: f64,
    /// The tokens per minute that are configured.
    pub configured_tokens_per_minute: Option<u64>,
    /// The requests per minute that are configured.
    pub configured_requests_per_minute: Option<u64>,
    /// The tokens per minute that the server tells, where that is something else.
    pub learned_tokens_per_minute: Option<u64>,
    /// The requests per minute that the server tells, where that is something else than is configured.
    pub learned_requests_per_minute: Option<u64>,
}

/// A place in a balancer. Where several legs share the endpoint, sums over them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MemberSnapshot {
    /// The tier, 0 being the most preferred; the least of several.
    pub tier: usize,
    /// Whether it takes no new calls.
    pub is_draining: bool,
    /// Calls that have not ended.
    pub in_flight: usize,
    /// How likely the next call fails, as the last seconds tell; the most of several.
    pub failing_share: f64,
    /// Calls handed to it.
    pub entered: u64,
    /// Whose answer began well.
    pub answered: u64,
    /// That failed for its own reasons.
    pub failed: u64,
    /// That the server refused for a quota.
    pub throttled: u64,
    /// That were answered that the configuration is wrong.
    pub misconfigured: u64,
    /// The deployments for which it is left alone, because they were found misconfigured.
    pub out_of_rotation: Vec<OutOfRotation>,
}

/// A deployment that is left alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OutOfRotation {
    /// As requests name it.
    pub deployment: Option<Arc<str>>,
    /// For how long it has been.
    pub since_seconds: f64,
    /// When one call tries it again.
    pub tried_in_seconds: f64,
}

/// A credential that is a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CredentialSnapshot {
    /// Whether there is one that has not expired.
    pub is_good: bool,
    /// Tokens obtained.
    pub obtained: u64,
    /// Times none could be obtained.
    pub failures: u64,
    /// What the last failure was.
    pub last_failure: Option<Arc<str>>,
}
