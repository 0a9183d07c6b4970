//! Reading variables, and noting what is wrong with each.

use std::{collections::HashMap, str::FromStr, sync::Arc, time::Duration};

use super::{AGENT, KNOWN};
use crate::config::{Problem, Secret, Vars, hidden::Hidden, problem::Place, read::nearest};

/// Variables, while they are being read.
#[derive(Debug)]
pub(super) struct Reader<'v> {
    vars: &'v Vars,
    read: Read,
}

/// What is known of variables when they have been read.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) problems: Vec<Problem>,
    pub(crate) remarks: Vec<Problem>,
    /// Which variable says a setting.
    variables: HashMap<String, Arc<str>>,
    /// Settings of which all has been told.
    told: Vec<String>,
    hidden: Hidden,
}

impl<'v> Reader<'v> {
    pub(super) fn new(vars: &'v Vars) -> Self {
        Self { vars, read: Read::default() }
    }

    pub(super) fn vars(&self) -> &'v Vars {
        self.vars
    }

    /// Whether a variable is set to something.
    pub(super) fn is_set(&self, variable: &str) -> bool {
        self.vars.is_unreadable(variable) || self.vars.get(variable).is_some_and(|value| !value.trim().is_empty())
    }

    /// The text of a variable that says the setting `key`; one that is empty is not set.
    pub(super) fn text(&mut self, variable: &str, key: &str) -> Option<&'v str> {
        if self.vars.is_unreadable(variable) {
            self.wrong(variable, key, "what it is set to is no UTF-8; set it to a text");
            return None;
        }
        let value = self.vars.get(variable)?.trim();
        self.says(variable, key);
        if is_quoted(value) {
            self.told(key);
            return None;
        }
        (!value.is_empty()).then_some(value)
    }

    pub(super) fn secret(&mut self, variable: &str, key: &str) -> Option<Secret> {
        let value = self.text(variable, key)?;
        Some(self.hide(value))
    }

    pub(super) fn hide(&mut self, value: &str) -> Secret {
        self.read.hidden.add(value);
        Secret::from(value)
    }

    /// Remembers which variable says a setting, and all below it.
    pub(super) fn says(&mut self, variable: &str, key: &str) {
        self.read.variables.insert(key.to_owned(), variable.into());
    }

    pub(super) fn wrong(&mut self, variable: &str, key: &str, message: impl Into<String>) {
        self.read.problems.push(Problem::new(key, message).at(Place::Variable(variable.into())));
    }

    /// What is wrong with none of them in particular.
    pub(super) fn wrong_overall(&mut self, key: &str, message: impl Into<String>) {
        self.read.problems.push(Problem::new(key, message));
    }

    /// Of this setting nothing more needs to be said.
    pub(super) fn told(&mut self, key: &str) {
        self.read.told.push(key.to_owned());
    }

    pub(super) fn remark(&mut self, variable: &str, message: impl Into<String>) {
        self.read.remarks.push(Problem::new("", message).at(Place::Variable(variable.into())));
    }

    fn parsed<T>(
        &mut self,
        variable: &str,
        key: &str,
        parse: impl Fn(&str) -> Option<T>,
        what: &str,
        example: &str,
    ) -> Option<T> {
        let text = self.text(variable, key)?;
        let value = parse(text);
        if value.is_none() {
            self.wrong(variable, key, format!("{text:?} is no {what}; set it to one, such as {example}"));
        }
        value
    }

    /// A whole number, such as the example.
    pub(super) fn whole<T: FromStr>(&mut self, variable: &str, key: &str, example: &str) -> Option<T> {
        self.parsed(variable, key, |text| text.parse().ok(), "whole number", example)
    }

    /// A whole number of 1 or more.
    pub(super) fn count<T: FromStr + Default + PartialEq>(
        &mut self,
        variable: &str,
        key: &str,
        example: &str,
    ) -> Option<T> {
        let parse = |text: &str| text.parse().ok().filter(|number| *number != T::default());
        self.parsed(variable, key, parse, "whole number of 1 or more", example)
    }

    /// A factor of 1 or more.
    pub(super) fn factor(&mut self, variable: &str, key: &str) -> Option<f64> {
        let parse = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 1.0);
        self.parsed(variable, key, parse, "number of 1 or more", "2")
    }

    pub(super) fn seconds(&mut self, variable: &str, key: &str, example: &str) -> Option<Duration> {
        let parse = |text: &str| time(text, 1.0).filter(|time| !time.is_zero());
        self.parsed(variable, key, parse, "number of seconds above 0", example)
    }

    pub(super) fn millis(&mut self, variable: &str, key: &str, example: &str) -> Option<Duration> {
        self.parsed(variable, key, |text| time(text, 1e-3), "number of milliseconds", example)
    }

    pub(super) fn flag(&mut self, variable: &str, key: &str) -> Option<bool> {
        let text = self.text(variable, key)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => {
                self.wrong(variable, key, format!("{text:?} is neither true nor false; set it to one of the two"));
                None
            }
        }
    }

    /// Tells of values in quotes, once each: what stands in them is not read.
    pub(super) fn look_for_quotes(&mut self, is_asked: impl Fn(&str) -> bool) {
        let vars = self.vars;
        let is_quoted = |name: &str| vars.get(name).is_some_and(|value| is_quoted(value.trim()));
        for name in vars.names().filter(|name| is_asked(name) && is_quoted(name)) {
            self.wrong(name, "", "stands in quotes, which are a part of what it is set to; set it without them");
        }
    }

    /// Tells of variables whose names are nearly one that has a meaning.
    pub(super) fn look_for_misspellings(&mut self) {
        let ours = ["AZURE_OPENAI_", "CIRCUIT_BREAKER_", "USE_AZURE_OPENAI_", "AOAI_"];
        for name in self.vars.names() {
            let is_ours = ours.iter().any(|start| name.starts_with(start));
            if !is_ours || KNOWN.contains(&name) || name.ends_with(AGENT) {
                continue;
            }
            if let Some(near) = nearest(name, KNOWN).filter(|near| strsim::damerau_levenshtein(name, near) <= 2) {
                self.remark(name, format!("has no meaning here; is {near} meant?"));
            }
        }
    }

    pub(super) fn done(self) -> Read {
        let Read { problems, remarks, variables, told, hidden } = self.read;
        let keep_out = |problems: Vec<Problem>| problems.into_iter().map(|problem| hidden.keep_out(problem)).collect();
        Read { problems: keep_out(problems), remarks: keep_out(remarks), variables, told, hidden }
    }
}

