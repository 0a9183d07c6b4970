//! How a snapshot is put together.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;
use tower_aoai_circuit_breaker::CircuitBreakerHandle;
use tower_aoai_context_window::ContextWindowHandle;
use tower_aoai_cost::{BudgetStatus, CostHandle};
use tower_aoai_retry_after::RetryAfterHandle;
use tower_aoai_token_bucket::TokenBucketHandle;

use super::{
    BreakerSnapshot, BudgetSnapshot, CredentialSnapshot, EndpointSnapshot, FallbackCounts, LeftBy, LegSnapshot, LegUse,
    MemberSnapshot, ModelSnapshot, OutOfRotation, QuotaSnapshot, RetrySnapshot, SpendSnapshot, WindowSnapshot,
    spent_share,
};
use crate::statistics::{
    activity::share,
    handles::{EndpointHandles, ModelHandles, StackHandles},
    meter::{EndpointMeter, Meter, OTHER},
};

/// Milliseconds, to seconds.
pub(crate) const MILLIS: f64 = 1e-3;

fn seconds_until(now: Instant, at: Instant) -> f64 {
    at.saturating_duration_since(now).as_secs_f64()
}

pub(crate) fn unix_seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl ModelSnapshot {
    pub(crate) fn take(handles: &ModelHandles) -> Self {
        let fallback = handles.fallback.as_ref().map(tower_aoai_fallback::FallbackHandle::snapshot);
        let legs = handles.legs.iter().map(|leg| {
            let counts =
                fallback.as_ref().and_then(|fallback| fallback.legs.iter().find(|counts| counts.name == leg.name));
            LegSnapshot {
                name: Arc::clone(&leg.name),
                endpoints: leg.endpoints.iter().map(|endpoint| Arc::clone(&endpoint.name)).collect(),
                use_by_fallback: counts.map(LegUse::take),
                retries: leg.retry.as_ref().map(RetrySnapshot::take),
            }
        });
        Self {
            name: Arc::clone(&handles.name),
            legs: legs.collect(),
            fallback: fallback.as_ref().map(|counts| FallbackCounts {
                calls: counts.calls,
                answered: counts.answered,
                failed: counts.failed,
                cancelled: counts.cancelled,
            }),
        }
    }
}

impl LegUse {
    fn take(counts: &tower_aoai_fallback::LegSnapshot) -> Self {
        let left = counts.left;
        Self {
            entered: counts.entered,
            answered: counts.answered,
            waited: counts.waited,
            waited_seconds: counts.waited_for.as_secs_f64(),
            not_asked: counts.not_asked,
            left: LeftBy {
                hint: left.hint,
                queue: left.queue,
                deadline: left.deadline,
                price: left.price,
                outage: left.outage,
                size: left.size,
                other: left.other,
            },
            spills: counts.spills,
            spilled_by_azure: counts.spilled_by_azure,
            spill_spend_nano_dollars: counts.spend.saturating_add(counts.estimated_spend),
        }
    }
}

impl RetrySnapshot {
    fn take(handle: &RetryAfterHandle) -> Self {
        let counts = handle.snapshot();
        Self {
            calls: counts.calls,
            sends: counts.sends,
            answered: counts.answered,
            cancelled: counts.cancelled,
            by_hint: counts.retries_by_hint,
            by_backoff: counts.retries_by_backoff,
            elsewhere: counts.retries_elsewhere,
            refusals_waited: counts.refusals_waited,
            gave_up_final: counts.final_outcomes,
            gave_up_attempts: counts.out_of_attempts,
            gave_up_time: counts.out_of_time + counts.out_of_patience,
            gave_up_hint_cap: counts.over_hint_cap,
            gave_up_budget: counts.out_of_budget,
            gave_up_unreplayable: counts.unreplayable,
            waited_seconds: counts.waited.as_secs_f64(),
        }
    }
}

impl BreakerSnapshot {
    fn take(handle: &CircuitBreakerHandle, now: Instant) -> Self {
        let circuit = handle.snapshot();
        Self {
            state: circuit.state.name(),
            opens_in_seconds: circuit.state.until().map(|until| seconds_until(now, until)),
            last_change: circuit.last_change.map(|change| change.reason.to_string()),
            since_seconds: circuit.last_change.map(|change| seconds_until(change.at, now)),
            opened: circuit.opened,
            healthy: circuit.healthy,
            unhealthy: circuit.unhealthy,
            refused: circuit.refused,
            probes: circuit.probes,
        }
    }
}

