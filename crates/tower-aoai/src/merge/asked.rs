//! What an embedding request asks for, as far as others can be joined to it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;
use tower_aoai_core::RequestBody;

/// The inputs of one request, and everything else in its body.
pub(super) struct Asked {
    pub(super) inputs: Inputs,
    pub(super) kind: Kind,
    /// Every other member, as it is written: requests are merged only where all of them agree.
    pub(super) rest: Rest,
}

/// Inputs as they are written.
pub(super) struct Inputs {
    pub(super) texts: Vec<Bytes>,
    /// In what the kind is counted in: bytes, or tokens.
    pub(super) weight: u64,
}

/// What inputs are: the API does not take both in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Texts,
    Tokens,
}

/// Members of a JSON object by name, each as it is written.
pub(super) type Rest = BTreeMap<String, Box<str>>;

impl Kind {
    /// How many tokens that many inputs of this weight have, roughly: four bytes a token.
    pub(super) const fn tokens(self, weight: u64) -> u64 {
        match self {
            Self::Texts => weight.div_ceil(4),
            Self::Tokens => weight,
        }
    }
}

/// Reads a body; `None` for anything that the server had better judge itself.
pub(super) fn read(body: &RequestBody) -> Option<Asked> {
    let body = body.to_bytes();
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_slice(&body).ok()?;
    let input = members.remove("input")?;
    let slice = |value: &RawValue| body.slice_ref(value.get().as_bytes());
    let (kind, inputs) = match input.get().as_bytes().first()? {
        b'"' => (Kind::Texts, vec![input]),
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(input.get()).ok()?;
            let all = |first: fn(u8) -> bool| {
                let matches = |item: &&RawValue| item.get().bytes().next().is_some_and(first);
                !items.is_empty() && items.iter().all(matches)
            };
            if all(|byte| byte == b'"') {
                (Kind::Texts, items)
            } else if all(|byte| byte == b'[') {
                (Kind::Tokens, items)
            } else if all(|byte| byte.is_ascii_digit()) {
                (Kind::Tokens, vec![input])
            } else {
                return None;
            }
        }
        _ => return None,
    };
    let weight = inputs.iter().map(|input| weight(kind, input.get())).sum();
    let texts = inputs.into_iter().map(slice).collect();
    let rest = members.into_iter().map(|(name, value)| (name, value.get().into())).collect();
    Some(Asked { inputs: Inputs { texts, weight }, kind, rest })
}

fn weight(kind: Kind, input: &str) -> u64 {
    let weight = match kind {
        Kind::Texts => input.len().saturating_sub(2),
        Kind::Tokens => input.bytes().filter(|byte| *byte == b',').count() + 1,
    };
    weight.max(1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &'static str) -> Option<(Kind, Vec<Bytes>, u64)> {
        read(&RequestBody::from(body)).map(|asked| (asked.kind, asked.inputs.texts, asked.inputs.weight))
    }

    #[test]
    fn the_four_forms_of_an_input() {
        assert_eq!(asked(r#"{"input":"Hello"}"#), Some((Kind::Texts, vec!["\"Hello\"".into()], 5)));
        assert_eq!(asked(r#"{"input":["a", "bc"]}"#), Some((Kind::Texts, vec!["\"a\"".into(), "\"bc\"".into()], 3)));
        assert_eq!(asked(r#"{"input":[1, 2,3]}"#), Some((Kind::Tokens, vec!["[1, 2,3]".into()], 3)));
        assert_eq!(asked(r#"{"input":[[1],[2,3]]}"#), Some((Kind::Tokens, vec!["[1]".into(), "[2,3]".into()], 3)));
    }

    #[test]
    fn what_else_there_is_the_server_judges() {
        for body in [
            "",
            "[]",
            "{}",
            "{\"input\":",
            r#"{"input":null}"#,
            r#"{"input":[]}"#,
            r#"{"input":["a",1]}"#,
            r#"{"input":[["a"],"b"]}"#,
            r#"{"input":{"a":1}}"#,
            r#"{"input":[-1]}"#,
            r#"{"input":7}"#,
        ] {
            assert_eq!(asked(body), None, "{body}");
        }
    }

    #[test]
    fn the_order_of_the_other_members_does_not_matter_their_values_do() {
        let rest = |body: &'static str| read(&RequestBody::from(body)).unwrap().rest;
        assert_eq!(rest(r#"{"model":"m","input":"a","user":"u"}"#), rest(r#"{"user":"u","input":"b", "model":"m"}"#));
        assert_ne!(rest(r#"{"model":"m","input":"a","user":"u"}"#), rest(r#"{"user":"v","input":"b", "model":"m"}"#));
        assert_ne!(rest(r#"{"input":"a","dimensions":8}"#), rest(r#"{"input":"a"}"#));
    }
}
