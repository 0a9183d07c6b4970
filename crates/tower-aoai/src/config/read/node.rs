//! One value of the text.

use std::{borrow::Cow, ops::Range};

use toml::de::DeValue;

use super::{
    document::Document,
    substitute::{Unsubstituted, Why, substitute},
    table::Table,
};
use crate::config::problem::Problem;

/// How a section is written.
pub(crate) const TABLE: &str = "a table";

/// A value of the text, while it is being read.
#[derive(Debug)]
pub(crate) struct Node<'d> {
    document: &'d Document<'d>,
    key: String,
    span: Range<usize>,
    value: &'d DeValue<'d>,
}

impl<'d> Node<'d> {
    pub(super) fn new(document: &'d Document<'d>, key: String, span: Range<usize>, value: &'d DeValue<'d>) -> Self {
        document.remember(&key, span.clone());
        Self { document, key, span, value }
    }

    /// Notes that this is wrong.
    pub(crate) fn wrong(&self, message: impl Into<String>) {
        self.document.note(Problem::new(self.key.clone(), message), self.span.clone());
    }

    /// Notes that this is something else than what is wanted.
    pub(crate) fn not(&self, wanted: &str) {
        self.document.show(self.span.clone());
        self.wrong(format!("{} is {}; write {wanted}", self.written(), self.kind()));
    }

    /// Notes that this is of the right type and nothing else.
    pub(crate) fn unfit(&self, wanted: &str) {
        self.document.show(self.span.clone());
        self.wrong(format!("{} does not fit; write {wanted}", self.written()));
    }

    /// As it stands in the text.
    pub(crate) fn written(&self) -> String {
        match self.value {
            DeValue::String(text) => format!("{text:?}"),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Datetime(value) => value.to_string(),
            DeValue::Array(_) | DeValue::Table(_) => "this".to_owned(),
        }
    }

    const fn kind(&self) -> &'static str {
        match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }

    /// What it is, for whoever is not after a secret: a number may be shown from now on.
    pub(crate) fn value(&self) -> &'d DeValue<'d> {
        if !matches!(self.value, DeValue::String(_)) {
            self.document.show(self.span.clone());
        }
        self.value
    }

    /// Its text, with variables in their places, which may be shown as it was written; `None` if it is no text, which
    /// is for the caller to note, or if a variable is missing, which is noted here.
    pub(crate) fn text(&self, wanted: &str) -> Option<Cow<'d, str>> {
        let Some(text) = self.value.as_str() else {
            self.not(wanted);
            return None;
        };
        self.document.show(self.span.clone());
        let (value, is_changed) = self.substituted(text)?;
        if !is_changed {
            return Some(Cow::Owned(value));
        }
        self.document.came_from(&self.key, text, &value);
        Some(Cow::Owned(value))
    }

    /// The text of a variable in a number's place.
    pub(crate) fn variable_text(&self) -> Option<Cow<'d, str>> {
        self.value.as_str().filter(|text| text.contains("${")).and_then(|_| self.text(""))
    }

    /// Its text, which is shown to nobody, in whatever form.
    pub(crate) fn secret(&self) -> Option<String> {
        let Some(text) = self.value.as_str() else {
            self.wrong(format!("this is {}; write a string, best \"${{NAME_OF_A_VARIABLE}}\"", self.kind()));
            return None;
        };
        self.document.hide(text);
        let (value, _) = self.substituted(text)?;
        self.document.hide(&value);
        Some(value)
    }

    fn substituted(&self, text: &str) -> Option<(String, bool)> {
        let wrong = match substitute(text, |name| self.document.vars().get(name).map(str::to_owned)) {
            Ok(done) => return Some(done),
            Err(wrong) => wrong,
        };
        for Unsubstituted { at, why } in wrong {
            let message = match why {
                Why::Unset(name) => {
                    format!(
                        "the variable {name} is not set; set it, or write ${{{name}:-value}} for what holds without"
                    )
                }
                Why::NoName => {
                    "what stands in ${…} is no name of a variable; write ${NAME}, or $$ for a dollar".to_owned()
                }
                Why::Open => "${ has no closing brace; write ${NAME}, or $$ for a dollar".to_owned(),
            };
            // Where the text stands as it is in its quotes, the variable itself can be pointed at.
            let whole = self.span.clone();
            let span = if whole.len() == text.len() + 2 {
                let start = whole.start + 1;
                start + at.start..start + at.end
            } else {
                whole
            };
            self.document.note(Problem::new(self.key.clone(), message), span);
        }
        None
    }

    /// The table that it is.
    pub(crate) fn table(&self) -> Option<Table<'d>> {
        match self.value {
            DeValue::Table(values) => Some(Table::new(self.document, self.key.clone(), values)),
            _ => {
                self.not(&format!("a table: [{}], or {{ … }}", self.key));
                None
            }
        }
    }

    /// The values of the list that it is.
    pub(crate) fn list(&self, of: &str) -> Option<Vec<Self>> {
        let DeValue::Array(array) = self.value else {
            let is_of_tables = of == TABLE;
            let right =
                if is_of_tables { format!("[[{}]] above its keys", self.key) } else { format!("a list of {of}") };
            self.not(&right);
            return None;
        };
        let nodes = array.iter().enumerate();
        Some(
            nodes
                .map(|(index, value)| {
                    Self::new(self.document, format!("{}[{index}]", self.key), value.span(), value.get_ref())
                })
                .collect(),
        )
    }
}
