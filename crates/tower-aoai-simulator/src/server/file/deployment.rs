use std::time::Duration;

use super::{resource::latency, table::Table};
use crate::{
    CompletionLength, Deployment, Wording,
    quota::{RequestLimit, TokenLimit},
    server::names::{HEADER_STYLES, RETRY_HINTS},
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Standard,
    Provisioned,
    Unlimited,
}

const KINDS: [(&str, Kind); 3] =
    [("standard", Kind::Standard), ("provisioned", Kind::Provisioned), ("unlimited", Kind::Unlimited)];

const WORDINGS: [(&str, Wording); 5] = [
    ("by_path", Wording::ByPath),
    ("classic", Wording::Classic),
    ("classic_ai_services", Wording::ClassicAiServices),
    ("regional", Wording::Regional),
    ("typed", Wording::Typed),
];

const TOKEN_LIMITS: [(&str, TokenLimit); 3] = [
    ("bucket", TokenLimit::Bucket),
    ("fixed_minute", TokenLimit::FixedMinute { phase: Duration::ZERO }),
    ("sliding_minute", TokenLimit::SlidingMinute),
];

/// Keys that only one kind of deployment has.
const STANDARD_ONLY: [&str; 8] = [
    "tokens_per_minute",
    "requests_per_minute",
    "request_window_seconds",
    "token_limit",
    "count_refused",
    "header_style",
    "retry_hints",
    "wording",
];
const PROVISIONED_ONLY: [&str; 4] = ["units", "utilisation_window_seconds", "prompt_limit", "spillover"];

/// The deployments of a resource.
pub(super) fn deployments(resource: &Table<'_>) -> Vec<Deployment> {
    let tables = resource.tables("deployment");
    if tables.is_empty() && !resource.has("deployment") {
        resource.wrong("deployment", "is missing; give at least one, as [[resource.deployment]]");
    }
    let mut read: Vec<(&Table<'_>, Option<&str>, Kind, Deployment)> = Vec::new();
    for table in &tables {
        let name = table.needed_text("name", "gpt-4o");
        if let Some(name) = name
            && read.iter().any(|(_, other, ..)| *other == Some(name))
        {
            table.wrong("name", format!("{name:?} is the name of a deployment above"));
        }
        let kind = table.choice("kind", &KINDS).unwrap_or(Kind::Standard);
        let deployment = deployment(table, name.unwrap_or_default(), kind);
        read.push((table, name, kind, deployment));
    }
    for (table, ..) in &read {
        let Some(target) = table.text("spillover", "gpt-4o-standard") else {
            continue;
        };
        match read.iter().find(|(_, name, ..)| *name == Some(target)) {
            Some((_, _, Kind::Provisioned, _)) => table
                .wrong("spillover", format!("{target:?} is provisioned; only a standard deployment takes what spills")),
            Some(_) => {}
            None => {
                let names: Vec<_> = read.iter().filter_map(|(_, name, ..)| *name).collect();
                table.wrong("spillover", format!("{target:?} is no deployment of this resource: there are {names:?}"));
            }
        }
    }
    tables.iter().for_each(Table::done);
    read.into_iter().map(|(.., deployment)| deployment).collect()
}

fn deployment(table: &Table<'_>, name: &str, kind: Kind) -> Deployment {
    let mut made = match kind {
        Kind::Standard => Deployment::standard(name),
        Kind::Provisioned => Deployment::provisioned(name),
        Kind::Unlimited => Deployment::unlimited(name),
    };
    misplaced(table, kind);
    if let Some(model) = table.text("model", "gpt-4o") {
        made = made.model(model);
    }
    if let Some(region) = table.text("region", "East US") {
        made = made.region(region);
    }
    made = standard(table, made);
    if let Some(units) = table.number("units", 1..=1_000_000, 15) {
        made = made.units(units);
    }
    if let Some(window) = table.time("utilisation_window_seconds", 1.0, 60.0) {
        made = made.utilisation_window(window);
    }
    match table.number("prompt_limit", 0..=u64::MAX, 128_000) {
        Some(0) => made = made.prompt_limit(None),
        Some(tokens) => made = made.prompt_limit(Some(tokens)),
        None => {}
    }
    if let Some(target) = table.text("spillover", "gpt-4o-standard") {
        made = made.spillover(target);
    }
    if let Some(tokens) = table.number("context_window", 1..=u64::MAX, 128_000) {
        made = made.context_window(tokens);
    }
    if let Some(tokens) = table.number("max_output", 1..=u64::MAX, 16_384) {
        made = made.max_output(tokens);
    }
    let tokens = table.number("completion_tokens", 0..=1_000_000, 32);
    if let Some(tokens) = tokens.and_then(|tokens| u32::try_from(tokens).ok()) {
        made = made.completion_length(CompletionLength::Fixed(tokens));
    }
    if let Some(inside) = table.flag("refuse_in_stream") {
        made = made.refuse_in_stream(inside);
    }
    if let Some(annotations) = table.flag("annotations") {
        made = made.annotations(annotations);
    }
    if let Some(asynchronous) = table.flag("asynchronous_filter") {
        made = made.asynchronous_filter(asynchronous);
    }
    if let Some(times) = table.table("latency") {
        made = made.latency(latency(&times, false));
    }
    made
}

fn standard(table: &Table<'_>, mut made: Deployment) -> Deployment {
    if let Some(tokens) = table.number("tokens_per_minute", 0..=1_000_000_000_000, 30_000) {
        made = made.tokens_per_minute(tokens);
    }
    if let Some(requests) = table.number("requests_per_minute", 0..=1_000_000_000, 180) {
        made = made.requests_per_minute(requests);
    }
    if let Some(seconds) = table.number("request_window_seconds", 1..=60, 10) {
        made = made.request_limit(RequestLimit::Fixed(Duration::from_secs(seconds)));
    }
    if let Some(limit) = table.choice("token_limit", &TOKEN_LIMITS) {
        made = made.token_limit(limit);
    }
    if let Some(count) = table.flag("count_refused") {
        made = made.count_refused(count);
    }
    if let Some(style) = table.choice("header_style", &HEADER_STYLES) {
        made = made.header_style(style);
    }
    if let Some(hints) = table.choice("retry_hints", &RETRY_HINTS) {
        made = made.retry_hints(hints);
    }
    if let Some(wording) = table.choice("wording", &WORDINGS) {
        made = made.wording(wording);
    }
    made
}

/// Notes the keys that a deployment of this kind does not have.
fn misplaced(table: &Table<'_>, kind: Kind) {
    let only = |names: &'static [&'static str], whose: &str| {
        for name in names.iter().filter(|name| table.has(name)) {
            table.wrong(name, format!("only a {whose} deployment has this; leave it out"));
        }
    };
    if kind != Kind::Standard {
        only(&STANDARD_ONLY, "standard");
    }
    if kind != Kind::Provisioned {
        only(&PROVISIONED_ONLY, "provisioned");
    }
}
