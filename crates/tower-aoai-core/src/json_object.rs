//! One JSON object, read in one pass without a tree of its values.

use std::{fmt, ops::Range, sync::Arc};

use serde::de::{DeserializeSeed, Deserializer as _, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::{Deserializer, value::RawValue};

/// A JSON object, of which the values of `N` keys were kept.
#[derive(Debug)]
pub(crate) struct Object<'a, const N: usize> {
    /// Right behind the opening brace.
    pub(crate) first_member: usize,
    pub(crate) is_empty: bool,
    /// The values as they are written, in the order of the keys that were asked for.
    pub(crate) values: [Option<&'a RawValue>; N],
}

impl<'a, const N: usize> Object<'a, N> {
    /// The values, but for those that are `null`.
    pub(crate) fn given(self) -> [Option<&'a RawValue>; N] {
        self.values.map(|value| value.filter(|value| value.get() != "null"))
    }
}

/// Reads `text` if it is one JSON object and nothing else.
///
/// A key counts however it is written: `"mod\u0065l"` is `model`. Of a key that stands there more than once the last
/// value is kept, as servers do. What is passed over is checked to be JSON, at any depth, but not looked at.
pub(crate) fn read<'a, const N: usize>(text: &'a [u8], keys: &[&str; N]) -> Option<Object<'a, N>> {
    let brace = text.iter().position(|byte| !b" \t\r\n".contains(byte))?;
    let mut parser = Deserializer::from_slice(text);
    let (values, is_empty) = parser.deserialize_map(Pass(keys)).ok()?;
    parser.end().ok()?;
    Some(Object { first_member: brace + 1, is_empty, values })
}

/// What a JSON text says that is a string.
pub(crate) fn text(json: &str) -> Option<Arc<str>> {
    let is_plain = |text: &&str| text.bytes().all(|byte| byte >= b' ' && !matches!(byte, b'"' | b'\\'));
    match json.strip_prefix('"').and_then(|text| text.strip_suffix('"')).filter(is_plain) {
        Some(plain) => Some(plain.into()),
        None => serde_json::from_str::<String>(json).ok().map(Arc::from),
    }
}

/// Where in `text` a value stands that was read from it.
pub(crate) fn span(text: &[u8], value: &RawValue) -> Option<Range<usize>> {
    part(text, value.get().as_bytes())
}

/// Where in `text` this part of it stands.
pub(crate) fn part(text: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= text.len()).then_some(start..end)
}

struct Pass<'k, const N: usize>(&'k [&'k str; N]);

impl<'a, const N: usize> Visitor<'a> for Pass<'_, N> {
    type Value = ([Option<&'a RawValue>; N], bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [None; N];
        let mut is_empty = true;
        while let Some(index) = map.next_key_seed(Key(self.0))? {
            is_empty = false;
            match index.and_then(|index| values.get_mut(index)) {
                Some(value) => *value = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok((values, is_empty))
    }
}

/// Which of the keys it is, told without a copy of it.
struct Key<'k>(&'k [&'k str]);

impl<'a> DeserializeSeed<'a> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'a>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|known| *known == key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last<'a>(text: &'a str, key: &str) -> Option<&'a str> {
        let object = read(text.as_bytes(), &[key])?;
        object.values[0].map(RawValue::get)
    }

    #[test]
    fn a_key_counts_however_it_is_written_and_its_last_value_wins() {
        assert_eq!(last(r#"{"a":1,"a" : [2] }"#, "a"), Some("[2]"));
        assert_eq!(last(r#"{"mod\u0065l":"x"}"#, "model"), Some(r#""x""#));
        assert_eq!(last(r#"{"b":{"a":1}}"#, "a"), None);
    }

    #[test]
    fn a_text_is_what_a_parser_takes_it_for() {
        for json in
            [r#""""#, r#""a b é""#, r#""\u0061\n""#, r#""a"b""#, "\"\n\"", r#"""#, r#""\""#, " \"a\" ", "null", "", "a"]
        {
            assert_eq!(text(json).as_deref(), serde_json::from_str::<String>(json).ok().as_deref(), "{json:?}");
        }
    }

    #[test]
    fn only_a_whole_object_is_one() {
        for text in ["", " ", "{", "[]", "null", "{}x", "{}{}", r#"{"a":}"#, r#"{"b":1"#, "\u{feff}{}"] {
            assert!(read(text.as_bytes(), &["a"]).is_none(), "{text:?}");
        }
        let object = read(b"\n { } ", &["a"]).unwrap();
        assert!(object.is_empty);
        assert_eq!(object.first_member, 3);
    }

    #[test]
    fn depth_does_not_matter() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(last(&deep, "a").map(str::len), Some(200_000));
        assert!(last(&deep[..100_000], "a").is_none());
    }

    #[test]
    fn a_span_is_where_the_value_stands() {
        let text = br#" { "a" : "\u0041" } "#;
        let object = read(text, &["a"]).unwrap();
        assert_eq!(span(text, object.values[0].unwrap()), Some(9..17));
        let elsewhere = RawValue::from_string("1".to_owned()).unwrap();
        assert_ne!(span(text, &elsewhere), Some(9..17));
    }
}
