//! The `prompt` of `completions` and the `input` of `embeddings`: a text, texts, tokens, or lists of tokens.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Item, Prompt, raw};
use crate::fit::Kind;

#[derive(Deserialize)]
struct Completions<'a> {
    #[serde(borrow)]
    prompt: &'a RawValue,
}

#[derive(Deserialize)]
struct Embeddings<'a> {
    #[serde(borrow)]
    input: &'a RawValue,
}

pub(super) fn read_completions(body: &[u8]) -> Option<Prompt<'_>> {
    serde_json::from_slice(body).ok().and_then(|body: Completions<'_>| read(body.prompt))
}

pub(super) fn read_embeddings(body: &[u8]) -> Option<Prompt<'_>> {
    serde_json::from_slice(body).ok().and_then(|body: Embeddings<'_>| read(body.input))
}

/// Each text has the whole window to itself.
fn read(value: &RawValue) -> Option<Prompt<'_>> {
    let items = match raw::is_list(value) {
        true => match tokens(value) {
            Some(item) => vec![item],
            None => raw::list(value)?
                .into_iter()
                .map(|value| text(value).or_else(|| tokens(value)))
                .collect::<Option<_>>()?,
        },
        false => vec![text(value)?],
    };
    Some(Prompt { items, apart: true, ..Prompt::default() })
}

fn text(value: &RawValue) -> Option<Item<'_>> {
    Some(Item { json: value.get(), kind: Kind::User, texts: vec![raw::cuttable(value)?], ..Item::default() })
}

/// Tokens that were counted, and cut, by whoever made them.
fn tokens(value: &RawValue) -> Option<Item<'_>> {
    let tokens: Vec<u32> = serde_json::from_str(value.get()).ok()?;
    let frame = tokens.len() as u64;
    Some(Item { json: value.get(), kind: Kind::User, frame, ..Item::default() })
}
