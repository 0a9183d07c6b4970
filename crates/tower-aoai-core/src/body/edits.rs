//! What is replaced in a text that itself stays as it is.

use std::{error::Error as StdError, fmt, ops::Range};

use bytes::Bytes;

/// Replacements of spans of one source, in the order in which they stand there.
///
/// No two overlap, so that each can be said in terms of the source, whatever was said before.
#[derive(Clone, Default)]
pub(super) struct Edits {
    sorted: Vec<Edit>,
}

#[derive(Clone)]
pub(super) struct Edit {
    pub(super) span: Range<usize>,
    pub(super) with: Bytes,
}

/// Why a body was not changed; it then is what it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EditError {
    /// The span does not lie within the source.
    OutOfRange,
    /// The span overlaps another one that was replaced before.
    Overlap,
    /// A part of the body was sent already.
    Started,
    /// The body is no JSON object, so that it has no members.
    NoObject,
    /// The value of the new member is not one JSON value.
    NotJson,
}

impl Edits {
    /// Adds an edit, in place of an earlier one of the same span; insertions at one place keep their order.
    pub(super) fn put(&mut self, span: Range<usize>, with: Bytes) -> Result<(), EditError> {
        if span.start > span.end {
            return Err(EditError::OutOfRange);
        }
        let key = (span.start, span.end);
        let at = self.sorted.partition_point(|edit| (edit.span.start, edit.span.end) <= key);
        let (before, after) = self.sorted.split_at_mut(at);
        if let Some(last) = before.last_mut() {
            if last.span == span && !span.is_empty() {
                last.with = with;
                return Ok(());
            }
            if last.span.end > span.start {
                return Err(EditError::Overlap);
            }
        }
        if after.first().is_some_and(|next| next.span.start < span.end) {
            return Err(EditError::Overlap);
        }
        self.sorted.insert(at, Edit { span, with });
        Ok(())
    }

    pub(super) fn get(&self, index: usize) -> Option<&Edit> {
        self.sorted.get(index)
    }

    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether something is inserted at this place already.
    pub(super) fn inserts_at(&self, place: usize) -> bool {
        self.sorted.iter().any(|edit| edit.span == (place..place) && !edit.with.is_empty())
    }

    /// How long a source of so many bytes is with all edits.
    pub(super) fn edited_len(&self, source: usize) -> usize {
        let (removed, added) = self.sorted.iter().fold((0, 0_usize), |(removed, added), edit| {
            let added = added.saturating_add(edit.with.len());
            (removed + edit.span.len(), added)
        });
        source.saturating_sub(removed).saturating_add(added)
    }
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfRange => "the span does not lie within the body",
            Self::Overlap => "the span overlaps one that was replaced before",
            Self::Started => "a part of the body was sent already: change a clone of it, which starts anew",
            Self::NoObject => "the body is no JSON object: it can have no members",
            Self::NotJson => "the member's value is not one JSON value",
        })
    }
}

impl StdError for EditError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(edits: &mut Edits, span: Range<usize>, with: &'static str) -> Result<(), EditError> {
        edits.put(span, Bytes::from_static(with.as_bytes()))
    }

    #[test]
    fn edits_touch_but_never_overlap() {
        let mut edits = Edits::default();
        assert_eq!(put(&mut edits, 2..4, "a"), Ok(()));
        for overlapping in [1..3, 3..5, 3..3, 1..5, 2..3, 2..5] {
            assert_eq!(put(&mut edits, overlapping, "x"), Err(EditError::Overlap));
        }
        for beside in [0..2, 4..6, 2..2, 4..4] {
            assert_eq!(put(&mut edits, beside, "b"), Ok(()));
        }
        assert_eq!(edits.len(), 5);
        assert_eq!(edits.edited_len(6), 5);
    }

    #[test]
    fn the_later_edit_of_a_span_stands_and_insertions_add_up() {
        let mut edits = Edits::default();
        put(&mut edits, 1..2, "old").unwrap();
        put(&mut edits, 1..2, "new").unwrap();
        put(&mut edits, 1..1, "first").unwrap();
        put(&mut edits, 1..1, "second").unwrap();
        let order: Vec<_> = edits.sorted.iter().map(|edit| &edit.with[..]).collect();
        assert_eq!(order, [&b"first"[..], b"second", b"new"]);
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "what is refused")]
    fn a_span_that_ends_before_it_starts_is_none() {
        assert_eq!(put(&mut Edits::default(), 2..1, ""), Err(EditError::OutOfRange));
    }
}
