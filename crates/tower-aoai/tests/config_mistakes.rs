//! Wrong configurations, and what is said of each, in full: `config/wrong_files.txt` and `config/wrong_variables.txt`.
#![cfg(feature = "config")]

use tower_aoai::config::{Problems, Sources, Vars};

/// One wrong configuration: what it shows, its text, and what is said of it.
struct Case<'t> {
    name: &'t str,
    text: &'t str,
    said: &'t str,
}

fn cases(table: &str) -> Vec<Case<'_>> {
    let case = |case| {
        let (name, rest) = str::split_once(case, '\n').expect("a name");
        let (text, said) = rest.split_once("--\n").expect("what is said");
        Case { name, text, said: said.trim_end() }
    };
    table.split("== ").skip(1).map(case).collect()
}

fn judge(table: &str, read: impl Fn(&str) -> Result<(), Problems>) -> usize {
    let cases = cases(table);
    let mut wrong = Vec::new();
    for Case { name, text, said } in &cases {
        // With the feature it is none.
        if name.starts_with("Entra") && cfg!(feature = "entra") {
            continue;
        }
        let really = read(text).expect_err(name).to_string();
        if really != *said {
            wrong.push(format!("== {name}\n{text}--\n{really}\n"));
        }
    }
    assert!(wrong.is_empty(), "what is said is now:\n\n{}", wrong.concat());
    cases.len()
}

const SECRETS: [(&str, &str); 5] = [
    ("SECRET_ADDRESS", "ftp://hidden-address"),
    ("SECRET_VERSION", "hidden-version"),
    ("SECRET_NAME", "hidden-name"),
    ("SECRET_WEIGHT", "hidden-weight"),
    ("SECRET_TYPE", "hidden-type"),
];

#[test]
fn wrong_files() {
    let vars: Vars = SECRETS.into_iter().collect();
    let read = |text: &str| Sources::new().vars(vars.clone()).toml_text(text).read().map(|_| ());
    assert!(judge(include_str!("config/wrong_files.txt"), read) >= 40);
}

#[test]
fn wrong_variables() {
    let read = |text: &str| {
        let vars = text.lines().map(|line| line.split_once('=').expect("an assignment")).collect();
        Sources::new().vars(vars).environment().read().map(|_| ())
    };
    assert!(judge(include_str!("config/wrong_variables.txt"), read) >= 15);
}

/// A `main` that returns an error prints its `Debug`: whoever begins with that is told what to do, too.
#[test]
fn a_main_that_fails_says_what_to_do() {
    let problems = Sources::new().vars(Vars::default()).environment().read().expect_err("no endpoint is named");
    assert_eq!(format!("Error: {problems:?}"), format!("Error: \n{problems}"));
}

#[test]
fn no_secret_is_said() {
    for table in [include_str!("config/wrong_files.txt"), include_str!("config/wrong_variables.txt")] {
        for case in cases(table) {
            for secret in ["0123456789", "123456", "hidden-"] {
                assert!(!case.said.contains(secret), "{}: {}", case.name, case.said);
            }
        }
    }
}