impl QuotaSnapshot {
    pub(crate) fn take(handle: &TokenBucketHandle, meter: Option<&EndpointMeter>, now: Instant) -> Self {
        let (bucket, limits) = (handle.snapshot(), handle.limits());
        let limit = |limit: u64| Some(limit).filter(|limit| *limit > 0);
        let used_share =
            share(bucket.tokens_used, bucket.tokens_limit).max(share(bucket.requests_used, bucket.requests_limit));
        let peaks = meter.into_iter().flat_map(|meter| meter.peaks.last(now, 60));
        Self {
            tokens_used: bucket.tokens_used,
            tokens_limit: limit(bucket.tokens_limit),
            requests_used: bucket.requests_used,
            requests_limit: limit(bucket.requests_limit),
            used_share,
            peak_share: peaks.fold(used_share, f64::max),
            in_flight: bucket.in_flight as u64,
            in_flight_limit: Some(bucket.in_flight_limit as u64).filter(|limit| *limit < usize::MAX as u64),
            queued: bucket.queued as u64,
            waited_seconds: bucket.waited.as_secs_f64(),
            longest_wait_seconds: bucket.longest_wait.as_secs_f64(),
            granted: bucket.granted,
            denied: bucket.denied,
            shed: bucket.shed,
            throttled: bucket.throttled,
            gate_seconds: bucket.gate.map(|gate| seconds_until(now, gate)),
            others_tokens: bucket.others_tokens,
            held_back_share: f64::from(bucket.share_per_mille) / 1_000.0,
            configured_tokens_per_minute: limits.tokens_per_minute,
            configured_requests_per_minute: limits.requests_per_minute,
            learned_tokens_per_minute: bucket.learned_tokens_per_minute,
            learned_requests_per_minute: bucket.learned_requests_per_minute,
        }
    }
}

impl MemberSnapshot {
    /// Of an endpoint, over all balancers that have it.
    pub(crate) fn take(handles: &StackHandles, name: &str, now: Instant) -> Option<Self> {
        let balancers = handles.models.iter().flat_map(|model| &model.legs).filter_map(|leg| leg.balance.as_ref());
        let members = balancers.filter_map(|balancer| balancer.snapshot().member(name).cloned());
        members.map(|member| Self::of(&member, now)).reduce(Self::and)
    }

    fn of(member: &tower_aoai_balance::MemberSnapshot, now: Instant) -> Self {
        let out_of_rotation = member.out_of_rotation.iter().map(|rest| OutOfRotation {
            deployment: rest.deployment.clone(),
            since_seconds: seconds_until(rest.since, now),
            tried_in_seconds: seconds_until(now, rest.until),
        });
        Self {
            tier: member.tier,
            is_draining: member.is_draining,
            in_flight: member.in_flight,
            failing_share: member.failing,
            entered: member.entered,
            answered: member.answered,
            failed: member.failed,
            throttled: member.throttled,
            misconfigured: member.misconfigured,
            out_of_rotation: out_of_rotation.collect(),
        }
    }

    fn and(mut self, other: Self) -> Self {
        self.tier = self.tier.min(other.tier);
        self.is_draining |= other.is_draining;
        self.in_flight += other.in_flight;
        self.failing_share = self.failing_share.max(other.failing_share);
        self.entered += other.entered;
        self.answered += other.answered;
        self.failed += other.failed;
        self.throttled += other.throttled;
        self.misconfigured += other.misconfigured;
        for rest in other.out_of_rotation {
            if self.out_of_rotation.iter().all(|known| known.deployment != rest.deployment) {
                self.out_of_rotation.push(rest);
            }
        }
        self
    }
}

impl EndpointSnapshot {
    pub(crate) fn take(handles: &StackHandles, endpoint: &EndpointHandles, meter: &Meter, now: Instant) -> Self {
        let metered = meter.endpoint_named(&endpoint.name);
        let address = endpoint.endpoint.as_ref().map(tower_aoai_endpoint::EndpointHandle::snapshot);
        Self {
            is_provisioned: endpoint.is_provisioned,
            base_url: address.as_ref().and_then(|address| address.base_url.clone()),
            breaker: endpoint.breaker.as_ref().map(|breaker| BreakerSnapshot::take(breaker, now)),
            quota: endpoint.bucket.as_ref().map(|bucket| QuotaSnapshot::take(bucket, metered, now)),
            member: MemberSnapshot::take(handles, &endpoint.name, now),
            credential: address.and_then(|address| address.token).map(|token| CredentialSnapshot {
                is_good: token.is_good,
                obtained: token.obtained,
                failures: token.failures,
                last_failure: token.last_failure,
            }),
            ..Self::metered(Arc::clone(&endpoint.name), metered, now)
        }
    }

