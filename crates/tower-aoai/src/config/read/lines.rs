//! Lines of a text, and what of them may be shown.

use std::{ops::Range, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::config::problem::{Excerpt, Marked};

/// Stands where something is not shown.
const HIDDEN: &str = "***";

/// The widest line that is shown, in characters.
const WIDEST: usize = 160;

/// The longest line that is looked at, in bytes: values that are not shown shorten it.
const LONGEST: usize = 1_024;

/// A text that has places.
#[derive(Debug)]
pub(super) struct Lines<'t> {
    pub(super) file: Arc<str>,
    pub(super) text: &'t str,
}

impl Lines<'_> {
    /// The line and the column of a place, from 1, with nothing shown.
    pub(super) fn place(&self, at: usize) -> Excerpt {
        let at = self.boundary(at);
        let start = self.start_of_line(at);
        let before = &self.text[..start];
        let line = before.matches('\n').count() + 1;
        let column = self.text[start..at].chars().count() + 1;
        Excerpt { file: Arc::clone(&self.file), line, column, shown: None }
    }

    /// With the line, of whose values only those in `shown` are; comments are not.
    pub(super) fn excerpt(&self, span: &Range<usize>, values: &[Range<usize>], shown: &[Range<usize>]) -> Excerpt {
        let mut excerpt = self.place(span.start);
        let (from, to) = (self.boundary(span.start), self.boundary(span.end));
        let start = self.start_of_line(from);
        let end = self.text[start..].find('\n').map_or(self.text.len(), |length| start + length);
        if end - start > LONGEST {
            return excerpt;
        }
        let mut line = Marked { text: String::new(), from: 0, width: 0 };
        let mut at = start;
        while at < end {
            if at == from {
                line.from = width_of(&line.text);
            }
            let value = values.iter().find(|value| value.contains(&at));
            // Never over where what is meant begins or ends, so that its place in what is shown can be told.
            let cut = |end: usize| [from, to, end].into_iter().filter(|stop| *stop > at).min().unwrap_or(end).min(end);
            let next = match value {
                Some(value) if shown.contains(value) => {
                    let next = cut(value.end.min(end));
                    line.text.push_str(&self.text[at..next]);
                    next
                }
                Some(value) => {
                    if value.contains(&from) {
                        (line.from, line.width) = (width_of(&line.text), HIDDEN.len());
                    }
                    line.text.push_str(HIDDEN);
                    value.end.min(end)
                }
                None => {
                    let behind = values.iter().map(|value| value.start).filter(|start| *start > at).min();
                    let next = cut(behind.unwrap_or(end).min(end));
                    let piece = &self.text[at..next];
                    let comment = piece.find('#');
                    line.text.push_str(&piece[..comment.unwrap_or(piece.len())]);
                    if comment.is_some() { end } else { next }
                }
            };
            if from <= at && at < to {
                line.width = line.width.max(width_of(&line.text).saturating_sub(line.from));
            }
            at = next;
        }
        line.text = line.text.trim_end().replace(['\t', '\r'], " ");
        line.width = line.width.min(width_of(&line.text).saturating_sub(line.from)).max(1);
        excerpt.shown = (line.from + line.width <= WIDEST && width_of(&line.text) <= WIDEST).then_some(line);
        excerpt
    }

    /// The line up to its `=`, for where nobody knows what the rest is.
    pub(super) fn key_alone(&self, at: usize) -> Excerpt {
        let mut excerpt = self.place(at);
        let at = self.boundary(at);
        let start = self.start_of_line(at);
        let line = self.text[start..].lines().next().unwrap_or_default();
        let is_key = |text: &str| {
            !text.trim().is_empty()
                && text.chars().all(|letter| letter.is_ascii_alphanumeric() || " \t_-.".contains(letter))
        };
        if let Some((key, _)) = line.split_once('=').filter(|(key, _)| is_key(key)) {
            let text = format!("{key}= {HIDDEN}").replace('\t', " ");
            let from = (excerpt.column - 1).min(width_of(&text) - 1);
            excerpt.shown = (width_of(&text) <= WIDEST).then_some(Marked { text, from, width: 1 });
        } else if line.trim_start().starts_with('[') && is_key(line.trim().trim_matches(['[', ']'])) {
            let text = line.trim_end().replace('\t', " ");
            let from = (excerpt.column - 1).min(width_of(&text));
            excerpt.shown = (width_of(&text) <= WIDEST).then_some(Marked { text, from, width: 1 });
        }
        excerpt
    }

    /// Whether what is given in a line begins as nothing else than a number, or a word.
    pub(super) fn is_unquoted(&self, at: usize) -> bool {
        let line = self.text[self.start_of_line(self.boundary(at))..].lines().next().unwrap_or_default();
        line.split_once('=').is_some_and(|(_, value)| value.trim_start().starts_with(char::is_alphanumeric))
    }

    fn start_of_line(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    fn boundary(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        (0..=at).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0)
    }
}

fn width_of(text: &str) -> usize {
    text.chars().count()
}

/// Where the values of a table that have no parts stand.
pub(super) fn leaves(table: &DeTable<'_>) -> Vec<Range<usize>> {
    fn collect(value: &Spanned<DeValue<'_>>, leaves: &mut Vec<Range<usize>>) {
        match value.get_ref() {
            DeValue::Array(array) => array.iter().for_each(|value| collect(value, leaves)),
            DeValue::Table(table) => table.values().for_each(|value| collect(value, leaves)),
            _ => leaves.push(value.span()),
        }
    }
    let mut all = Vec::new();
    table.values().for_each(|value| collect(value, &mut all));
    all
}
