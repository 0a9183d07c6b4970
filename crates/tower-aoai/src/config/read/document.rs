//! One text of TOML, while it is being read.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::Range,
};

use toml::de::DeTable;

use super::{
    lines::{Lines, leaves},
    table::Table,
};
use crate::config::{
    Vars,
    hidden::Hidden,
    problem::{Place, Problem},
};

/// What has been asked of the tables of one kind, and what they had: by the key with all indices left out.
pub(crate) type Asked = BTreeMap<String, BTreeSet<String>>;

/// One text of TOML: what was wrong with it so far, and where its settings stand.
#[derive(Debug)]
pub(crate) struct Document<'t> {
    lines: Lines<'t>,
    vars: &'t Vars,
    found: RefCell<Found>,
    /// Which keys there may be, and which there are.
    asked: RefCell<Asked>,
    present: RefCell<BTreeSet<String>>,
}

#[derive(Debug, Default)]
struct Found {
    problems: Vec<(Problem, Option<Range<usize>>)>,
    places: HashMap<String, Range<usize>>,
    /// Values that may be shown, as they stand in the text.
    shown: Vec<Range<usize>>,
    /// The keys of values that came out of variables.
    substituted: HashSet<String>,
    hidden: Hidden,
}

/// All that is known of a text when it has been read.
#[derive(Debug)]
pub(crate) struct Reading<'t> {
    lines: Lines<'t>,
    values: Vec<Range<usize>>,
    found: Found,
    /// Nothing that follows from the whole is to be judged.
    pub(crate) is_broken: bool,
}

impl<'t> Document<'t> {
    pub(crate) fn new(file: &str, text: &'t str, vars: &'t Vars) -> Self {
        let lines = Lines { file: file.into(), text };
        let (asked, present) = (RefCell::default(), RefCell::default());
        Self { lines, vars, found: RefCell::default(), asked, present }
    }

    /// Reads the whole of it by `read`.
    pub(crate) fn read<T>(self, read: impl FnOnce(&Table<'_>) -> T) -> (T, Reading<'t>) {
        let (value, values, is_broken) = {
            let (table, errors) = DeTable::parse_recoverable(self.lines.text);
            let mut broken = BTreeSet::new();
            for error in &errors {
                let at = error.span().map_or(0, |span| span.start);
                let place = self.lines.key_alone(at);
                // What else is wrong in the line follows from the first.
                if !broken.insert(place.line) {
                    continue;
                }
                let what = error.message().trim_end_matches(", expected nothing");
                let hint = if self.lines.is_unquoted(at) { "; write texts in \"quotes\"" } else { "" };
                let message = format!("this is no TOML: {what}{hint}");
                self.found.borrow_mut().problems.push((Problem::new("", message).at(Place::File(place)), None));
            }
            let value = read(&Table::new(&self, String::new(), table.get_ref()));
            // What stands in a line that could not be read may be anything.
            self.found.borrow_mut().problems.retain(|(_, span)| {
                span.as_ref().is_none_or(|span| !broken.contains(&self.lines.place(span.start).line))
            });
            (value, leaves(table.get_ref()), !errors.is_empty())
        };
        let Self { lines, found, .. } = self;
        (value, Reading { lines, values, found: found.into_inner(), is_broken })
    }

    /// Which keys there may be, and which there are.
    #[cfg(test)]
    pub(crate) fn keys<T>(&self, read: impl FnOnce(&Table<'_>) -> T) -> (Asked, BTreeSet<String>) {
        let (table, _) = DeTable::parse_recoverable(self.lines.text);
        read(&Table::new(self, String::new(), table.get_ref()));
        (self.asked.borrow().clone(), self.present.borrow().clone())
    }

    pub(super) fn vars(&self) -> &Vars {
        self.vars
    }

    pub(super) fn note(&self, problem: Problem, span: Range<usize>) {
        self.found.borrow_mut().problems.push((problem, Some(span)));
    }

    pub(super) fn remember(&self, key: &str, span: Range<usize>) {
        self.found.borrow_mut().places.insert(key.to_owned(), span);
    }

    pub(super) fn show(&self, span: Range<usize>) {
        self.found.borrow_mut().shown.push(span);
    }

    pub(super) fn came_from(&self, key: &str, raw: &str, value: &str) {
        let mut found = self.found.borrow_mut();
        found.substituted.insert(key.to_owned());
        found.hidden.in_place_of(value, raw);
    }

    pub(super) fn hide(&self, secret: &str) {
        self.found.borrow_mut().hidden.add(secret);
    }

    pub(super) fn ask(&self, path: &str, key: &str, is_there: bool) {
        let kind = |path: &str| -> String {
            let parts = path.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest));
            parts.collect()
        };
        self.asked.borrow_mut().entry(kind(path)).or_default().insert(key.to_owned());
        if is_there {
            self.present.borrow_mut().insert(kind(&join(path, key)));
        }
    }
}

/// The key of an entry of a table, as TOML has it.
pub(crate) fn join(path: &str, key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let key =
        if !key.is_empty() && key.bytes().all(is_bare) { Cow::Borrowed(key) } else { Cow::Owned(format!("{key:?}")) };
    if path.is_empty() { key.into_owned() } else { format!("{path}.{key}") }
}

impl Reading<'_> {
    /// What was wrong in reading, with its places.
    pub(crate) fn problems(&mut self) -> Vec<Problem> {
        let problems = std::mem::take(&mut self.found.problems);
        let placed = problems.into_iter().map(|(problem, span)| match span {
            // What is a value is not known for certain.
            Some(span) if self.is_broken => problem.at(Place::File(self.lines.key_alone(span.start))),
            Some(span) => problem.at(Place::File(self.lines.excerpt(&span, &self.values, &self.found.shown))),
            None => problem,
        });
        placed.map(|problem| self.found.hidden.keep_out(problem)).collect()
    }

    /// What stands at a key has turned out to be a secret.
    pub(crate) fn hide(&mut self, key: &str) {
        let Some(span) = self.found.places.get(key) else {
            return;
        };
        self.found.shown.retain(|shown| shown != span);
        let text = self.lines.text.get(span.clone()).unwrap_or_default();
        self.found.hidden.add(text.trim_matches(['"', '\'']));
    }

    /// The problem, without anything that must not be shown.
    pub(crate) fn keep_out(&self, problem: Problem) -> Problem {
        self.found.hidden.keep_out(problem)
    }

    /// A problem of the whole, with the place of its key, or of what is nearest to it.
    pub(crate) fn locate(&self, mut problem: Problem) -> Problem {
        if self.found.substituted.contains(problem.key()) {
            problem.hide();
        }
        let mut key = problem.key();
        let place = loop {
            if let Some(span) = self.found.places.get(key) {
                break Some(span.clone());
            }
            match key.rfind(['.', '[']) {
                Some(end) => key = &key[..end],
                None => break None,
            }
        };
        match place {
            Some(span) => {
                let excerpt = self.lines.excerpt(&span, &self.values, &self.found.shown);
                self.found.hidden.keep_out(problem.at(Place::File(excerpt)))
            }
            None => self.found.hidden.keep_out(problem),
        }
    }
}