    fn metered(name: Arc<str>, meter: Option<&EndpointMeter>, now: Instant) -> Self {
        Self {
            name,
            is_provisioned: false,
            base_url: None,
            breaker: None,
            quota: None,
            member: None,
            credential: None,
            misconfigured_for_seconds: meter
                .and_then(|meter| meter.misconfigured_since)
                .map(|since| seconds_until(since, now)),
            attempts: meter.map(|meter| meter.outcomes).unwrap_or_default(),
            unsent: meter.map_or(0, |meter| meter.unsent),
            tokens: meter.map(|meter| meter.tokens).unwrap_or_default(),
            first_byte_seconds: meter.and_then(|meter| meter.first_byte.spread(now, MILLIS)),
            duration_seconds: meter.and_then(|meter| meter.duration.spread(now, MILLIS)),
        }
    }

    /// All that have a handle, and those of which there are only records.
    pub(crate) fn take_all(handles: &StackHandles, meter: &Meter, now: Instant) -> Vec<Self> {
        let known = handles.endpoints();
        let mut unknown: Vec<_> =
            meter.endpoints().filter(|(name, _)| known.iter().all(|endpoint| endpoint.name != **name)).collect();
        unknown.sort_by(|(one, _), (other, _)| (&***one == OTHER, one).cmp(&(&***other == OTHER, other)));
        let known = known.into_iter().map(|endpoint| Self::take(handles, endpoint, meter, now));
        let unknown = unknown.into_iter().map(|(name, metered)| Self::metered(Arc::clone(name), Some(metered), now));
        known.chain(unknown).collect()
    }
}

impl WindowSnapshot {
    pub(crate) fn take(handle: &ContextWindowHandle) -> Self {
        let window = handle.snapshot();
        Self {
            calls: window.calls,
            refused: window.refused,
            truncated: window.truncated,
            truncated_share: window.truncated_share(),
            clamped: window.clamped,
            unknown_models: window.unknown_models,
            peak_prompt: window.peak_prompt,
            peak_share: window.peak_per_mille as f64 / 1_000.0,
        }
    }
}

impl SpendSnapshot {
    pub(crate) fn take(handle: &CostHandle) -> Self {
        let cost = handle.snapshot();
        let total = cost.total;
        Self {
            exact_nano_dollars: total.exact.cost.as_nano_dollars(),
            estimated_nano_dollars: total.estimated.cost.as_nano_dollars(),
            cost: total.cost().to_string(),
            provisioned_attempts: total.provisioned.attempts,
            unpriced_attempts: total.unpriced.attempts,
            free_attempts: total.free,
            refused: cost.refused,
            budgets: cost.budgets.iter().map(BudgetSnapshot::of).collect(),
        }
    }
}

impl BudgetSnapshot {
    fn of(status: &BudgetStatus) -> Self {
        Self {
            name: Arc::clone(&status.name),
            value: status.value.as_ref().map(|(_, value)| Arc::clone(value)),
            period: status.span.to_string(),
            limit_nano_dollars: status.limit.as_nano_dollars(),
            spent_nano_dollars: status.spent.as_nano_dollars(),
            reserved_nano_dollars: status.reserved.as_nano_dollars(),
            words: format!("{} of {}", status.spent, status.limit),
            spent_share: spent_share(status.spent, status.limit),
            refused: status.refused,
            renewed_at: status.renewed_at.map(unix_seconds),
        }
    }
}

/// So many seconds in few characters: `40 ms`, `3.2 s`, `4 min`, `2.5 h`.
pub(crate) fn short(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds < 100.0 {
        format!("{seconds:.1} s")
    } else if seconds < 6_000.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3_600.0)
    }
}

/// The same of a time.
pub(crate) fn short_time(time: Duration) -> String {
    short(time.as_secs_f64())
}
