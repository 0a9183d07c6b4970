//! Values as they are written, and what they mean.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Image, Text};

/// A text, copied only if it is written with escapes.
pub(super) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let json = value.get();
    match json.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        Some(_) => serde_json::from_str(json).ok().map(Cow::Owned),
        None => None,
    }
}

pub(super) fn list(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

pub(super) fn is_list(value: &RawValue) -> bool {
    value.get().starts_with('[')
}

/// A text that may be cut.
pub(super) fn cuttable(value: &RawValue) -> Option<Text<'_>> {
    Some(Text { text: text(value)?, json: Some(value.get()) })
}

/// What a message holds: a text, or parts of several kinds.
#[derive(Debug, Default)]
pub(super) struct Content<'a> {
    pub(super) texts: Vec<Text<'a>>,
    pub(super) images: Vec<Image>,
}

#[derive(serde::Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct ImageUrl<'a> {
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
}

impl<'a> Content<'a> {
    pub(super) fn read(value: Option<&'a RawValue>) -> Option<Self> {
        let mut content = Self::default();
        let Some(value) = value else {
            return Some(content);
        };
        if !is_list(value) {
            content.texts.push(cuttable(value)?);
            return Some(content);
        }
        for part in list(value)? {
            let part: Part<'a> = serde_json::from_str(part.get()).ok()?;
            match part.text.or(part.refusal) {
                Some(text) => content.texts.push(cuttable(text)?),
                None => content.images.extend(part.image()),
            }
        }
        Some(content)
    }
}

impl Part<'_> {
    /// Audio and files are weighed like an image: as little as is known of them.
    fn image(&self) -> Option<Image> {
        let _ = text(self.kind?)?;
        let nested = self.image_url.filter(|value| value.get().starts_with('{'));
        let nested: Option<ImageUrl<'_>> = nested.and_then(|value| serde_json::from_str(value.get()).ok());
        let detail = nested.and_then(|image| image.detail).or(self.detail);
        Some(Image { is_low_detail: detail.is_some_and(|detail| detail.get() == r#""low""#) })
    }
}
