//! What can be told of an event without parsing it.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::{EventError, Meaning};
use crate::sse::Event;

struct Needles {
    usage: Finder<'static>,
    error: Finder<'static>,
    finish_reason: Finder<'static>,
    kind: Finder<'static>,
    delta: Finder<'static>,
    text: Finder<'static>,
}

/// With their quotes: inside a string a quote is escaped, so that prompt text cannot look like a member.
static NEEDLES: LazyLock<Needles> = LazyLock::new(|| Needles {
    usage: Finder::new(b"\"usage\""),
    error: Finder::new(b"\"error\""),
    finish_reason: Finder::new(b"\"finish_reason\""),
    kind: Finder::new(b"\"type\""),
    delta: Finder::new(b"\"delta\""),
    text: Finder::new(b"\"text\""),
});

/// The meaning of an event in which nothing but output is to be expected; `None` if it has to be parsed.
///
/// For streams whose first content was seen: an event that looks like none of the others counts as content if it has
/// a `delta` or a `text`.
pub(super) fn without_parsing(event: &Event<'_>) -> Option<Meaning<'static>> {
    let needles = &*NEEDLES;
    let data = event.data;
    if let Some(kind) = response_kind(event) {
        let meaning = of_response_kind(kind);
        return matches!(meaning, Meaning::Content | Meaning::Structure).then_some(meaning);
    }
    if event.name.is_some()
        || is_set(data, &needles.finish_reason)
        || is_set(data, &needles.usage)
        || is_set(data, &needles.error)
    {
        return None;
    }
    let content = needles.delta.find(data).is_some() || needles.text.find(data).is_some();
    Some(if content { Meaning::Content } else { Meaning::Preamble })
}

/// The meaning of an event of which only the beginning is known.
pub(super) fn by_kind(event: &Event<'_>) -> Meaning<'static> {
    match response_kind(event) {
        Some("failed") => Meaning::Error(EventError::default()),
        Some(kind) => of_response_kind(kind),
        None if event.name == Some(b"error") => Meaning::Error(EventError::default()),
        None => Meaning::Content,
    }
}

/// The meaning of `response.{kind}`, apart from `failed`, in which the error has to be read.
pub(super) fn of_response_kind(kind: &str) -> Meaning<'static> {
    match kind {
        "created" | "in_progress" | "queued" => Meaning::Preamble,
        "completed" | "incomplete" | "cancelled" => Meaning::Done,
        "failed" => Meaning::Error(EventError::default()),
        kind if kind.ends_with(".delta") => Meaning::Content,
        _ => Meaning::Structure,
    }
}

/// What follows `response.` in the event's name or, without one, in its type.
fn response_kind<'a>(event: &Event<'a>) -> Option<&'a str> {
    let kind = match event.name {
        Some(name) => name.strip_prefix(b"response.")?,
        None => {
            let mut kinds = values(event.data, &NEEDLES.kind).flatten();
            let kind = kinds.find_map(|value| value.strip_prefix(b"\"response."))?;
            &kind[..memchr::memchr(b'"', kind)?]
        }
    };
    std::str::from_utf8(kind).ok()
}

/// Whether the member stands in `data` with another value than `null`, or in another way.
fn is_set(data: &[u8], member: &Finder<'_>) -> bool {
    values(data, member).any(|value| value.is_none_or(|value| !value.starts_with(b"null")))
}

/// What follows the member's colon, wherever it stands in `data`; `None` where it is not followed by one.
fn values<'a>(data: &'a [u8], member: &Finder<'_>) -> impl Iterator<Item = Option<&'a [u8]>> {
    member.find_iter(data).map(|at| {
        let behind = data[at + member.needle().len()..].trim_ascii_start();
        behind.strip_prefix(b":").map(<[u8]>::trim_ascii_start)
    })
}
