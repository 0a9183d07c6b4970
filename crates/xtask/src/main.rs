//! The project's own tasks. `cargo xtask --help` lists them.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command line program

mod examples;
mod msrv;
mod sdk;
mod step;
mod system_package;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::step::Step;

/// The project's own tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the whole suite: every test, each feature alone, the quickstart, the declared Rust version.
    ///
    /// What needs a package of the system installs it where it can (as root on Debian), else says what to install and
    /// fails. Nothing is skipped.
    Test {
        /// Only the steps whose name contains this.
        #[arg(long, value_name = "WORD")]
        only: Option<String>,
        /// Name the steps, and run none.
        #[arg(long)]
        list: bool,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().task {
        Task::Test { only, list } => test(only.as_deref(), list),
    }
}

fn test(only: Option<&str>, list: bool) -> ExitCode {
    let steps: Vec<Step> =
        step::suite().into_iter().filter(|step| only.is_none_or(|word| step.name.contains(word))).collect();
    if steps.is_empty() {
        eprintln!("no step is named like that: `cargo xtask test --list` names them");
        return ExitCode::from(2);
    }
    if list {
        for step in &steps {
            println!("{:<24} {}", step.name, step.action);
        }
        return ExitCode::SUCCESS;
    }
    let mut failed = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        println!("\n== {}/{} {}: {}", number + 1, steps.len(), step.name, step.action);
        if let Err(why) = step.run() {
            eprintln!("-- {} failed: {why}", step.name);
            failed.push(step.name.as_str());
        }
    }
    if failed.is_empty() {
        println!("\nall {} steps passed", steps.len());
        ExitCode::SUCCESS
    } else {
        eprintln!("\n{} of {} steps failed: {}", failed.len(), steps.len(), failed.join(", "));
        ExitCode::FAILURE
    }
}
