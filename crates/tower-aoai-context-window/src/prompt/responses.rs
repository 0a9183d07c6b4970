//! The `input` of `responses`.
//!
//! How its items are written to the model is documented nowhere: only their texts are counted for certain. What the
//! server keeps of an earlier response (`previous_response_id`, `conversation`) cannot be counted here at all.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{CallNumbers, Item, Prompt, Rest, Text, raw};
use crate::fit::Kind;

/// As for a message of a chat, with its role.
const ITEM: u64 = 4;
const ANSWER: u64 = 3;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    instructions: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    truncation: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    call_id: Option<&'a RawValue>,
    #[serde(borrow)]
    approval_request_id: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

pub(super) fn read(body: &[u8]) -> Option<Prompt<'_>> {
    let body: Body<'_> = serde_json::from_slice(body).ok()?;
    let mut calls = CallNumbers::default();
    let items = match body.input {
        None => Vec::new(),
        Some(input) if raw::is_list(input) => {
            raw::list(input)?.into_iter().map(|json| item(json, &mut calls)).collect::<Option<_>>()?
        }
        Some(input) => {
            let texts = vec![raw::cuttable(input)?];
            vec![Item { json: input.get(), kind: Kind::User, texts, guessed_frame: ITEM, ..Item::default() }]
        }
    };
    let mut rest = Rest { guessed_frame: ANSWER, ..Rest::default() };
    if let Some(instructions) = body.instructions.filter(|value| !raw::is_list(value)) {
        rest.texts.push(raw::text(instructions)?);
        rest.guessed_frame += ITEM;
    }
    rest.undocumented = [body.tools, body.text].into_iter().flatten().map(RawValue::get).collect();
    let cut_by_server = body.truncation.is_some_and(|value| value.get() == r#""auto""#);
    Some(Prompt { items, rest, cut_by_server, ..Prompt::default() })
}

fn item<'a>(json: &'a RawValue, calls: &mut CallNumbers<'a>) -> Option<Item<'a>> {
    let entry: Entry<'a> = serde_json::from_str(json.get()).ok()?;
    let kind = entry.kind.and_then(raw::text);
    let kind = kind.as_deref().unwrap_or("message");
    let mut item = Item { json: json.get(), is_element: true, guessed_frame: ITEM, ..Item::default() };
    match kind {
        "message" => {
            let content = raw::Content::read(entry.content)?;
            (item.texts, item.images) = (content.texts, content.images);
            item.kind = match entry.role.and_then(raw::text).as_deref() {
                Some("system" | "developer") => Kind::Pinned,
                Some("user") => Kind::User,
                _ => Kind::Other,
            };
        }
        // The item that this points to may be a call, whose result stands here, or the reasoning before one.
        "item_reference" => (item.follows, item.leads) = (true, true),
        "reasoning" => item.leads = true,
        _ => {
            // The result of a call: a text, or parts.
            let output = raw::Content::read(entry.output).unwrap_or_default();
            (item.texts, item.images) = (output.texts, output.images);
            if item.texts.is_empty() && item.images.is_empty() {
                item.undocumented = Some(json.get());
            }
            let arguments = entry.arguments.and_then(raw::text);
            item.texts.extend(arguments.map(|text| Text { text, json: None }));
        }
    }
    let request = entry.id.filter(|_| kind == "mcp_approval_request");
    let ids = [entry.call_id, entry.approval_request_id, request].into_iter().flatten();
    let is_result = kind.ends_with("_output") || kind == "mcp_approval_response";
    let number = |id| if is_result { calls.answered(id) } else { calls.made(id) };
    item.calls = ids.filter_map(raw::text).map(number).collect();
    Some(item)
}