/// Whoever reads `NAME="value"` without a shell, as containers do, has the quotes in it. No value of ours has them.
fn is_quoted(value: &str) -> bool {
    let mut inner = value.chars();
    value.len() > 1 && inner.next() == inner.next_back() && value.starts_with(['"', '\''])
}

/// A number of units of so many seconds, of at most 136 years.
fn time(text: &str, unit: f64) -> Option<Duration> {
    let time = Duration::try_from_secs_f64(text.parse::<f64>().ok()? * unit).ok()?;
    (time.as_secs() <= u32::MAX.into()).then_some(time)
}

impl Read {
    /// Whether all that is wrong with a setting has been told.
    pub(crate) fn has_told(&self, key: &str) -> bool {
        self.told.iter().any(|told| told == key)
    }

    /// A problem of the whole, with the variable in which it stands, if it stands in one.
    pub(crate) fn locate(&self, problem: Problem) -> Problem {
        let mut key = problem.key();
        let variable = loop {
            if let Some(variable) = self.variables.get(key) {
                break Some(Arc::clone(variable));
            }
            match key.rfind(['.', '[']) {
                Some(end) => key = &key[..end],
                None => break None,
            }
        };
        self.hidden.keep_out(match variable {
            Some(variable) => problem.at(Place::Variable(variable)),
            None => problem,
        })
    }
}
