//! Models and legs: that every name leads somewhere, and every leg can be reached.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::config::{Config, LegConfig, ModelConfig, PatienceConfig, UnknownModel, read::join};

pub(super) fn judge(check: &mut Check, config: &Config, whole: &Config) {
    let endpoints: Vec<&str> = config.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
    let mut names: BTreeMap<&str, &str> = config.models.keys().map(|name| (name.as_str(), name.as_str())).collect();
    for (name, model) in &config.models {
        let path = join("models", name);
        shape(check, &path, model);
        for (index, alias) in model.aliases.iter().enumerate() {
            match names.get(alias.as_str()) {
                Some(other) if other != name => {
                    let message =
                        format!("{alias:?} stands for the model {other:?} already; leave it out at one of the two");
                    check.wrong(format!("{path}.aliases[{index}]"), message);
                }
                _ => {
                    names.insert(alias, name);
                }
            }
        }
        list(check, &format!("{path}.endpoints"), &model.endpoints, &endpoints, config);
        legs(check, &path, model, &endpoints, config);
    }
    if let Some(name) = &config.default_model {
        let known: Vec<&str> = whole.models.keys().map(String::as_str).collect();
        check.known("default_model".to_owned(), name, "model", "models", &known);
    } else if config.unknown_model == Some(UnknownModel::Default) && whole.default_model.is_none() {
        check.wrong("unknown_model", "there is no default_model; name one, or write \"refuse\"");
    }
    if config.models.is_empty() {
        return;
    }
    let used: BTreeSet<&str> = whole
        .models
        .values()
        .flat_map(|model| &model.legs)
        .flat_map(|leg| &leg.endpoints)
        .map(String::as_str)
        .collect();
    for (index, endpoint) in config.endpoints.iter().enumerate() {
        if !endpoint.name.is_empty() && !used.contains(endpoint.name.as_str()) {
            check.remark(
                format!("endpoints[{index}].name"),
                format!("{:?} is in no leg; it gets no call", endpoint.name),
            );
        }
    }
}

fn shape(check: &mut Check, path: &str, model: &ModelConfig) {
    match (model.legs.is_empty(), model.endpoints.is_empty()) {
        (true, true) => check.missing(format!("{path}.endpoints"), "which endpoints serve it, or legs"),
        (false, false) => check.wrong(format!("{path}.endpoints"), "there are legs, too; put these into one of them"),
        _ => {}
    }
    if model.strategy.is_some() && !model.legs.is_empty() {
        check.wrong(format!("{path}.strategy"), "there are legs; say it of each of them");
    }
}

fn legs(check: &mut Check, path: &str, model: &ModelConfig, endpoints: &[&str], config: &Config) {
    let mut names = BTreeMap::new();
    for (index, leg) in model.legs.iter().enumerate() {
        let key = |field: &str| format!("{path}.legs[{index}].{field}");
        check.name(key("name"), &leg.name, "leg", &mut names);
        if leg.endpoints.is_empty() {
            check.missing(key("endpoints"), "which endpoints it has");
        }
        list(check, &key("endpoints"), &leg.endpoints, endpoints, config);
        reachable(check, leg, &model.legs[..index], &key);
        check.above_zero(key("tries_per_endpoint"), leg.tries_per_endpoint.as_ref(), "write 1 or more");
        if let Some(PatienceConfig::DollarsPerSecond(dollars)) = leg.patience {
            let is_sum = |dollars: f64| dollars > 0.0 && dollars <= 1e6;
            let right = "what a second of waiting is worth, above 0, or \"unlimited\"";
            check.within(key("patience.dollars_per_second"), Some(dollars), is_sum, right);
        }
        if leg.patience.is_some() && index + 1 == model.legs.len() {
            check.remark(key("patience"), "there is no next leg, so calls wait as long as it takes; leave it out");
        }
        super::failures::retry(check, &key("retry"), &leg.retry);
    }
}

fn reachable(check: &mut Check, leg: &LegConfig, before: &[LegConfig], key: &impl Fn(&str) -> String) {
    let earlier: BTreeSet<&String> = before.iter().flat_map(|leg| &leg.endpoints).collect();
    let is_first = before.is_empty();
    let adds = leg.model.is_some() || leg.endpoints.iter().any(|endpoint| !earlier.contains(endpoint));
    if !is_first && !adds && !leg.endpoints.is_empty() {
        check.wrong(
            key("endpoints"),
            "all of them are in legs before this one, in which the call has failed; leave the leg out, or give it others",
        );
    }
    match &leg.on {
        Some(_) if is_first => check.wrong(key("on"), "every call comes to the first leg; leave it out"),
        Some(kinds) if kinds.is_empty() => {
            check.wrong(
                key("on"),
                "no failure leads here, so no call comes; name some, or leave it out for the usual ones",
            );
        }
        _ => {}
    }
}

/// Endpoints that are meant, each once, none of them sharing a quota.
fn list(check: &mut Check, path: &str, names: &[String], endpoints: &[&str], config: &Config) {
    let (mut seen, mut quotas) = (BTreeSet::new(), BTreeMap::new());
    for (index, name) in names.iter().enumerate() {
        let key = format!("{path}[{index}]");
        if !check.known(key.clone(), name, "endpoint", "endpoints", endpoints) {
            continue;
        }
        if !seen.insert(name) {
            check.wrong(key, format!("{name:?} stands here twice; give it a weight instead"));
            continue;
        }
        let Some(quota) = config.find_endpoint(name).and_then(|endpoint| endpoint.quota.shared.as_ref()) else {
            continue;
        };
        if let Some(other) = quotas.insert(quota, name) {
            let message = format!("{name:?} and {other:?} share the quota {quota:?}; in one leg each needs its own");
            check.wrong(key, message);
        }
    }
}
