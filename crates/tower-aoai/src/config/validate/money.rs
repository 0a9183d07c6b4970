//! Prices and budgets.

use std::collections::BTreeMap;

use super::Check;
use crate::{
    config::{BudgetConfig, Config, PriceConfig, UnknownPriceConfig, read::join},
    cost::{Prices, Tag},
};

pub(super) fn judge(check: &mut Check, config: &Config, whole: &Config) {
    if let Some(path) = &config.prices.file
        && let Err(error) = Prices::built_in().with_file(path)
    {
        check.wrong("prices.file", error.to_string());
    }
    for (model, priced) in &config.prices.models {
        price(check, &join("prices.models", model), priced);
    }
    if let Some(UnknownPriceConfig::Assume(assumed)) = &config.cost.unknown_price {
        price(check, "cost.unknown_price", assumed);
    }
    for (tag, header) in &config.cost.tag_headers {
        check.header(format!("cost.tag_headers.{}", tag.name()), header);
        only_callers(check, &format!("cost.tag_headers.{}", tag.name()), *tag, "no header says it");
    }
    if config.cost.log.as_ref().is_some_and(String::is_empty) {
        check.wrong("cost.log", "is empty; write a path, or leave it out");
    }
    for (field, bound) in [("values", config.cost.values), ("rows", config.cost.rows)] {
        check.above_zero(
            format!("cost.{field}"),
            bound.as_ref(),
            "nothing could be booked; write more, or leave it out",
        );
    }
    let mut names = BTreeMap::new();
    for (index, budget) in config.budgets.iter().enumerate() {
        let path = format!("budgets[{index}]");
        check.name(format!("{path}.name"), &budget.name, "budget", &mut names);
        judge_budget(check, &path, budget);
    }
    if config.cost.enabled == Some(false) && !config.budgets.is_empty() {
        check
            .wrong("cost.enabled", "there are budgets, which nothing would be booked against; leave them out, or this");
    }
    billed_differently(check, whole);
}

fn price(check: &mut Check, path: &str, price: &PriceConfig) {
    for (field, rate) in [("input", price.input), ("output", price.output)] {
        if rate.is_none() {
            check.missing(format!("{path}.{field}"), "the dollars for a million tokens, such as 2.50");
        }
    }
}

fn only_callers(check: &mut Check, key: &str, tag: Tag, why: &str) {
    if !tag.is_callers() {
        let message =
            format!("{why}: the {} is known from the answer; write task, workflow, agent or tenant", tag.name());
        check.wrong(key, message);
    }
}

fn judge_budget(check: &mut Check, path: &str, budget: &BudgetConfig) {
    let key = |field: &str| format!("{path}.{field}");
    match budget.dollars {
        None => check.missing(key("dollars"), "the sum, such as 20.00"),
        Some(_) => check.above_zero(key("dollars"), budget.dollars.as_ref(), "write what may be spent"),
    }
    if budget.period.is_none() {
        check.missing(key("per"), "\"hour\", \"day\", \"month\" or \"total\"");
    }
    for (index, percent) in budget.alert_at.iter().flatten().enumerate() {
        let fits = |percent: f64| (0.1..=1_000.0).contains(&percent);
        let right = "a share of the sum in percent, from 0.1 to 1000";
        check.within(key(&format!("alert_at[{index}]")), Some(*percent), fits, right);
    }
    if budget.enforce == Some(true) {
        let tags = budget.tags.keys().map(|tag| (key(&format!("tags.{}", tag.name())), *tag));
        let each = budget.each.map(|tag| (key("each"), tag));
        for (key, tag) in tags.chain(each) {
            only_callers(check, &key, tag, "it cannot be enforced before the call");
        }
    }
    for (tag, value) in &budget.tags {
        if value.is_empty() {
            check.wrong(key(&format!("tags.{}", tag.name())), "is empty; write the value that is meant");
        }
    }
}

/// A price list knows deployments by their names alone.
fn billed_differently(check: &mut Check, whole: &Config) {
    let mut first = BTreeMap::new();
    for (index, endpoint) in whole.endpoints.iter().enumerate() {
        let Some(deployment) = &endpoint.deployment else {
            continue;
        };
        let (other, kind) = *first.entry(deployment).or_insert((endpoint.name.as_str(), endpoint.kind()));
        if kind.billing() != endpoint.kind().billing() {
            let message = format!(
                "the deployment of {other:?} is called {deployment:?}, too, and is billed otherwise; their spend cannot be told \
                 apart unless each has a name of its own"
            );
            check.remark(format!("endpoints[{index}].deployment"), message);
        }
    }
}
