use std::collections::BTreeSet;

use super::{Config, Problems, Sources, Vars, read::Document};

fn read(text: &str) -> Result<Config, Problems> {
    Sources::new().vars(Vars::default()).toml_text(text).read()
}

const EXAMPLE: &str = include_str!("../../tower-aoai.example.toml");

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
