use super::said;
use crate::{
    config::{EndpointConfig, Headers, InFlight, QueueOrder, QuotaConfig, Window},
    token_bucket::{AzureEstimate, CorrectOnCompletion, Limits, Order, Quota, WindowModel},
};

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
    quota.estimate(said(estimate, config.output_ratio, AzureEstimate::output_ratio))
}

/// What of a quota may be changed while it is used.
pub(in crate::stack) fn limits(endpoint: &EndpointConfig) -> Limits {
    let config = &endpoint.quota;
    let limits = said(Limits::new(), config.tokens_per_minute, Limits::tokens_per_minute);
    let limits = said(limits, config.requests_per_minute, Limits::requests_per_minute);
    let limits = said(limits, config.request_window, Limits::request_window);
    let limits = said(limits, config.min_interval, Limits::min_interval);
    let limits = said(limits, config.max_in_flight, Limits::max_in_flight);
    said(limits, config.adaptive_in_flight.as_ref(), |limits, bounds| match bounds {
        InFlight { min, max: Some(max) } => limits.adaptive_in_flight(min.unwrap_or(1), *max),
        InFlight { max: None, .. } => limits,
    })
}

/// What of a quota may not, and whether it is of provisioned units: two that differ in it are two quotas.
pub(in crate::stack) type Rules = (QuotaConfig, bool);

pub(in crate::stack) fn rules(endpoint: &EndpointConfig) -> Rules {
    let quota = QuotaConfig {
        tokens_per_minute: None,
        requests_per_minute: None,
        request_window: None,
        min_interval: None,
        max_in_flight: None,
        adaptive_in_flight: None,
        ..endpoint.quota.clone()
    };
    (quota, endpoint.kind().is_provisioned())
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
    fn what_may_change_is_no_rule() {
        let endpoint = EndpointConfig::new("a", "contoso");
        let limited = endpoint.clone().tokens_per_minute(5).requests_per_minute(7);
        assert_eq!(rules(&endpoint), rules(&limited));
        let mut other = endpoint.clone();
        other.quota.queue_limit = Some(3);
        assert_ne!(rules(&endpoint), rules(&other));
    }
}
