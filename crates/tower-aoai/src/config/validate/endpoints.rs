//! Endpoints: what they refer to, and what they can take.

use std::collections::BTreeMap;

use super::{Check, quotas};
use crate::config::{Config, EndpointConfig, Window};

pub(super) fn judge(check: &mut Check, config: &Config, whole: &Config) {
    quotas::judge(check, "quota", &config.quota);
    if config.quota.shared.is_some() {
        check.wrong("quota.shared_as", "all endpoints would share one; write it at those that are meant to");
    }
    if config.endpoints.is_empty() {
        check.wrong(
            "endpoints",
            "there is none, so nothing can be called; write [[endpoints]] with a name and a resource",
        );
    }
    let resources: Vec<&str> = config.resources.iter().map(|resource| resource.name.as_str()).collect();
    let mut names = BTreeMap::new();
    for (index, endpoint) in config.endpoints.iter().enumerate() {
        let key = |field: &str| format!("endpoints[{index}].{field}");
        check.name(key("name"), &endpoint.name, "endpoint", &mut names);
        if endpoint.resource.is_empty() {
            check.missing(key("resource"), "the name of one of the resources");
        } else {
            check.known(key("resource"), &endpoint.resource, "resource", "resources", &resources);
        }
        for (field, name) in [("deployment", &endpoint.deployment), ("model", &endpoint.model)] {
            if name.as_ref().is_some_and(|name| name.trim().is_empty()) {
                check.wrong(key(field), "is empty; give a name, or leave it out");
            }
        }
        check.above_zero(key("weight"), endpoint.weight.as_ref(), "no call would ever come to it; write 1 or more");
        for (field, limit) in [("total", endpoint.timeouts.total), ("connect", endpoint.timeouts.connect)] {
            if limit.is_some() {
                check.wrong(
                    key(&format!("timeouts.{field}")),
                    "has no meaning at an endpoint; write it under [timeouts]",
                );
            }
        }
        quotas::judge(check, &key("quota"), &endpoint.quota);
        provisioned(check, endpoint, &key);
    }
    shared_quotas(check, whole);
}

fn provisioned(check: &mut Check, endpoint: &EndpointConfig, key: &impl Fn(&str) -> String) {
    let is_provisioned = endpoint.kind().is_provisioned();
    let quota = &endpoint.quota;
    let units = [("ptus", endpoint.ptus), ("tokens_per_minute_per_ptu", endpoint.tokens_per_minute_per_ptu)];
    for (field, number) in units {
        check.above_zero(key(field), number.as_ref(), "write how many there are, or leave it out");
        if number.is_some() && !is_provisioned {
            check.wrong(
                key(field),
                "only a provisioned deployment has units; write type = \"provisioned\", or leave this out",
            );
        }
    }
    if let (Some(Window::Utilisation(_)), false) = (quota.window, is_provisioned) {
        check.wrong(
            key("quota.window"),
            "only a provisioned deployment counts by utilisation; write type = \"provisioned\", or window = \"sliding\"",
        );
    }
    if !is_provisioned {
        return;
    }
    if matches!(quota.window, Some(Window::Sliding | Window::Bucket(_))) {
        check.wrong(
            key("quota.window"),
            "a provisioned deployment counts by utilisation; leave it out, or write \"utilisation\"",
        );
    }
    if quota.tokens_per_minute.is_some() {
        return;
    }
    match endpoint.ptus {
        None => {
            let message =
                "is provisioned, but of unknown size; give its ptus, or only its refusals tell that it is full";
            check.remark(key("type"), message);
        }
        Some(_) if endpoint.throughput().is_none() => {
            let said = match endpoint.model.as_ref().or(endpoint.deployment.as_ref()) {
                Some(model) => format!("how much a unit of {model:?} works off is not known"),
                None => "of which model they are is not said".to_owned(),
            };
            check.wrong(key("ptus"), format!("{said}; give tokens_per_minute_per_ptu, or model as Azure names it"));
        }
        Some(_) => {}
    }
}

/// Those who share a quota must mean the same one.
fn shared_quotas(check: &mut Check, whole: &Config) {
    let mut first = BTreeMap::new();
    for (index, endpoint) in whole.endpoints.iter().enumerate() {
        let Some(name) = &endpoint.quota.shared else {
            continue;
        };
        let (other, quota) = *first.entry(name.as_str()).or_insert((endpoint.name.as_str(), &endpoint.quota));
        if *quota != endpoint.quota {
            let message = format!("{name:?} is what {other:?} shares, too, with other limits; give both the same");
            check.wrong(format!("endpoints[{index}].quota.shared_as"), message);
        }
    }
}
