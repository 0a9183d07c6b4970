//! The few members of an error body that decide.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{StreamError, scalar::Scalar};
use crate::{
    Hint,
    text::{SEARCHED, find, has_any, same_code},
};

/// The most of a body that is read, in bytes.
const READ: usize = 64 * 1024;

/// What an error body says, whatever its shape.
///
/// `{"error":{…}}` with string, number or null as `code`; the same without its wrapper; API Management's
/// `{"statusCode":…,"message":…}`; an `error` that is a string; plain text, HTML, nothing. A body that is cut short
/// gives what stood before the cut. Not `Debug`: a message may quote a prompt.
#[derive(Default)]
pub(super) struct ErrorBody<'a> {
    pub(super) code: Option<Cow<'a, str>>,
    pub(super) kind: Option<Cow<'a, str>>,
    /// The message, or the whole text where there is none to be found.
    pub(super) message: Option<Cow<'a, str>>,
    /// The `code` of the `innererror` (also written `inner_error`).
    pub(super) inner_code: Option<Cow<'a, str>>,
    /// `status` or `statusCode` of the body.
    pub(super) status: Option<u16>,
    /// One of the `content_filters` says `blocked`.
    pub(super) blocked: bool,
    /// Whether the message was found as such, in JSON.
    pub(super) is_json: bool,
    /// Whether the JSON ended too early, or was none: the end of the message may be half a word.
    is_cut: bool,
}

impl<'a> ErrorBody<'a> {
    /// Reads at most 64 KiB of a body.
    pub(super) fn read(body: &'a [u8]) -> Self {
        let body = body.get(..READ).unwrap_or(body);
        let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
        let body = body.trim_ascii();
        let mut read = Self::default();
        if matches!(body.first(), Some(b'{' | b'[')) {
            let member = Member { body: &mut read, place: Place::Outer };
            let whole = member.deserialize(&mut serde_json::Deserializer::from_slice(body));
            read.is_json = whole.is_ok() || read.code.is_some() || read.message.is_some();
            if whole.is_err() {
                read.is_cut = read.message.is_none();
                read.code = read.code.or_else(|| salvage(body, "\"code\""));
                read.kind = read.kind.or_else(|| salvage(body, "\"type\""));
            }
        }
        if read.message.is_none() && !body.is_empty() {
            read.message = Some(String::from_utf8_lossy(body));
        }
        read
    }

    /// The wait that the message asks for. Of a message that was cut the last word, and a number before it, are not
    /// trusted: half of `86400 seconds` would be a much shorter wait.
    pub(super) fn hint(&self) -> Option<Hint> {
        let mut message = self.message.as_deref()?;
        if self.is_cut {
            message = message.trim_end_matches(|c: char| !c.is_whitespace());
            message = message.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == ' ');
        }
        Hint::from_message(message)
    }

    /// Whether one of its codes, the type among them, is one of `codes`.
    pub(super) fn is_coded(&self, codes: &[&str]) -> bool {
        [&self.code, &self.kind, &self.inner_code]
            .into_iter()
            .flatten()
            .any(|code| codes.iter().any(|known| same_code(code, known)))
    }

    /// Whether its message holds one of `words`.
    pub(super) fn says(&self, words: &[&str]) -> bool {
        self.message.as_deref().is_some_and(|message| has_any(message, words))
    }
}

impl<'a> From<StreamError<'a>> for ErrorBody<'a> {
    fn from(error: StreamError<'a>) -> Self {
        Self {
            code: error.code.map(Cow::Borrowed),
            kind: error.kind.map(Cow::Borrowed),
            message: error.message.map(Cow::Borrowed),
            is_json: true,
            ..Self::default()
        }
    }
}

/// The value behind a quoted key, in a text that is no valid JSON: a short word in quotes, or a number.
fn salvage<'a>(text: &'a [u8], key: &str) -> Option<Cow<'a, str>> {
    const LONGEST: usize = 64;
    let searched = text.get(..SEARCHED).unwrap_or(text);
    let rest = &text[find(searched, key)? + key.len()..];
    let rest = rest.trim_ascii_start().strip_prefix(b":")?;
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix(b"\"").unwrap_or(rest);
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let end = rest.iter().position(|byte| !is_word(byte))?;
    let word = rest[..end.min(LONGEST)].utf8_chunks().next()?.valid();
    (!word.is_empty() && word != "null").then_some(Cow::Borrowed(word))
}

/// Where in the body a value stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Outer,
    Error,
    Inner,
    Filters,
}

/// Reads a value at a place into the body, so that what was read stays when the rest is cut off.
struct Member<'b, 'a> {
    body: &'b mut ErrorBody<'a>,
    place: Place,
}

impl<'de> Member<'_, 'de> {
    fn at(&mut self, place: Place) -> Member<'_, 'de> {
        Member { body: self.body, place }
    }

    /// An `error` that is a string: a code if it is one word, else a message.
    fn take_string(self, text: Cow<'de, str>) {
        let slot = match self.place {
            Place::Error if text.contains(' ') => &mut self.body.message,
            Place::Error => &mut self.body.code,
            Place::Outer | Place::Inner | Place::Filters => return,
        };
        slot.get_or_insert(text);
    }

    fn take_text(&mut self, key: &Key, text: Scalar<'de>) {
        if *key == Key::Blocked {
            self.body.blocked |= self.place == Place::Filters && text.truth;
            return;
        }
        let Some(text) = text.text else { return };
        let slot = match (self.place, key) {
            (Place::Outer | Place::Error, Key::Code) => &mut self.body.code,
            (Place::Outer | Place::Error, Key::Type) => &mut self.body.kind,
            (Place::Outer | Place::Error, Key::Message) => &mut self.body.message,
            (Place::Inner, Key::Code) => &mut self.body.inner_code,
            (Place::Outer | Place::Error, Key::Status) => {
                self.body.status = text.parse().ok().or(self.body.status);
                return;
            }
            _ => return,
        };
        if self.place == Place::Error {
            *slot = Some(text); // closer to the error than what stands outside
        } else {
            slot.get_or_insert(text);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Member<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an error of any shape")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Error => map.next_value_seed(self.at(Place::Error))?,
                Key::InnerError => map.next_value_seed(self.at(Place::Inner))?,
                Key::ContentFilters => map.next_value_seed(self.at(Place::Filters))?,
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
                Key::Code | Key::Type | Key::Message | Key::Status | Key::Blocked => {
                    let value = map.next_value()?;
                    self.take_text(&key, value);
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self.at(self.place))?.is_some() {}
        Ok(())
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        self.take_string(Cow::Borrowed(text));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.take_string(Cow::Owned(text.to_owned()));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
}

/// The members that decide; spelled without regard to case and underscores.
#[derive(Clone, Copy, PartialEq)]
enum Key {
    Error,
    InnerError,
    ContentFilters,
    Code,
    Type,
    Message,
    Status,
    Blocked,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                const NAMES: [(&str, Key); 11] = [
                    ("error", Key::Error),
                    ("innererror", Key::InnerError),
                    ("contentfilters", Key::ContentFilters),
                    ("code", Key::Code),
                    ("type", Key::Type),
                    ("message", Key::Message),
                    ("errordescription", Key::Message),
                    ("detail", Key::Message),
                    ("status", Key::Status),
                    ("statuscode", Key::Status),
                    ("blocked", Key::Blocked),
                ];
                let known = NAMES.iter().find(|(known, _)| same_code(known, name));
                Ok(known.map_or(Key::Other, |(_, key)| *key))
            }
        }
        deserializer.deserialize_str(Name)
    }
}
