use std::collections::BTreeSet;

use super::{Config, ENV_EXAMPLE, EXAMPLE, Problems, Profile, Sources, Vars, env::KNOWN, read::Document};

fn read(text: &str) -> Result<Config, Problems> {
    Sources::new().vars(Vars::default()).toml_text(text).read()
}

/// Where a section is written down that may stand in several places, or under a name.
fn written_at(key: &str) -> String {
    let parts: Vec<&str> = key.split('.').collect();
    let parts: Vec<&str> = match parts.as_slice() {
        ["models", _, "legs", "retry", rest @ ..] if !rest.is_empty() => [&["retry"], rest].concat(),
        ["endpoints", section, rest @ ..] if !rest.is_empty() => [&[*section], rest].concat(),
        ["models" | "agents", _, rest @ ..] => [&[parts[0], "*"], rest].concat(),
        ["prices", "models", _, rest @ ..] => [&["prices", "models", "*"], rest].concat(),
        other => other.to_vec(),
    };
    parts.join(".")
}

/// Keys that stand in a comment, as one would have to have a file, a feature, or not the other.
const COMMENTED: [&str; 5] = [
    "context_window.models_file",
    "prices.file",
    "request_defaults.max_completion_tokens",
    "resources.credential",
    "resources.entra_scope",
];

#[test]
fn the_example_file_has_every_key() {
    let vars = Vars::default();
    let (asked, present) = Document::new("example", EXAMPLE, &vars).keys(Config::of_table);
    let there: BTreeSet<String> = present.iter().map(|key| written_at(key)).collect();
    let mut missing = BTreeSet::new();
    for (path, keys) in asked {
        let keys = keys.into_iter().map(|key| if path.is_empty() { key } else { format!("{path}.{key}") });
        missing.extend(keys.map(|key| written_at(&key)).filter(|key| !there.contains(key)));
    }
    assert_eq!(missing.iter().map(String::as_str).collect::<Vec<_>>(), COMMENTED);
    for key in COMMENTED {
        let name = key.rsplit('.').next().unwrap();
        assert!(EXAMPLE.lines().any(|line| line.contains('#') && line.contains(name)), "{name}");
    }
}

#[test]
fn the_example_file_is_right() {
    let vars: Vars =
        ["EAST_KEY", "WEST_KEY", "OPENAI_KEY", "ENTRA_SECRET"].map(|name| (name, "0123456789")).into_iter().collect();
    let config = Sources::new().vars(vars).toml_text(EXAMPLE).read();
    config.unwrap_or_else(|problems| panic!("{problems}"));
    assert!(read(EXAMPLE).is_err(), "its variables are not set");
}

/// The lines of the sample, with all that is commented out, but for those of other servers.
fn all_of_the_sample() -> String {
    let is_other = |line: &str| ["OPENAI_API_BASE", "OPENAI_API_KEY"].iter().any(|name| line.starts_with(name));
    let is_variable = |line: &str| {
        line.split_once('=').is_some_and(|(name, _)| KNOWN.contains(&name) || name.ends_with("_AGENT_MAX_TOKENS"))
    };
    let lines = ENV_EXAMPLE.lines().map(|line| line.strip_prefix('#').filter(|line| is_variable(line)).unwrap_or(line));
    lines.filter(|line| !is_other(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_of_variables_is_right_with_and_without_what_is_commented_out() {
    let vars = Vars::of_env_text(ENV_EXAMPLE).unwrap();
    let config = Sources::new().vars(vars).environment().read().unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((config.resources.len(), config.endpoints.len()), (1, 1));
    let vars = Vars::of_env_text(&all_of_the_sample()).unwrap();
    let config = Sources::new().vars(vars).environment().read().unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((config.resources.len(), config.endpoints.len(), config.agents.len()), (2, 2, 2));
}

#[test]
fn the_sample_of_variables_has_every_one() {
    let names: BTreeSet<&str> = ENV_EXAMPLE
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='))
        .map(|(name, _)| name)
        .collect();
    let missing: Vec<_> = KNOWN.iter().filter(|name| !names.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_commented_values_of_the_sample_are_the_cautious_profiles() {
    let all = all_of_the_sample();
    let without = |text: &str| -> Vars {
        let vars = Vars::of_env_text(text).unwrap();
        vars.names()
            .filter(|name| !["AOAI_PROFILE"].contains(name))
            .map(|name| (name, vars.get(name).unwrap()))
            .collect()
    };
    let said = Sources::new().vars(without(&all)).environment().read().unwrap();
    let cautious = Profile::Cautious.config();
    assert_eq!(said.quota, cautious.quota);
    assert_eq!(said.retry, cautious.retry);
    assert_eq!(said.circuit_breaker, cautious.circuit_breaker);
}
