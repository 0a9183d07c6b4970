//! Finds a few members of a JSON answer as it passes by.
//!
//! A non-streamed answer can be large (embeddings are megabytes of numbers), and what is wanted of it is small and may
//! stand anywhere: `usage`, `model`, `service_tier`, and of a responses object `status` and `error`. So the body is
//! neither buffered nor parsed: the scanner follows the outermost object's members, skips what it does not want with
//! `memchr` (inside an array only quotes and brackets matter), and copies no more than the wanted values, up to a bound.
//!
//! It trusts that the text is JSON, as only a parser could not; of anything else it finds less, and never fails.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use memchr::{memchr2, memchr3};

use crate::{Usage, json_object};

/// The bound on a wanted value's size, in bytes; a larger one is not taken.
const VALUE_LIMIT: usize = 16 << 10;

/// What a wanted value most often has room in, in bytes.
const VALUE_ROOM: usize = 256;

/// What was found so far.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) usage: Option<Usage>,
    pub(crate) model: Option<Arc<str>>,
    pub(crate) service_tier: Option<Arc<str>>,
    /// The `status` of a responses object.
    pub(crate) status: Option<Arc<str>>,
    /// The `error`, as it stands in the body.
    pub(crate) error: Option<Vec<u8>>,
}

/// Follows the outermost object of a JSON text.
#[derive(Debug, Default)]
pub(crate) struct JsonScanner {
    state: State,
    /// The byte before, in a string, was a backslash.
    escaped: bool,
    key: Key,
    wanted: Option<Member>,
    value: Vec<u8>,
    found: Found,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    /// Before a member, or the end of the object.
    Member,
    Key,
    Colon,
    Value,
    Text,
    Scalar,
    /// Inside an object or array; only brackets of its own kind are counted, the others balance by themselves.
    Nested {
        open: u8,
        close: u8,
        depth: usize,
        in_text: bool,
    },
    /// Behind the object.
    End,
    /// This is no JSON object.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Usage,
    Model,
    ServiceTier,
    Status,
    Error,
}

/// A member's name, as far as it can be a wanted one.
#[derive(Debug, Default)]
struct Key {
    bytes: [u8; 16],
    length: usize,
}

