//! What the admin API shows.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{Ending, Served, Simulator, World, quota::QuotaSnapshot, quota::RefusalReason};

pub(super) fn about(world: &World) -> Value {
    let resources: Vec<Value> = world
        .resources()
        .map(|(name, simulator)| {
            let deployments: Vec<Value> = simulator
                .deployments()
                .map(|one| {
                    json!({
                        "name": one.name(), "model": one.model_name(), "region": one.region_name(),
                    })
                })
                .collect();
            json!({"name": name, "deployments": deployments})
        })
        .collect();
    json!({
        "resources": resources,
        "routes": [
            "GET /_simulator", "GET /_simulator/clock", "GET /_simulator/journal",
            "DELETE /_simulator/journal", "GET /_simulator/quota", "POST /_simulator/script",
            "DELETE /_simulator/script", "PATCH /_simulator/deployments/{name}",
            "POST /_simulator/tokens", "DELETE /_simulator/tokens", "POST /_simulator/reset",
        ],
    })
}

pub(super) fn clock(world: &World) -> Value {
    let simulator = world.default_resource();
    let passed = Instant::now().saturating_duration_since(simulator.started());
    let unix = simulator.shared.config.unix_time;
    json!({
        "since_start_ms": milliseconds(passed),
        "unix_time": unix.saturating_add(passed.as_secs()),
    })
}

pub(super) fn quotas(world: &World) -> Value {
    let mut all = Vec::new();
    for (resource, simulator) in world.resources() {
        for deployment in simulator.deployments() {
            let mut entry = json!({"resource": resource, "deployment": deployment.name()});
            if let Some(quota) = simulator.quota(deployment.name()) {
                entry["quota"] = snapshot(&quota);
            }
            all.push(entry);
        }
    }
    Value::from(all)
}

fn snapshot(quota: &QuotaSnapshot) -> Value {
    match quota {
        QuotaSnapshot::Standard {
            limit_tokens,
            remaining_tokens,
            reset_tokens,
            limit_requests,
            remaining_requests,
            reset_requests,
            request_window,
        } => json!({
            "kind": "standard", "limit_tokens": limit_tokens,
            "remaining_tokens": remaining_tokens, "reset_tokens_ms": milliseconds(*reset_tokens),
            "limit_requests": limit_requests, "remaining_requests": remaining_requests,
            "reset_requests_ms": milliseconds(*reset_requests),
            "request_window_ms": milliseconds(*request_window),
        }),
        QuotaSnapshot::Provisioned { utilisation } => {
            json!({"kind": "provisioned", "utilisation_percent": utilisation})
        }
        QuotaSnapshot::Unlimited => json!({"kind": "unlimited"}),
    }
}

pub(super) fn journal(simulator: &Simulator, deployment: Option<&str>, since: u64) -> Value {
    let started = simulator.started();
    let entries: Vec<Value> = simulator.with_journal(|entries| {
        entries
            .filter(|entry| entry.sequence >= since)
            .filter(|entry| deployment.is_none_or(|name| entry.deployment.as_deref() == Some(name)))
            .map(|entry| served(entry, started))
            .collect()
    });
    json!({"entries": entries, "forgotten": simulator.forgotten()})
}

fn served(entry: &Served, started: Instant) -> Value {
    let at = |instant: Option<Instant>| instant.map(|instant| milliseconds(instant.saturating_duration_since(started)));
    let id = entry.client_request_id.as_ref();
    json!({
        "sequence": entry.sequence, "deployment": entry.deployment.as_deref(),
        "operation": entry.operation.id(), "stream": entry.stream,
        "arrived_ms": at(Some(entry.arrived)), "first_byte_ms": at(entry.first_byte),
        "first_content_ms": at(entry.first_content), "ended_ms": at(entry.ended),
        "status": entry.status.map(|status| status.as_u16()),
        "refused": entry.refused.map(reason),
        "prompt_tokens": entry.prompt_tokens, "completion_tokens": entry.completion_tokens,
        "reserved": entry.reserved,
        "retry_hint_ms": entry.retry_hint.map(milliseconds),
        "scripted": entry.scripted, "spilled_to": entry.spilled_to.as_deref(),
        "client_request_id": id.and_then(|id| id.to_str().ok()),
        "ending": ending(entry.ending),
    })
}

fn reason(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::Tokens => "tokens",
        RefusalReason::Requests => "requests",
        RefusalReason::TooLarge => "too_large",
        RefusalReason::Utilisation => "utilisation",
    }
}

fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Pending => "pending",
        Ending::Complete => "complete",
        Ending::Unread => "unread",
        Ending::CancelledBeforeHead => "cancelled_before_head",
        Ending::CancelledInBody => "cancelled_in_body",
        Ending::Faulted => "faulted",
    }
}

/// With fractions, exact to the microsecond.
fn milliseconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
