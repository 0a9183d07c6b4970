//! What judges say.

use std::{collections::BTreeMap, fmt::Display, time::Duration};

use http::HeaderName;

use super::Findings;
use crate::config::{Limit, Problem, read::nearest};

/// Collects what judges say.
#[derive(Debug, Default)]
pub(super) struct Check {
    pub(super) findings: Findings,
}

/// How many names are listed.
const LISTED: usize = 8;

impl Check {
    pub(super) fn wrong(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.add(Problem::new(key, message));
    }

    pub(super) fn add(&mut self, problem: Problem) {
        self.findings.problems.push(problem);
    }

    pub(super) fn remark(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.add_remark(Problem::new(key, message));
    }

    pub(super) fn add_remark(&mut self, remark: Problem) {
        self.findings.remarks.push(remark);
    }

    pub(super) fn missing(&mut self, key: impl Into<String>, right: &str) {
        self.wrong(key, format!("is missing; write {right}"));
    }

    /// That a name is there, and only once.
    pub(super) fn name<'n>(&mut self, key: String, name: &'n str, what: &str, seen: &mut BTreeMap<&'n str, String>) {
        if name.trim().is_empty() {
            return self.missing(key, &format!("a name for this {what}"));
        }
        if let Some(first) = seen.get(name) {
            return self
                .wrong(key, format!("{name:?} is the name of {first}, too; give each {what} a name of its own"));
        }
        let place = key.strip_suffix(".name").unwrap_or(&key).to_owned();
        seen.insert(name, place);
    }

    /// That a name is one of those that there are in a section.
    pub(super) fn known(&mut self, key: String, name: &str, what: &str, section: &'static str, known: &[&str]) -> bool {
        if known.contains(&name) {
            return true;
        }
        let known: Vec<&str> = known.iter().copied().filter(|name| !name.is_empty()).collect();
        let right = match (nearest(name, known.iter().copied()), known.as_slice()) {
            (Some(near), _) => format!("; write {near:?}"),
            (None, []) => format!(", nor any other; add it under {section}"),
            (None, [one]) => format!("; there is {one:?}"),
            (None, known) => {
                let listed: Vec<String> = known.iter().take(LISTED).map(|name| format!("{name:?}")).collect();
                format!("; there are {}{}", listed.join(", "), if known.len() > LISTED { ", …" } else { "" })
            }
        };
        self.add(Problem::new(key, format!("there is no {what} {name:?}{right}")).depends_on(section));
        false
    }

    pub(super) fn header(&mut self, key: impl Into<String>, name: &str) {
        if HeaderName::try_from(name).is_err() {
            self.wrong(
                key,
                format!("{name:?} is no name of a header; write letters, digits and hyphens, as \"x-agent\""),
            );
        }
    }

    /// That a number which would let nothing through is not 0.
    pub(super) fn above_zero<T: Default + PartialEq>(&mut self, key: String, number: Option<&T>, right: &str) {
        if number.is_some_and(|number| *number == T::default()) {
            self.wrong(key, format!("is 0; {right}"));
        }
    }

    pub(super) fn not_zero(&mut self, key: String, limit: Option<Limit<Duration>>) {
        if limit == Some(Limit::Of(Duration::ZERO)) {
            self.wrong(key, "is 0, and nothing is as quick; write more, or \"unlimited\"");
        }
    }

    /// That a number lies where it should.
    pub(super) fn within(&mut self, key: String, number: Option<f64>, fits: impl Fn(f64) -> bool, right: impl Display) {
        if let Some(number) = number.filter(|number| !fits(*number)) {
            self.wrong(key, format!("is {number}; write {right}"));
        }
    }
}
