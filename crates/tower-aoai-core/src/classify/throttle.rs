//! What ran out, and how long to wait for it.

use std::{
    iter,
    time::{Duration, SystemTime},
};

use http::HeaderMap;

use super::{error_body::ErrorBody, words};
use crate::{Call, Hint, HintSource, QuotaHeaders, Scope};

/// Whether the error says that something ran out, whatever the status.
pub(super) fn is_throttle(error: &ErrorBody<'_>) -> bool {
    error.status == Some(429)
        || error.is_coded(words::THROTTLED_CODES)
        || error.is_coded(words::CAPACITY_CODES)
        || error.says(words::THROTTLED_WORDS)
}

/// What ran out. The first that applies:
///
/// 1. a code or the words of missing capacity: the region's;
/// 2. a deployment utilisation among the headers: a provisioned deployment;
/// 3. `x-ratelimit-type`, or the message's "token rate limit", "call rate limit";
/// 4. of the two remaining figures one is used up and the other is not;
/// 5. only if `infer_provisioned`: `retry-after-ms` and `x-ms-deployment-name` without any `x-ratelimit-*`, which is
///    how provisioned deployments were seen to answer;
/// 6. unknown.
pub(super) fn scope(
    headers: &HeaderMap,
    quota: &QuotaHeaders,
    error: &ErrorBody<'_>,
    infer_provisioned: bool,
) -> Scope {
    let says_capacity = error.is_coded(words::CAPACITY_CODES) || error.says(words::CAPACITY_WORDS);
    if says_capacity {
        return Scope::Capacity;
    }
    if quota.utilization.is_some() {
        return Scope::Provisioned;
    }
    if let Some(exhausted) = quota.exhausted {
        return exhausted;
    }
    if error.says(words::TOKENS_WORDS) {
        return Scope::Tokens;
    }
    if error.says(words::REQUESTS_WORDS) {
        return Scope::Requests;
    }
    let is_spent = |remaining: Option<i64>| remaining.map(|remaining| remaining <= 0);
    match (is_spent(quota.tokens.remaining), is_spent(quota.requests.remaining)) {
        (Some(true), Some(false) | None) => return Scope::Tokens,
        (Some(false) | None, Some(true)) => return Scope::Requests,
        _ => {}
    }
    let looks_provisioned =
        !tells_quota(headers) && headers.contains_key("retry-after-ms") && headers.contains_key("x-ms-deployment-name");
    if infer_provisioned && looks_provisioned { Scope::Provisioned } else { Scope::Unknown }
}

/// Whether there is any quota header, readable or not: `-1` is a standard deployment's word too.
fn tells_quota(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with("x-ratelimit-"))
}

/// Every hint of an answer, in the order in which they count; the message's words come last.
pub(super) fn hints(headers: &HeaderMap, error: &ErrorBody<'_>, now: SystemTime) -> impl Iterator<Item = Hint> {
    Hint::all(headers, now).chain(iter::once_with(|| error.hint()).flatten())
}

/// The first hint, corrected where it is zero.
///
/// Azure was seen to answer a spent token quota with `retry-after-ms: 0`, `retry-after: 1` and `reset-tokens: 0`,
/// although the window needs up to a minute; clients that obeyed stormed. A zero therefore counts as unsaid: the
/// wait is the longest of the other hints and `until_it_fits`, and unknown if there is neither.
pub(super) fn corrected(
    mut hints: impl Iterator<Item = Hint>,
    until_it_fits: impl FnOnce() -> Option<Duration>,
) -> Option<Hint> {
    let first = hints.next()?;
    if !first.after.is_zero() {
        return Some(first);
    }
    let computed = until_it_fits().map(|after| Hint { after, source: HintSource::QuotaHeaders });
    computed.into_iter().chain(hints).filter(|hint| !hint.after.is_zero()).max_by_key(|hint| hint.after) // of equals the last: the server's own
}

/// How long until the call fits, by the quota headers: at most `window`. `None` where they do not say.
///
/// Tokens flow back evenly over the window. Requests, where they are what ran out, are waited for until their reset,
/// or for a whole renewal period: when the server begins a new one is not known.
pub(super) fn until_it_fits(call: &Call, quota: &QuotaHeaders, scope: Scope, window: Duration) -> Option<Duration> {
    if matches!(scope, Scope::Capacity | Scope::Provisioned) {
        return None;
    }
    let tokens = quota.tokens.time_until(call.estimated_tokens(), window);
    let out_of_requests = scope == Scope::Requests || quota.requests.remaining.is_some_and(|left| left <= 0);
    let requests = if out_of_requests {
        let reset = quota.requests.reset.filter(|reset| !reset.is_zero());
        reset.or(quota.requests.renewal_period)
    } else {
        None
    };
    tokens.max(requests).map(|wait| wait.min(window))
}