impl JsonScanner {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Whether the outermost object is complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::End
    }

    /// What was found so far.
    pub(crate) fn found(&self) -> &Found {
        &self.found
    }

    /// Takes the next bytes of the body.
    pub(crate) fn scan(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !matches!(self.state, State::End | State::Lost) {
            let taken = self.step(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }

    /// Takes as much as one state can, and says how much; a step that takes nothing changes the state.
    fn step(&mut self, bytes: &[u8]) -> usize {
        match self.state {
            State::Start => self.between(bytes, b"\xEF\xBB\xBF", |byte| match byte {
                b'{' => State::Member,
                _ => State::Lost,
            }),
            State::Member => {
                self.key.length = 0;
                self.between(bytes, b",", |byte| match byte {
                    b'"' => State::Key,
                    b'}' => State::End,
                    _ => State::Lost,
                })
            }
            State::Colon => self.between(bytes, b"", |byte| match byte {
                b':' => State::Value,
                _ => State::Lost,
            }),
            State::Key => {
                let (taken, closed) = self.text(bytes);
                let text = taken - usize::from(closed);
                self.key.push(&bytes[..text]);
                if closed {
                    self.state = State::Colon;
                }
                taken
            }
            State::Value => self.value_start(bytes),
            State::Text => {
                let (taken, closed) = self.text(bytes);
                self.take(&bytes[..taken], closed);
                taken
            }
            State::Scalar => {
                let end =
                    bytes.iter().position(|byte| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace());
                self.take(&bytes[..end.unwrap_or(bytes.len())], end.is_some());
                end.unwrap_or(bytes.len())
            }
            State::Nested { open, close, depth, in_text } => self.nested(bytes, open, close, depth, in_text),
            State::End | State::Lost => bytes.len(),
        }
    }

    /// Skips white space and `also`, and goes where the next byte leads.
    fn between(&mut self, bytes: &[u8], also: &[u8], next: impl Fn(u8) -> State) -> usize {
        let skip = |byte: &u8| byte.is_ascii_whitespace() || also.contains(byte);
        match bytes.iter().position(|byte| !skip(byte)) {
            Some(at) => {
                self.state = next(bytes[at]);
                at + 1
            }
            None => bytes.len(),
        }
    }

    /// How much of `bytes` belongs to the string under way, with its closing quote, and whether that was there.
    fn text(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = usize::from(std::mem::take(&mut self.escaped));
        while let Some(length) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
            at += length + 1;
            if bytes[at - 1] == b'"' {
                return (at, true);
            }
            if at == bytes.len() {
                self.escaped = true;
                break;
            }
            at += 1;
        }
        (bytes.len(), false)
    }

    fn value_start(&mut self, bytes: &[u8]) -> usize {
        let Some(at) = bytes.iter().position(|byte| !byte.is_ascii_whitespace()) else {
            return bytes.len();
        };
        self.value.clear();
        self.wanted = self.key.member();
        if self.wanted.is_some() {
            self.value.reserve(VALUE_ROOM);
        }
        let nested = |open, close| State::Nested { open, close, depth: 1, in_text: false };
        self.state = match bytes[at] {
            b'"' => State::Text,
            b'{' => nested(b'{', b'}'),
            b'[' => nested(b'[', b']'),
            _ => {
                self.state = State::Scalar;
                return at;
            }
        };
        self.take(&bytes[at..=at], false);
        at + 1
    }

    fn nested(&mut self, bytes: &[u8], open: u8, close: u8, depth: usize, in_text: bool) -> usize {
        let (taken, depth, in_text) = if in_text {
            let (taken, closed) = self.text(bytes);
            (taken, depth, !closed)
        } else {
            match memchr3(b'"', open, close, bytes) {
                Some(at) if bytes[at] == b'"' => (at + 1, depth, true),
                Some(at) if bytes[at] == open => (at + 1, depth + 1, false),
                Some(at) => (at + 1, depth - 1, false),
                None => (bytes.len(), depth, false),
            }
        };
        self.state = State::Nested { open, close, depth, in_text };
        self.take(&bytes[..taken], depth == 0);
        taken
    }

    /// Copies a part of a wanted value; after its last one, reads it.
    fn take(&mut self, part: &[u8], last: bool) {
        if self.wanted.is_some() {
            if part.len() > VALUE_LIMIT - self.value.len() {
                self.wanted = None;
            } else {
                self.value.extend_from_slice(part);
            }
        }
        if last {
            self.state = State::Member;
            if let Some(member) = self.wanted.take() {
                self.found.read(member, &self.value);
            }
        }
    }
}

impl Key {
    fn push(&mut self, part: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.length..self.length + part.len()) {
            room.copy_from_slice(part);
            self.length += part.len();
        } else {
            self.bytes = [0; 16];
            self.length = 16;
        }
    }

    fn member(&self) -> Option<Member> {
        match &self.bytes[..self.length] {
            b"usage" => Some(Member::Usage),
            b"model" => Some(Member::Model),
            b"service_tier" => Some(Member::ServiceTier),
            b"status" => Some(Member::Status),
            b"error" => Some(Member::Error),
            _ => None,
        }
    }
}

impl Found {
    fn read(&mut self, member: Member, json: &[u8]) {
        let text = || json_object::text(str::from_utf8(json).ok()?).filter(|text| !text.is_empty());
        match member {
            Member::Usage => self.usage = Usage::from_json(json),
            Member::Model => self.model = text(),
            Member::ServiceTier => self.service_tier = text(),
            Member::Status => self.status = text(),
            Member::Error => self.error = (json != b"null").then(|| json.to_vec()),
        }
    }
}
