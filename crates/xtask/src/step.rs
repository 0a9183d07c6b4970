//! The steps of the suite.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    examples, msrv,
    sdk::Sdk,
    system_package::{NODE, PYTHON, SystemPackage},
};

/// One step: what the system must have for it, and what is done.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) needs: &'static [SystemPackage],
    pub(crate) action: Action,
}

pub(crate) enum Action {
    /// `cargo` with these arguments.
    Cargo(Vec<&'static str>),
    /// The small examples, each run.
    Examples,
    /// An official SDK against the simulator's server.
    Sdk(Sdk),
    /// The declared Rust version against those of the dependencies.
    CheckRustVersion,
}

/// Every feature of the `tower-aoai` crate: one for each layer, and what is large.
const FEATURES: &[&str] = &[
    "balance",
    "batch",
    "cache",
    "circuit-breaker",
    "config",
    "context-window",
    "cost",
    "endpoint",
    "entra",
    "fallback",
    "merge",
    "metrics",
    "native-roots",
    "retry-after",
    "service-builder",
    "stack",
    "statistics",
    "telemetry",
    "token-bucket",
    "transport",
    "bpe",
    "chunk",
];

pub(crate) fn suite() -> Vec<Step> {
    let mut steps = vec![
        Step::cargo("tests", &["test", "--workspace", "--all-targets"]),
        Step::cargo("doc-tests", &["test", "--workspace", "--doc"]),
        Step::cargo("no-features", &["check", "--package", "tower-aoai", "--no-default-features"]),
    ];
    steps.extend(FEATURES.iter().map(|feature| {
        let mut step = Step::cargo("", &["check", "--package", "tower-aoai", "--no-default-features", "--features"]);
        if let Action::Cargo(arguments) = &mut step.action {
            arguments.push(feature);
        }
        step.name = format!("feature-{feature}");
        step
    }));
    steps.push(Step::cargo(
        "entra",
        &["test", "--package", "tower-aoai-endpoint", "--features", "entra", "--test", "entra"],
    ));
    steps.push(Step::cargo(
        "metrics",
        &["test", "--package", "tower-aoai", "--features", "metrics", "--test", "telemetry_*"],
    ));
    steps.push(Step::cargo("quickstart", &["run", "--example", "quickstart"]));
    steps.push(Step { name: "examples".to_owned(), needs: &[], action: Action::Examples });
    steps.push(Step::cargo("statistics", &["run", "--example", "statistics"]));
    steps.push(Step { name: "sdk-python".to_owned(), needs: &[PYTHON], action: Action::Sdk(Sdk::Python) });
    steps.push(Step { name: "sdk-node".to_owned(), needs: &[NODE], action: Action::Sdk(Sdk::Node) });
    steps.push(Step { name: "rust-version".to_owned(), needs: &[], action: Action::CheckRustVersion });
    steps
}

impl Step {
    fn cargo(name: &str, arguments: &[&'static str]) -> Self {
        Self { name: name.to_owned(), needs: &[], action: Action::Cargo(arguments.to_vec()) }
    }

    pub(crate) fn run(&self) -> Result<(), String> {
        for package in self.needs {
            package.ensure()?;
        }
        match &self.action {
            Action::Cargo(arguments) => run(cargo().args(arguments)),
            Action::Examples => examples::check(),
            Action::Sdk(sdk) => sdk.check(),
            Action::CheckRustVersion => msrv::check(),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cargo(arguments) => write!(f, "cargo {}", arguments.join(" ")),
            Self::Examples => f.write_str("the small examples, each of which must keep what it promises"),
            Self::Sdk(sdk) => write!(f, "the official {sdk} SDK against the simulator's server"),
            Self::CheckRustVersion => f.write_str("no dependency asks for a newer Rust than the workspace declares"),
        }
    }
}

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status = command.stdin(Stdio::null()).status().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_of_the_facade_has_its_step() {
        let manifest = include_str!("../../tower-aoai/Cargo.toml");
        let features = manifest.split("[features]").nth(1).unwrap().split("\n[").next().unwrap();
        let mut declared: Vec<_> =
            features.lines().filter_map(|line| line.split_once(" = [")).map(|(name, _)| name).collect();
        declared.retain(|name| *name != "default");
        declared.sort_unstable();
        let mut checked = FEATURES.to_vec();
        checked.sort_unstable();
        assert_eq!(declared, checked);
    }
}
