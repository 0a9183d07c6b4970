//! The few members of events that matter, borrowed, each read on its own.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::json_object;

/// A chunk of chat or completions, an event of responses, or an error.
pub(super) struct Chunk<'a> {
    pub(super) kind: Option<&'a RawValue>,
    pub(super) choices: Option<&'a RawValue>,
    pub(super) error: Option<&'a RawValue>,
    pub(super) usage: Option<&'a RawValue>,
    pub(super) model: Option<&'a RawValue>,
    pub(super) service_tier: Option<&'a RawValue>,
    pub(super) response: Option<&'a RawValue>,
    /// Filter results of the prompt (`prompt_annotations` by their old name).
    annotations: Option<&'a RawValue>,
}

/// The `response` of a responses event.
#[derive(Default)]
pub(super) struct ResponseObject<'a> {
    pub(super) error: Option<&'a RawValue>,
    pub(super) usage: Option<&'a RawValue>,
    pub(super) model: Option<&'a RawValue>,
    pub(super) service_tier: Option<&'a RawValue>,
}

pub(super) struct ErrorObject<'a> {
    pub(super) code: Option<&'a RawValue>,
    pub(super) kind: Option<&'a RawValue>,
    pub(super) message: Option<&'a RawValue>,
}

/// One of the `choices` of a chunk.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

impl<'a> Chunk<'a> {
    pub(super) fn read(json: &'a [u8]) -> Option<Self> {
        const MEMBERS: [&str; 9] = [
            "type",
            "choices",
            "error",
            "usage",
            "model",
            "service_tier",
            "response",
            "prompt_filter_results",
            "prompt_annotations",
        ];
        let [kind, choices, error, usage, model, service_tier, response, results, annotations] =
            json_object::read(json, &MEMBERS)?.given();
        let annotations = results.or(annotations);
        Some(Self { kind, choices, error, usage, model, service_tier, response, annotations })
    }

    /// Whether it has nothing but filter results.
    pub(super) const fn is_annotation(&self) -> bool {
        self.annotations.is_some()
    }
}

impl<'a> ResponseObject<'a> {
    pub(super) fn read(json: &'a RawValue) -> Option<Self> {
        let members = ["error", "usage", "model", "service_tier"];
        let [error, usage, model, service_tier] = json_object::read(json.get().as_bytes(), &members)?.given();
        Some(Self { error, usage, model, service_tier })
    }
}

impl<'a> ErrorObject<'a> {
    pub(super) fn read(json: &'a str) -> Option<Self> {
        let [code, kind, message] = json_object::read(json.as_bytes(), &["code", "type", "message"])?.given();
        Some(Self { code, kind, message })
    }
}

impl Choice<'_> {
    pub(super) fn is_finished(&self) -> bool {
        self.finish_reason.is_some_and(|raw| is_truthy(raw.get()))
    }

    pub(super) fn has_content(&self) -> bool {
        self.text.is_some_and(|raw| is_truthy(raw.get()))
            || self
                .delta
                .is_some_and(|raw| serde_json::from_str(raw.get()).is_ok_and(|DeltaHasContent(content)| content))
    }
}

/// Whether a delta has more than a role: any other member that is not empty.
struct DeltaHasContent(bool);

impl<'de> Deserialize<'de> for DeltaHasContent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = bool;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a delta")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<bool, A::Error> {
                let mut content = false;
                while let Some(name) = members.next_key::<Cow<'de, str>>()? {
                    if content || name == "role" {
                        members.next_value::<IgnoredAny>()?;
                    } else {
                        content = is_truthy(members.next_value::<&RawValue>()?.get());
                    }
                }
                Ok(content)
            }
        }

        deserializer.deserialize_map(Members).map(Self)
    }
}

/// Whether a JSON value says something: neither `null`, `false` or 0, nor an empty string, array or object.
pub(super) fn is_truthy(json: &str) -> bool {
    let json = json.trim();
    let empty = |open, close| {
        json.strip_prefix(open)
            .and_then(|inner| inner.strip_suffix(close))
            .is_some_and(|inner: &str| inner.trim().is_empty())
    };
    !matches!(json, "" | "null" | "false" | "0" | "\"\"") && !empty('{', '}') && !empty('[', ']')
}

/// A string that is not empty, or a number as it is written.
pub(super) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let json = raw.get();
    let text = match json.as_bytes().first()? {
        b'"' => match serde_json::from_str::<&str>(json) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(serde_json::from_str(json).ok()?),
        },
        b'-' | b'0'..=b'9' => Cow::Borrowed(json),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}
