use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{deployment, table::Table};
use crate::{Latency, Simulator, SimulatorBuilder, TokenIssuer, World, WorldBuilder};

/// What the whole file says.
pub(super) fn world(file: &Table<'_>) -> WorldBuilder {
    let seed = file.number("seed", 0..=u64::MAX, 0).unwrap_or_default();
    let journal = file.number("journal_capacity", 1..=10_000_000, 10_000);
    let journal = journal.and_then(|entries| usize::try_from(entries).ok());
    let issuer = issuer(file);
    let latency = file.table("latency").map(|table| latency(&table, true));
    let default = file.text("default_resource", "contoso-sweden");
    let resources = file.tables("resource");
    if resources.is_empty() && !file.has("resource") {
        file.wrong("resource", "is missing; give at least one, as [[resource]]");
    }
    let mut world = World::builder().token_issuer(issuer.clone());
    let mut names: Vec<&str> = Vec::new();
    for table in &resources {
        let mut simulator = Simulator::builder().seed(seed).unix_time(now());
        if let Some(entries) = journal {
            simulator = simulator.journal_capacity(entries);
        }
        if let Some(latency) = latency.clone() {
            simulator = simulator.latency(latency);
        }
        let (name, simulator) = resource(table, simulator, &issuer);
        if let Some(name) = name {
            if names.iter().any(|other| other.eq_ignore_ascii_case(name)) {
                table.wrong("name", format!("{name:?} is the name of a resource above"));
            }
            names.push(name);
            world = world.resource(name, simulator.build());
        }
    }
    if let Some(default) = default {
        if !names.iter().any(|name| name.eq_ignore_ascii_case(default)) {
            file.wrong("default_resource", format!("{default:?} is no resource of this file: there are {names:?}"));
        }
        world = world.default_resource(default);
    }
    file.done();
    world
}

/// The calendar time: a server's answers are dated as they are given.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn issuer(file: &Table<'_>) -> TokenIssuer {
    let mut issuer = TokenIssuer::new();
    if let Some(seconds) = file.number("token_lifetime_seconds", 1..=31_536_000, 3_600) {
        issuer = issuer.lifetime(Duration::from_secs(seconds));
    }
    for client in file.tables("client") {
        let id = client.needed_text("id", "my-app");
        let secret = client.secret("secret", "my-secret");
        if let (Some(id), Some(secret)) = (id, secret) {
            issuer = issuer.client(id, secret);
        }
        client.done();
    }
    issuer
}

fn resource<'t>(
    table: &Table<'t>,
    mut simulator: SimulatorBuilder,
    issuer: &TokenIssuer,
) -> (Option<&'t str>, SimulatorBuilder) {
    let name = table.needed_text("name", "contoso-sweden");
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    if let Some(name) = name
        && (!name.chars().all(fits) || matches!(name, "openai" | "models"))
    {
        table.wrong(
            "name",
            format!(
                "{name:?} cannot be a resource's name; give letters, digits and hyphens (and not \"openai\" or \"models\")"
            ),
        );
    }
    let region = table.text("region", "Sweden Central");
    if let Some(region) = region {
        simulator = simulator.region(region);
    }
    let keys = table.secrets("api_keys", "a-secret-of-your-choice");
    for key in &keys {
        simulator = simulator.api_key(key);
    }
    if table.flag("accept_tokens").unwrap_or(!keys.is_empty()) {
        simulator = simulator.token_issuer(issuer.clone());
    }
    match table.number("custom_headers", 0..=1_000, 10) {
        Some(0) => simulator = simulator.custom_headers(None),
        Some(most) => simulator = simulator.custom_headers(usize::try_from(most).ok()),
        None => {}
    }
    let bytes = table.number("body_limit", 1..=1 << 30, 64 << 20);
    if let Some(bytes) = bytes.and_then(|bytes| usize::try_from(bytes).ok()) {
        simulator = simulator.body_limit(bytes);
    }
    for deployment in deployment::deployments(table) {
        simulator = simulator.deployment(deployment);
    }
    table.done();
    (name, simulator)
}

/// How long things take; the way to the service can be said only for all.
pub(super) fn latency(table: &Table<'_>, whole: bool) -> Latency {
    const MILLISECOND: f64 = 1e-3;
    let mut latency = match table.flag("typical") {
        Some(true) => Latency::typical(),
        _ => Latency::instant(),
    };
    let time = |name, example| table.time(name, MILLISECOND, example);
    if let Some(time) = time("head_ms", 200.0) {
        latency = latency.head(time);
    }
    if let Some(time) = time("first_token_ms", 250.0) {
        latency = latency.first_token(time);
    }
    if let Some(time) = time("per_prompt_token_ms", 0.15) {
        latency = latency.per_prompt_token(time);
    }
    if let Some(time) = time("per_token_ms", 16.7) {
        latency = latency.per_token(time);
    }
    if let Some(time) = time("refusal_ms", 5.0) {
        latency = latency.refusal(time);
    }
    if let Some(sigma) = table.factor("spread", 0.25) {
        latency = latency.spread(sigma);
    }
    if whole {
        let network = time("network_ms", 10.0);
        let spread = time("network_spread_ms", 2.0);
        if network.is_some() || spread.is_some() {
            latency = latency.network(network.unwrap_or_default(), spread.unwrap_or_default());
        }
    }
    table.done();
    latency
}
