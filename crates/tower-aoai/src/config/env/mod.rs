//! The environment, as the recipes that people use have it.

mod connections;
mod reader;
mod topology;

use std::{collections::BTreeMap, time::Duration};

use self::reader::Reader;
use super::{
    AgentConfig, CircuitBreakerConfig, Config, Limit, Profile, QuotaConfig, RetryConfig, Vars, effective::NEVER_SOONER,
    plain_name, read::Words,
};

pub(crate) use self::reader::Read;

/// The variables that have a meaning here, but for those of agents.
pub(crate) const KNOWN: [&str; 23] = [
    "AOAI_PROFILE",
    "AZURE_OPENAI_ENDPOINT",
    "AZURE_OPENAI_API_KEY",
    "AZURE_OPENAI_DEPLOYMENT",
    "AZURE_OPENAI_API_VERSION",
    "OPENAI_API_BASE",
    "OPENAI_API_KEY",
    "PTU_DEPLOYMENT",
    "STANDARD_DEPLOYMENT",
    "PTU_MAX_WAIT",
    "MAX_RETRIES",
    "MAX_CONCURRENT_REQUESTS",
    "MIN_REQUEST_INTERVAL_MS",
    "REQUESTS_PER_MINUTE",
    "TOKENS_PER_MINUTE",
    "INITIAL_BACKOFF_SECONDS",
    "MAX_BACKOFF_SECONDS",
    "BACKOFF_MULTIPLIER",
    "CIRCUIT_BREAKER_FAILURE_THRESHOLD",
    "CIRCUIT_BREAKER_RECOVERY_TIMEOUT",
    "CIRCUIT_BREAKER_SUCCESS_THRESHOLD",
    "AZURE_OPENAI_ROUND_ROBIN_CONNECTION",
    "USE_AZURE_OPENAI_ROUND_ROBIN",
];

/// What stands behind an agent's name.
const AGENT: &str = "_AGENT_MAX_TOKENS";

/// What the variables say beside `known`; which endpoints there are only if nobody else says it.
pub(crate) fn read(vars: &Vars, known: &Config, endpoints_are_known: bool) -> (Config, Read) {
    let mut reader = Reader::new(vars);
    reader.look_for_quotes(|name| {
        name.ends_with(AGENT)
            || (KNOWN.contains(&name) && !(endpoints_are_known && topology::VARIABLES.contains(&name)))
    });
    let mut config = Config {
        profile: profile(&mut reader),
        quota: quota(&mut reader),
        retry: retry(&mut reader),
        circuit_breaker: circuit_breaker(&mut reader),
        ..Config::default()
    };
    agents(&mut reader, &mut config, known);
    if !endpoints_are_known {
        topology::read(&mut reader, &mut config);
    }
    reader.look_for_misspellings();
    (config, reader.done())
}

fn profile(reader: &mut Reader<'_>) -> Option<Profile> {
    let name = reader.text("AOAI_PROFILE", "profile")?;
    let profile = Profile::of_word(name);
    if profile.is_none() {
        reader.wrong(
            "AOAI_PROFILE",
            "profile",
            format!("there is no profile {name:?}; there is {}", Profile::listed()),
        );
    }
    profile
}

fn quota(reader: &mut Reader<'_>) -> QuotaConfig {
    QuotaConfig {
        max_in_flight: reader.count("MAX_CONCURRENT_REQUESTS", "quota.max_in_flight", "3"),
        min_interval: reader.millis("MIN_REQUEST_INTERVAL_MS", "quota.min_interval", "100"),
        requests_per_minute: reader.count("REQUESTS_PER_MINUTE", "quota.requests_per_minute", "60"),
        tokens_per_minute: reader.count("TOKENS_PER_MINUTE", "quota.tokens_per_minute", "150000"),
        ..QuotaConfig::default()
    }
}

fn retry(reader: &mut Reader<'_>) -> RetryConfig {
    let initial_backoff = reader.seconds("INITIAL_BACKOFF_SECONDS", "retry.initial_backoff", "1");
    let max_backoff = reader.seconds("MAX_BACKOFF_SECONDS", "retry.max_backoff", "30");
    if let (Some(first), Some(longest)) = (initial_backoff, max_backoff)
        && first > longest
    {
        let message = format!("{longest:?} is shorter than INITIAL_BACKOFF_SECONDS, {first:?}; set it to that or more");
        reader.wrong("MAX_BACKOFF_SECONDS", "retry.max_backoff", message);
    }
    RetryConfig {
        max_retries: reader.whole("MAX_RETRIES", "retry.max_retries", "3"),
        initial_backoff,
        max_backoff,
        multiplier: reader.factor("BACKOFF_MULTIPLIER", "retry.multiplier"),
        jitter: initial_backoff.map(|_| NEVER_SOONER),
        ..RetryConfig::default()
    }
}

/// Failures are counted and a break lasts as long as is said: no shares, no doubling, no jitter.
fn circuit_breaker(reader: &mut Reader<'_>) -> CircuitBreakerConfig {
    let failures: Option<u32> =
        reader.count("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "circuit_breaker.consecutive_failures", "5");
    let time: Option<Duration> = reader.seconds("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "circuit_breaker.break_time", "60");
    CircuitBreakerConfig {
        consecutive_failures: failures.map(Limit::Of),
        failure_ratio: failures.map(|_| Limit::Unlimited),
        break_time: time,
        break_cap: time,
        jitter: time.map(|_| 0.0),
        successes_to_close: reader.count(
            "CIRCUIT_BREAKER_SUCCESS_THRESHOLD",
            "circuit_breaker.successes_to_close",
            "3",
        ),
        ..CircuitBreakerConfig::default()
    }
}

fn agents(reader: &mut Reader<'_>, config: &mut Config, known: &Config) {
    let variables: Vec<String> =
        reader.vars().names().filter(|name| name.ends_with(AGENT)).map(str::to_owned).collect();
    let mut read: BTreeMap<String, &str> = BTreeMap::new();
    for variable in &variables {
        let Some(agent) = variable.strip_suffix(AGENT).filter(|agent| !agent.trim().is_empty()) else { continue };
        let name = plain_name(agent);
        // The file's name of an agent is the one that its settings stand under.
        let written = known.agents.keys().find(|known| plain_name(known) == name);
        let key = format!("{}.max_tokens", super::read::join("agents", written.unwrap_or(&name)));
        if let Some(first) = read.get(&name) {
            let message = format!("means the same agent as {first}; set one of the two");
            reader.wrong(variable, &key, message);
            continue;
        }
        if let Some(tokens) = reader.count(variable, &key, "2000") {
            let agent = AgentConfig { max_tokens: Some(tokens), ..AgentConfig::default() };
            config.agents.insert(written.unwrap_or(&name).clone(), agent);
        }
        read.insert(name, variable);
    }
}
