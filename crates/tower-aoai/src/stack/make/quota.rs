use super::said;
use crate::{
    config::{EndpointConfig, Headers, InFlight, QueueOrder, QuotaConfig, Window},
    core::model_names,
    token_bucket::{AzureEstimate, CorrectOnCompletion, Limits, Order, Quota, WindowModel},
};

/// What a provisioned throughput unit works off: input tokens per minute, and how many of them a token of output weighs.
/// Azure documents it under "provisioned throughput", as of March 2026.
const UNITS: [(&str, u64, u64); 19] = [
    ("gpt-5.4", 2_400, 6),
    ("gpt-5.3-codex", 3_400, 8),
    ("gpt-5.2-codex", 3_400, 8),
    ("gpt-5.2", 3_400, 8),
    ("gpt-5.1-codex", 4_750, 8),
    ("gpt-5.1", 4_750, 8),
    ("gpt-5-mini", 23_750, 8),
    ("gpt-5", 4_750, 8),
    ("gpt-4.1-mini", 14_900, 4),
    ("gpt-4.1-nano", 59_400, 4),
    ("gpt-4.1", 3_000, 4),
    ("gpt-4o-mini", 37_000, 4),
    ("gpt-4o", 2_500, 4),
    ("o4-mini", 5_400, 4),
    ("o3-mini", 2_500, 4),
    ("o3", 3_000, 4),
    ("o1", 230, 4),
    // As the models' former names have it.
    ("gpt-4o-2024-08-06", 2_500, 4),
    ("gpt-4o-2024-11-20", 2_500, 4),
];

/// The quota of an endpoint whose sections are complete.
pub(in crate::stack) fn quota(endpoint: &EndpointConfig) -> Quota {
    let config = &endpoint.quota;
    let is_provisioned = endpoint.kind().is_provisioned();
    let quota = Quota::new(limits(endpoint));
    let quota =
        if is_provisioned { quota.model(WindowModel::utilisation()).accounting(CorrectOnCompletion) } else { quota };
    let quota = said(quota, config.window, |quota, window| quota.model(model(window)));
    let quota = said(quota, config.guard, Quota::guard);
    let quota = said(quota, config.headers, |quota, headers| match headers {
        Headers::Obey => quota,
        Headers::Decide => quota.server_decides(),
        Headers::Ignore => quota.ignore_headers(),
    });
    let quota = said(quota, config.order, |quota, how| quota.order(order(how)));
    let quota = said(quota, config.queue_limit, Quota::queue_limit);
    let quota = if config.wait == Some(false) { quota.never_wait() } else { quota };
    let quota = said(quota, config.near_limit, Quota::near_limit);
    let estimate = said(AzureEstimate::new(), config.default_output, AzureEstimate::default_output);
    let ratio = config.output_ratio.or_else(|| units(endpoint).map(|(_, ratio)| ratio).filter(|_| is_provisioned));
    quota.estimate(said(estimate, ratio, AzureEstimate::output_ratio))
}

/// What of a quota may be changed while it is used.
pub(in crate::stack) fn limits(endpoint: &EndpointConfig) -> Limits {
    let QuotaConfig { requests_per_minute, request_window, min_interval, max_in_flight, adaptive_in_flight, .. } =
        &endpoint.quota;
    let limits = said(Limits::new(), tokens_per_minute(endpoint), Limits::tokens_per_minute);
    let limits = said(limits, *requests_per_minute, Limits::requests_per_minute);
    let limits = said(limits, *request_window, Limits::request_window);
    let limits = said(limits, *min_interval, Limits::min_interval);
    let limits = said(limits, *max_in_flight, Limits::max_in_flight);
    said(limits, adaptive_in_flight.as_ref(), |limits, bounds| match bounds {
        InFlight { min, max: Some(max) } => limits.adaptive_in_flight(min.unwrap_or(1), *max),
        InFlight { max: None, .. } => limits,
    })
}

/// What of a quota may not: two that differ in it are two quotas.
pub(in crate::stack) fn rules(endpoint: &EndpointConfig) -> QuotaConfig {
    QuotaConfig {
        tokens_per_minute: None,
        requests_per_minute: None,
        request_window: None,
        min_interval: None,
        max_in_flight: None,
        adaptive_in_flight: None,
        ..endpoint.quota.clone()
    }
}

fn tokens_per_minute(endpoint: &EndpointConfig) -> Option<u64> {
    let worked_off = || {
        let per_unit = endpoint.tokens_per_minute_per_ptu.or_else(|| units(endpoint).map(|(tokens, _)| tokens))?;
        Some(per_unit.saturating_mul(endpoint.ptus?))
    };
    endpoint.quota.tokens_per_minute.or_else(|| worked_off().filter(|_| endpoint.kind().is_provisioned()))
}

fn units(endpoint: &EndpointConfig) -> Option<(u64, u64)> {
    let known = |name: String| UNITS.iter().find(|(model, ..)| *model == name);
    model_names(endpoint.priced_as()?).find_map(known).map(|(_, tokens, ratio)| (*tokens, *ratio))
}

const fn model(window: Window) -> WindowModel {
    match window {
        Window::Sliding => WindowModel::Sliding,
        Window::Bucket(capacity) => WindowModel::Bucket { capacity },
        Window::Utilisation(window) => WindowModel::Utilisation { window },
    }
}

const fn order(order: QueueOrder) -> Order {
    match order {
        QueueOrder::Fifo => Order::Fifo,
        QueueOrder::Priority(ageing) => Order::Priority { ageing },
        QueueOrder::Deadline(patience) => Order::EarliestDeadline { patience },
        QueueOrder::Fair(tenants) => Order::Fair { tenants },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_worth_what_azure_documents_for_the_model() {
        let ptu = |model: &str| EndpointConfig::new("ptu", "contoso").model(model).provisioned(100);
        assert_eq!(limits(&ptu("gpt-4o")).tokens_per_minute, Some(250_000));
        assert_eq!(limits(&ptu("gpt-5-mini-2025-08-07")).tokens_per_minute, Some(2_375_000));
        assert_eq!(limits(&ptu("our-own")).tokens_per_minute, None, "not known, so not limited");
        assert_eq!(limits(&ptu("gpt-4o").tokens_per_minute(7)).tokens_per_minute, Some(7), "what is said counts");
        let standard = EndpointConfig::new("payg", "contoso").model("gpt-4o");
        assert_eq!(limits(&standard), Limits::new(), "nothing is throttled that nobody asked for");
    }

    #[test]
    fn what_may_change_is_no_rule() {
        let endpoint = EndpointConfig::new("a", "contoso");
        let limited = endpoint.clone().tokens_per_minute(5).requests_per_minute(7);
        assert_eq!(rules(&endpoint), rules(&limited));
        let mut other = endpoint.clone();
        other.quota.queue_limit = Some(3);
        assert_ne!(rules(&endpoint), rules(&other));
    }
}
