//! The configuration file: the sample is right, and everything that is wrong is told at once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use proptest::prelude::*;
use tower_aoai_simulator::{Deployment, quota::QuotaSnapshot, server::file};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn mistakes(text: &str) -> Vec<String> {
    let mistakes = file::world(text).unwrap_err();
    mistakes.mistakes().iter().map(ToString::to_string).collect()
}

#[test]
fn the_sample_is_a_world() {
    runtime().block_on(async {
        let world = file::world(file::SAMPLE).unwrap();
        assert_eq!(world.default_name(), Some("contoso-sweden"));
        let sweden = world.resource("contoso-sweden").unwrap();
        let names: Vec<_> = sweden.deployments().map(Deployment::name).collect();
        assert_eq!(names, ["gpt-4o", "gpt-4o-ptu", "embed"]);
        let quota = sweden.quota("gpt-4o").unwrap();
        assert!(matches!(quota, QuotaSnapshot::Standard { limit_tokens: 30_000, limit_requests: Some(180), .. }));
        assert!(matches!(sweden.quota("gpt-4o-ptu"), Some(QuotaSnapshot::Provisioned { .. })));
        let east = world.resource("contoso-east").unwrap();
        assert_eq!(east.deployments().next().unwrap().region_name(), "East US");
        assert!(world.issuer().grant("my-app", "my-secret").is_some());
        assert!(world.issuer().grant("my-app", "wrong").is_none());
    });
}

/// Every key that is commented out is known, and its value is one that is taken.
#[test]
fn so_is_the_sample_with_its_comments_taken_away() {
    let lines = file::SAMPLE.lines().map(|line| {
        let bare = line.strip_prefix("# ").unwrap_or_default();
        let key = bare.split(" = ").next().unwrap_or_default();
        let is_key = bare.contains(" = ") && key.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
        if is_key { bare } else { line }
    });
    // Some of these stand there twice then: once as they are, once as they would be.
    let mut kept: Vec<&str> = Vec::new();
    let mut table_starts = 0;
    let mut uncovered = 0;
    for line in lines {
        if line.starts_with('[') {
            table_starts = kept.len();
        }
        let key = line.split(" = ").next().unwrap_or_default();
        let twice =
            line.contains(" = ") && kept[table_starts..].iter().any(|other| other.starts_with(&format!("{key} = ")));
        uncovered += usize::from(!file::SAMPLE.lines().any(|other| other == line));
        if !twice {
            kept.push(line);
        }
    }
    assert!(uncovered > 25, "{uncovered}");
    let text = kept.join("\n");
    runtime().block_on(async {
        let world = file::world(&text).unwrap_or_else(|mistakes| panic!("{mistakes}\n{text}"));
        assert_eq!(world.resources().count(), 2);
    });
}

#[test]
fn all_mistakes_are_told_at_once_with_their_lines() {
    runtime().block_on(async {
        let text = r#"default_resource = "nowhere"
sed = 1
[latency]
first_token_ms = -1

[[resource]]
name = "con toso"
api_keys = ["good", 7]

[[resource.deployment]]
kind = "premium"
tokens_per_minute = "many"

[[resource.deployment]]
name = "a"
units = 15
requests_per_minute = 99999999999999999999
header_style = "few"

[[resource.deployment]]
name = "a"
kind = "provisioned"
spillover = "b"
wording = "typed"
"#;
        assert_eq!(
            mistakes(text),
            [
                r#"line 1: default_resource: "nowhere" is no resource of this file: there are ["con toso"]"#,
                r#"line 2: sed: there is no such key; did you mean "seed"?"#,
                "line 4: latency.first_token_ms: is out of range; give a number of 0 or more, such as 250",
                r#"line 7: resource[0].name: "con toso" cannot be a resource's name; give letters, digits and hyphens (and not "openai" or "models")"#,
                r#"line 8: resource[0].api_keys: give a list of strings, such as ["a-secret-of-your-choice"]"#,
                r#"line 10: resource[0].deployment[0].name: is missing; give a string, such as "gpt-4o""#,
                r#"line 11: resource[0].deployment[0].kind: "premium" is none of "standard", "provisioned", "unlimited""#,
                r#"line 12: resource[0].deployment[0].tokens_per_minute: "many" is a string; give a whole number, such as 30000"#,
                "line 16: resource[0].deployment[1].units: only a provisioned deployment has this; leave it out",
                "line 17: resource[0].deployment[1].requests_per_minute: 99999999999999999999 is out of range; give from 0 to 1000000000",
                r#"line 18: resource[0].deployment[1].header_style: "few" is none of "full", "remaining_only", "minus_one", "absent""#,
                r#"line 21: resource[0].deployment[2].name: "a" is the name of a deployment above"#,
                r#"line 23: resource[0].deployment[2].spillover: "b" is no deployment of this resource: there are ["a", "a"]"#,
                "line 24: resource[0].deployment[2].wording: only a standard deployment has this; leave it out",
            ]
        );
    });
}

#[test]
fn what_is_missing_and_what_is_no_toml() {
    runtime().block_on(async {
        assert_eq!(mistakes(""), ["line 1: resource: is missing; give at least one, as [[resource]]"]);
        let bare = mistakes("[[resource]]\nname = \"a\"\n");
        assert_eq!(bare, ["line 1: resource[0].deployment: is missing; give at least one, as [[resource.deployment]]"]);
        assert!(mistakes("a = \n[[x]\nb")[0].starts_with("line 1: "));
        assert!(mistakes("resource = 1")[0].contains("give a list of tables: [[resource]]"));
        // Keys are never shown.
        let shown = mistakes("[[resource]]\nname = \"a\"\napi_keys = \"s3cret\"\n");
        assert!(shown.iter().any(|line| line.contains("api_keys")));
        assert!(!shown.concat().contains("s3cret"), "{shown:?}");
        let shown = mistakes("[[client]]\nid = \"a\"\nsecret = 31337\n");
        assert!(shown.iter().any(|line| line.contains("client[0].secret: is an integer")), "{shown:?}");
        assert!(!shown.concat().contains("31337"), "{shown:?}");
    });
}

proptest! {
    /// Whatever is in the file: a world or mistakes, no panic.
    #[test]
    fn garbage_is_a_mistake(lines in prop::collection::vec(0..400_usize, 0..30), cut in 0..4_000_usize, noise in any::<String>()) {
        let all: Vec<&str> = file::SAMPLE.lines().collect();
        let mut text: String = lines.iter().map(|line| format!("{}\n", all[line % all.len()])).collect();
        let at = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        text.insert_str(at, &noise);
        runtime().block_on(async {
            let _ = file::world(&text);
        });
    }
}
