//! The messages of `chat/completions`.
//!
//! OpenAI's cookbook gives the count: three tokens a message, those of its role, content and name, one more for a name,
//! and three that begin the answer. Of calls and results of tools it says nothing.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{CallNumbers, Item, Prompt, Rest, Text, raw};
use crate::{fit::Kind, tools};

const MESSAGE: u64 = 3;
const NAME: u64 = 1;
const ANSWER: u64 = 3;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    functions: Option<&'a RawValue>,
    #[serde(borrow)]
    response_format: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: &'a RawValue,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_call_id: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

pub(super) fn read(body: &[u8]) -> Option<Prompt<'_>> {
    let body: Body<'_> = serde_json::from_slice(body).ok()?;
    let mut calls = CallNumbers::default();
    let items = body.messages.iter().map(|message| item(message, &mut calls)).collect::<Option<_>>()?;
    let functions = [body.tools, body.functions].into_iter().flatten().flat_map(tools::read).collect();
    let undocumented = [body.tools, body.functions, body.response_format].into_iter().flatten().map(RawValue::get);
    let rest = Rest { frame: ANSWER, functions, undocumented: undocumented.collect(), ..Rest::default() };
    Some(Prompt { items, rest, ..Prompt::default() })
}

fn item<'a>(json: &'a RawValue, calls: &mut CallNumbers<'a>) -> Option<Item<'a>> {
    let message: Message<'a> = serde_json::from_str(json.get()).ok()?;
    let role = raw::text(message.role)?;
    let mut content = raw::Content::read(message.content)?;
    let kind = match &*role {
        "system" | "developer" => Kind::Pinned,
        "user" => Kind::User,
        _ => Kind::Other,
    };
    let follows = matches!(&*role, "tool" | "function");
    let mut frame = MESSAGE;
    let mut whole = |value: Option<&'a RawValue>| {
        let text = value.and_then(raw::text)?;
        content.texts.push(Text { text, json: None });
        Some(())
    };
    whole(Some(message.role));
    if whole(message.name).is_some() {
        frame += NAME;
    }
    whole(message.refusal);
    let mut item = Item {
        json: json.get(),
        is_element: true,
        kind,
        texts: content.texts,
        frame,
        undocumented: message.tool_calls.or(message.function_call).or(message.tool_call_id).map(RawValue::get),
        images: content.images,
        follows,
        ..Item::default()
    };
    let made = message.tool_calls.and_then(raw::list).into_iter().flatten();
    let made = made.filter_map(|call| serde_json::from_str::<ToolCall<'a>>(call.get()).ok()?.id);
    item.calls = made.filter_map(raw::text).map(|id| calls.made(id)).collect();
    item.calls.extend(message.tool_call_id.and_then(raw::text).map(|id| calls.answered(id)));
    Some(item)
}
