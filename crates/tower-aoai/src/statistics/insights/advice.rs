//! What to do about it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::Serialize;

use super::{ENOUGH_CALLS, ENOUGH_OUTPUTS, Insights, Reservation};
use crate::statistics::{Activity, activity::share, snapshot::EndpointSnapshot};

/// Something to be changed, with the figures that speak for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Recommendation {
    /// A short name that stays: `lower_max_tokens`, `raise_max_tokens`, `more_quota`, `lower_configured_quota`,
    /// `more_provisioned`, `less_quota`, `larger_window`, `fix_configuration`.
    pub code: &'static str,
    /// Which model or endpoint.
    pub subject: Arc<str>,
    /// What to do and why, for people.
    pub words: String,
    /// The figures behind it. Times in seconds, shares from 0 to 1.
    pub figures: BTreeMap<&'static str, f64>,
}

impl Recommendation {
    fn new<const N: usize>(
        code: &'static str,
        subject: impl Into<Arc<str>>,
        words: String,
        figures: [(&'static str, f64); N],
    ) -> Self {
        Self { code, subject: subject.into(), words, figures: figures.into() }
    }
}

/// `lower_max_tokens (gpt-4o): …`.
impl fmt::Display for Recommendation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.code, self.subject, self.words)
    }
}

pub(super) fn on(insights: &Insights, hour: &Activity, endpoints: &[EndpointSnapshot]) -> Vec<Recommendation> {
    let mut all: Vec<_> =
        insights.reservations.iter().filter_map(|reservation| on_reservation(reservation, endpoints)).collect();
    all.extend(endpoints.iter().filter_map(on_configuration));
    if hour.calls >= ENOUGH_CALLS {
        all.extend(on_quota(insights, hour, endpoints));
        all.extend(endpoints.iter().filter_map(|endpoint| on_throttling(insights, endpoint)));
        all.extend(on_spills(insights, hour));
        all.extend(on_truncation(insights, hour));
    }
    all
}

/// The next multiple of 64 that leaves a little room.
fn rounded_up(tokens: u64) -> u64 {
    tokens.max(1).div_ceil(64).saturating_mul(64)
}

/// What the quotas that count by tokens and are not provisioned have together: tokens and requests a minute.
fn quotas(endpoints: &[EndpointSnapshot]) -> (u64, Option<u64>) {
    let quotas: Vec<_> = endpoints
        .iter()
        .filter(|endpoint| !endpoint.is_provisioned)
        .filter_map(|endpoint| endpoint.quota)
        .filter_map(|quota| {
            let tokens = quota.learned_tokens_per_minute.or(quota.configured_tokens_per_minute)?;
            Some((tokens, quota.configured_requests_per_minute))
        })
        .collect();
    let requests: Option<u64> = quotas.iter().map(|(_, requests)| *requests).sum();
    (quotas.iter().map(|(tokens, _)| tokens).sum(), requests.filter(|_| !quotas.is_empty()))
}

fn on_reservation(reservation: &Reservation, endpoints: &[EndpointSnapshot]) -> Option<Recommendation> {
    let Reservation { model, calls, mean_reserved, mean_used, times_used, p99_used, cut_share, mean_prompt, .. } =
        reservation;
    if *calls < ENOUGH_OUTPUTS {
        return None;
    }
    if *cut_share > 0.05 {
        let words = format!(
            "{:.0} % of the answers are as long as they may be, {mean_reserved:.0} tokens: raise max_tokens where they should not be cut",
            cut_share * 100.0
        );
        let figures = [("cut_share", *cut_share), ("mean_reserved", *mean_reserved), ("calls", *calls as f64)];
        return Some(Recommendation::new("raise_max_tokens", Arc::clone(model), words, figures));
    }
    let suggested = rounded_up(*p99_used);
    // Where a hundredth is cut already, nobody knows how long the longest would be.
    if *cut_share > 0.01 || *times_used < 1.5 || suggested as f64 > mean_reserved * 0.8 {
        return None;
    }
    let (charge, lower) = (mean_prompt + mean_reserved, mean_prompt + suggested as f64);
    let (tokens, requests) = quotas(endpoints);
    let most = |charge: f64| {
        let by_tokens = tokens as f64 / charge.max(1.0);
        requests.map_or(by_tokens, |requests| by_tokens.min(requests as f64))
    };
    let (serves, would_serve) = (most(charge), most(lower));
    let factor = if tokens > 0 { would_serve / serves.max(f64::MIN_POSITIVE) } else { charge / lower };
    let mut words = format!(
        "you reserve {times_used:.1}x what you use: 99 of 100 answers have at most {p99_used} tokens. Lower max_tokens from {mean_reserved:.0} to {suggested}"
    );
    if factor > 1.05 {
        words.push_str(&format!(" and serve {factor:.1}x the calls"));
    }
    if tokens > 0 {
        words.push_str(&format!(" ({would_serve:.0} a minute instead of {serves:.0})"));
    }
    let figures = [
        ("calls", *calls as f64),
        ("mean_reserved", *mean_reserved),
        ("mean_used", *mean_used),
        ("mean_prompt", *mean_prompt),
        ("p99_used", *p99_used as f64),
        ("suggested_max_tokens", suggested as f64),
        ("times_used", *times_used),
        ("times_the_calls", factor),
        ("calls_per_minute", serves),
        ("calls_per_minute_then", would_serve),
    ];
    Some(Recommendation::new("lower_max_tokens", Arc::clone(model), words, figures))
}

