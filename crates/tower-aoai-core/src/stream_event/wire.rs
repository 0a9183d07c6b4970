//! The few members of events that matter, borrowed, each read on its own.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// A chunk of chat or completions, an event of responses, or an error.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Chunk<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) choices: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) service_tier: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) response: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_filter_results: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_annotations: Option<&'a RawValue>,
}

/// The `response` of a responses event.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ResponseObject<'a> {
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) service_tier: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorObject<'a> {
    #[serde(borrow)]
    pub(super) code: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) message: Option<&'a RawValue>,
}

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

impl Chunk<'_> {
    /// Whether it has nothing but filter results of the prompt (`prompt_annotations` by their old name).
    pub(super) fn is_annotation(&self) -> bool {
        self.prompt_filter_results.is_some() || self.prompt_annotations.is_some()
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
