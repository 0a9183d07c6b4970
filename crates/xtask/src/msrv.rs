//! Whether the declared Rust version is true.

use std::process::Stdio;

use serde::Deserialize;

use crate::step::cargo;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    rust_version: Option<String>,
    /// `None` for the workspace's own members.
    source: Option<String>,
}

/// Fails if a dependency, of the tests too, asks for a newer Rust than the workspace declares.
pub(crate) fn check() -> Result<(), String> {
    let output = cargo()
        .args(["metadata", "--format-version", "1", "--all-features", "--locked"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata ended with {}", output.status));
    }
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    let declared = env!("CARGO_PKG_RUST_VERSION");
    let newer = newer_than(declared, &metadata.packages);
    if newer.is_empty() {
        println!("Rust {declared} serves all {} packages", metadata.packages.len());
        Ok(())
    } else {
        Err(format!("the workspace declares Rust {declared}, but: {}", newer.join(", ")))
    }
}

fn newer_than(declared: &str, packages: &[Package]) -> Vec<String> {
    let foreign = packages.iter().filter(|package| package.source.is_some());
    foreign
        .filter_map(|package| {
            let asked = package.rust_version.as_deref()?;
            (numbers(asked) > numbers(declared))
                .then(|| format!("{} {} asks for {asked}", package.name, package.version))
        })
        .collect()
}

fn numbers(version: &str) -> [u64; 3] {
    let mut parts = version.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_foreign_packages_that_ask_for_more_are_named() {
        let package = |name: &str, asked: &str, foreign: bool| Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            rust_version: Some(asked.to_owned()),
            source: foreign.then(String::new),
        };
        let packages = [package("old", "1.88", true), package("new", "1.88.1", true), package("ours", "1.95", false)];
        assert_eq!(newer_than("1.88", &packages), ["new 1.0.0 asks for 1.88.1"]);
    }
}
