//! The small examples, built at once and run one after the other: each ends by itself, and badly where what it promises
//! does not happen. Each is run for nobody, too: whoever reads it may go away, as `head` does, and that is no error.

use std::{io, process::Command};

use crate::step::{cargo, run, target};

/// Those that are run as they are.
const SMALL: &[&str] = &[
    "any_call",
    "async_openai",
    "axum_app",
    "batches_with_pauses",
    "bill",
    "budget_alert",
    "cached_embeddings",
    "client_limiter",
    "entra",
    "from_environment",
    "growing_chat",
    "health",
    "multi_region",
    "on_retry",
    "over_http",
    "plain_hyper",
    "prometheus",
    "prompt_optimiser",
    "provider_chain",
    "ptu_first",
    "recovery",
    "reqwest_above",
    "reqwest_below",
    "resilient_service",
    "round_robin",
    "scope",
    "service_fn",
    "tpm_and_rpm",
    "transient_fault",
];

pub(crate) fn check() -> Result<(), String> {
    // Of the whole workspace, as its tests are built: of one package the dependencies would be built anew.
    run(cargo().args(["build", "--workspace", "--examples"]))?;
    let programs = target().join("debug/examples");
    let mut failed = Vec::new();
    for name in SMALL {
        println!("\n-- {name}");
        let ended = run(&mut Command::new(programs.join(name))).and_then(|()| {
            let unread = io::pipe().map_err(|error| format!("a pipe: {error}"))?.1;
            run(Command::new(programs.join(name)).stdout(unread))
                .map_err(|why| format!("with nobody who reads it: {why}"))
        });
        if let Err(why) = ended {
            eprintln!("-- {why}");
            failed.push(*name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("{} of {}: {}", failed.len(), SMALL.len(), failed.join(", "))) }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::step::root;

    /// Two have a step of their own, one runs until it is stopped, and three measure for minutes.
    const OTHERS: &[&str] = &["quickstart", "simulator", "statistics", "outage", "overload", "spill"];

    /// The names of the files in a folder, those in Rust; of none where there is no such folder.
    fn sources(folder: &Path) -> Vec<String> {
        let files = fs::read_dir(folder).into_iter().flatten().map(|file| file.unwrap().path());
        let sources = files.filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
        sources.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_example_is_run() {
        let manifest = include_str!("../../../examples/Cargo.toml");
        let names = manifest.split("[[example]]").skip(1).filter_map(|entry| entry.split('"').nth(1));
        let mut declared: Vec<_> = names.map(str::to_owned).collect();
        for package in fs::read_dir(root().join("crates")).unwrap() {
            declared.extend(sources(&package.unwrap().path().join("examples")));
        }
        declared.sort_unstable();
        let mut run = [SMALL, OTHERS].concat();
        run.sort_unstable();
        assert_eq!(declared, run);
    }
}