fn on_configuration(endpoint: &EndpointSnapshot) -> Option<Recommendation> {
    let is_wrong = endpoint.misconfigured_for_seconds.is_some()
        || endpoint.member.as_ref().is_some_and(|member| !member.out_of_rotation.is_empty());
    let count = endpoint.attempts.misconfigured;
    is_wrong.then(|| {
        let words =
            format!("it has answered {count} times that key, deployment or network rules are wrong: correct them");
        Recommendation::new("fix_configuration", Arc::clone(&endpoint.name), words, [("answers", count as f64)])
    })
}

fn on_quota(insights: &Insights, hour: &Activity, endpoints: &[EndpointSnapshot]) -> Option<Recommendation> {
    let peak = insights.peaks.quota_share;
    let has_quota = endpoints.iter().any(|endpoint| {
        endpoint.quota.is_some_and(|quota| quota.tokens_limit.is_some() || quota.requests_limit.is_some())
    });
    let Insights { waited_share, mean_wait_seconds, .. } = *insights;
    let refused_share = hour.share(hour.refused);
    if has_quota && peak >= 0.95 && (waited_share > 0.1 || refused_share > 0.01) {
        let words = format!(
            "{:.0} % of the calls waited, {mean_wait_seconds:.1} s each, and {:.1} % were refused, with up to {:.0} % of a quota in use: more quota, another endpoint, or smaller reservations",
            waited_share * 100.0,
            refused_share * 100.0,
            peak * 100.0
        );
        let figures = [
            ("waited_share", waited_share),
            ("mean_wait_seconds", mean_wait_seconds),
            ("refused_share", refused_share),
            ("peak_quota_share", peak),
        ];
        return Some(Recommendation::new("more_quota", "quota", words, figures));
    }
    let provisioned = endpoints.iter().find(|endpoint| endpoint.is_provisioned && endpoint.quota.is_some())?;
    let quota = provisioned.quota?;
    let is_idle = quota.peak_share < 0.3 && provisioned.attempts.total() >= ENOUGH_CALLS;
    is_idle.then(|| {
        let words = format!(
            "at most {:.0} % of it were in use in the last hour, and it is paid for by the hour: less would do, or more could be sent there",
            quota.peak_share * 100.0
        );
        let figures = [("peak_quota_share", quota.peak_share)];
        Recommendation::new("less_quota", Arc::clone(&provisioned.name), words, figures)
    })
}

fn on_throttling(insights: &Insights, endpoint: &EndpointSnapshot) -> Option<Recommendation> {
    let quota = endpoint.quota?;
    let configured = quota.configured_tokens_per_minute?;
    if let Some(learned) = quota.learned_tokens_per_minute.filter(|learned| *learned < configured) {
        let words = format!("it grants {learned} tokens a minute, and {configured} are configured: correct that");
        let figures =
            [("learned_tokens_per_minute", learned as f64), ("configured_tokens_per_minute", configured as f64)];
        return Some(Recommendation::new("lower_configured_quota", Arc::clone(&endpoint.name), words, figures));
    }
    let throttled_share = share(endpoint.attempts.throttled, endpoint.attempts.total());
    (throttled_share > 0.02 && insights.throttled_share > 0.02 && !endpoint.is_provisioned).then(|| {
        let words = format!(
            "{:.1} % of what was sent within its quota was refused: others use it ({} tokens in the last minute), or it is smaller than the {configured} that are configured",
            throttled_share * 100.0,
            quota.others_tokens
        );
        let figures = [("throttled_share", throttled_share), ("others_tokens", quota.others_tokens as f64)];
        Recommendation::new("lower_configured_quota", Arc::clone(&endpoint.name), words, figures)
    })
}

fn on_spills(insights: &Insights, hour: &Activity) -> Option<Recommendation> {
    let spilled = insights.spilled_share;
    (spilled > 0.3).then(|| {
        let words = format!(
            "{:.0} % of the calls left the provisioned deployment, {} in the last hour: more units, or more patience where callers have it",
            spilled * 100.0,
            hour.spilled
        );
        Recommendation::new("more_provisioned", "spill", words, [("spilled_share", spilled), ("spilled", hour.spilled as f64)])
    })
}

fn on_truncation(insights: &Insights, hour: &Activity) -> Option<Recommendation> {
    let truncated = insights.truncated_share;
    (truncated > 0.2).then(|| {
        let words = format!(
            "{:.0} % of the prompts are truncated, {} in the last hour: a model with a larger window, or less history",
            truncated * 100.0,
            hour.truncated
        );
        let figures = [("truncated_share", truncated), ("truncated", hour.truncated as f64)];
        Recommendation::new("larger_window", "prompts", words, figures)
    })
}
