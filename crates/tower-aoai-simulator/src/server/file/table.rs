//! Reading a table key by key, and noting what is wrong with each.

use std::{cell::RefCell, ops::RangeInclusive, time::Duration};

use toml::de::{DeTable, DeValue};

use super::mistakes::Notes;
use crate::server::names::look_up;

/// A table of the file while it is being read.
pub(super) struct Table<'t> {
    notes: &'t Notes<'t>,
    /// Its key from the file's top; empty for the file itself.
    path: String,
    at: usize,
    values: &'t DeTable<'t>,
    /// The keys that were asked for: all that it may have.
    asked: RefCell<Vec<&'static str>>,
}

impl<'t> Table<'t> {
    pub(super) fn new(notes: &'t Notes<'t>, path: String, at: usize, values: &'t DeTable<'t>) -> Self {
        Self { notes, path, at, values, asked: RefCell::default() }
    }

    fn key(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    /// Notes a mistake about a key, at its value if it has one.
    pub(super) fn wrong(&self, name: &str, message: impl Into<String>) {
        let value = self.values.get(name);
        let at = value.map_or(self.at, |value| value.span().start);
        self.notes.note(at, &self.key(name), message);
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    fn value(&self, name: &'static str) -> Option<&'t DeValue<'t>> {
        self.asked.borrow_mut().push(name);
        self.values.get(name).map(toml::Spanned::get_ref)
    }

    fn not(&self, name: &str, value: &DeValue<'_>, wanted: &str) {
        let shown = match value {
            DeValue::String(text) => format!("{text:?}"),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Datetime(value) => value.to_string(),
            DeValue::Array(_) | DeValue::Table(_) => "this".to_owned(),
        };
        self.wrong(name, format!("{shown} is {}; give {wanted}", what(value)));
    }

    /// The same of a value that nobody is to see.
    fn not_that_secret(&self, name: &str, value: &DeValue<'_>, wanted: &str) {
        self.wrong(name, format!("is {}; give {wanted}", what(value)));
    }

    /// A text that must be there and is shown to nobody.
    pub(super) fn secret(&self, name: &'static str, example: &str) -> Option<&'t str> {
        let wanted = format!("a string, such as {example:?}");
        match self.value(name) {
            None => self.wrong(name, format!("is missing; give {wanted}")),
            Some(DeValue::String(text)) if !text.is_empty() => return Some(text),
            Some(DeValue::String(_)) => self.wrong(name, format!("is empty; give {wanted}")),
            Some(other) => self.not_that_secret(name, other, &wanted),
        }
        None
    }

    pub(super) fn text(&self, name: &'static str, example: &str) -> Option<&'t str> {
        match self.value(name)? {
            DeValue::String(text) if !text.is_empty() => Some(text),
            DeValue::String(_) => {
                self.wrong(name, format!("is empty; give a string, such as {example:?}"));
                None
            }
            other => {
                self.not(name, other, &format!("a string, such as {example:?}"));
                None
            }
        }
    }

    /// A text that must be there.
    pub(super) fn needed_text(&self, name: &'static str, example: &str) -> Option<&'t str> {
        if !self.has(name) {
            self.wrong(name, format!("is missing; give a string, such as {example:?}"));
        }
        self.text(name, example)
    }

    pub(super) fn number(&self, name: &'static str, range: RangeInclusive<u64>, example: u64) -> Option<u64> {
        let wanted = format!("a whole number, such as {example}");
        match self.value(name)? {
            DeValue::Integer(number) => {
                let parsed = i128::from_str_radix(number.as_str(), number.radix()).ok();
                let parsed = parsed.and_then(|value| u64::try_from(value).ok());
                let fits = parsed.filter(|value| range.contains(value));
                if fits.is_none() {
                    let (low, high) = (range.start(), range.end());
                    let bounds =
                        if *high == u64::MAX { format!("{low} or more") } else { format!("from {low} to {high}") };
                    self.wrong(name, format!("{number} is out of range; give {bounds}"));
                }
                fits
            }
            other => {
                self.not(name, other, &wanted);
                None
            }
        }
    }

    /// A number of any kind, at least 0.
    pub(super) fn factor(&self, name: &'static str, example: f64) -> Option<f64> {
        let value = self.value(name)?;
        let parsed = match value {
            DeValue::Integer(number) => number.to_string().parse::<f64>().ok(),
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            other => {
                self.not(name, other, &format!("a number, such as {example}"));
                return None;
            }
        };
        let fits = parsed.filter(|value| value.is_finite() && (0.0..=1e9).contains(value));
        if fits.is_none() {
            self.wrong(name, format!("is out of range; give a number of 0 or more, such as {example}"));
        }
        fits
    }

    /// A time, in a unit of so many seconds.
    pub(super) fn time(&self, name: &'static str, unit: f64, example: f64) -> Option<Duration> {
        let units = self.factor(name, example)?;
        Duration::try_from_secs_f64(units * unit).ok()
    }

    pub(super) fn flag(&self, name: &'static str) -> Option<bool> {
        match self.value(name)? {
            DeValue::Boolean(value) => Some(*value),
            other => {
                self.not(name, other, "true or false");
                None
            }
        }
    }

    pub(super) fn choice<T: Copy>(&self, name: &'static str, words: &[(&str, T)]) -> Option<T> {
        let word = self.text(name, words.first().map_or("", |(word, _)| word))?;
        match look_up(words, word) {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(name, error);
                None
            }
        }
    }

    /// Texts that are shown to nobody.
    pub(super) fn secrets(&self, name: &'static str, example: &str) -> Vec<&'t str> {
        let wanted = format!("a list of strings, such as [{example:?}]");
        let array = match self.value(name) {
            None => return Vec::new(),
            Some(DeValue::Array(array)) => array,
            Some(other) => {
                self.not_that_secret(name, other, &wanted);
                return Vec::new();
            }
        };
        let mut texts = Vec::new();
        for item in array {
            match item.get_ref() {
                DeValue::String(text) if !text.is_empty() => texts.push(&**text),
                // What it is instead is not shown: these are keys and the like.
                _ => {
                    let at = item.span().start;
                    self.notes.note(at, &self.key(name), format!("give {wanted}"));
                }
            }
        }
        texts
    }

    pub(super) fn table(&self, name: &'static str) -> Option<Table<'t>> {
        let value = self.value(name)?;
        let at = self.values.get(name).map_or(self.at, |value| value.span().start);
        match value {
            DeValue::Table(values) => Some(Table::new(self.notes, self.key(name), at, values)),
            other => {
                self.not(name, other, &format!("a table: [{}]", self.key(name)));
                None
            }
        }
    }

    pub(super) fn tables(&self, name: &'static str) -> Vec<Table<'t>> {
        let array = match self.value(name) {
            None => return Vec::new(),
            Some(DeValue::Array(array)) => array,
            Some(other) => {
                self.not(name, other, &format!("a list of tables: [[{}]]", self.key(name)));
                return Vec::new();
            }
        };
        let mut tables = Vec::new();
        for (index, item) in array.iter().enumerate() {
            let (path, at) = (format!("{}[{index}]", self.key(name)), item.span().start);
            match item.get_ref() {
                DeValue::Table(values) => {
                    tables.push(Table::new(self.notes, path, at, values));
                }
                _ => self.notes.note(at, &path, "give a table"),
            }
        }
        tables
    }

    /// All that it may have has been asked for: notes every key that was not.
    pub(super) fn done(&self) {
        let asked = self.asked.borrow();
        for (name, _) in self.values {
            let found = &**name.get_ref();
            if asked.contains(&found) {
                continue;
            }
            let message = match nearest(found, &asked) {
                Some(near) => format!("there is no such key; did you mean {near:?}?"),
                None => format!("there is no such key here; there are {}", asked.join(", ")),
            };
            self.notes.note(name.span().start, &self.key(found), message);
        }
    }
}

fn what(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// The known key that differs least, if that is little.
fn nearest(found: &str, known: &[&'static str]) -> Option<&'static str> {
    let distances = known.iter().map(|name| (distance(found, name), *name));
    let (distance, name) = distances.min()?;
    (distance <= 2 || distance * 3 <= found.len()).then_some(name)
}

/// How many letters have to be added, removed or replaced.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    // A key longer than any of ours needs no exact figure.
    for (index, letter) in from.chars().take(64).enumerate() {
        let mut next = vec![index + 1];
        for (at, other) in to.iter().enumerate() {
            let replaced = row.get(at).copied().unwrap_or_default() + usize::from(letter != *other);
            let removed = row.get(at + 1).copied().unwrap_or_default() + 1;
            let added = next.get(at).copied().unwrap_or_default() + 1;
            next.push(replaced.min(removed).min(added));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
