//! Chat and legacy completions that are not streamed. Written as text, not by way of a tree of
//! JSON: benchmarks ask for millions of them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    Answer,
    content::{Content, escaped},
    prompt_filter_results, quoted, text,
};
use crate::request::Operation;

pub(super) fn whole(answer: &Answer) -> String {
    let chat = answer.operation == Operation::ChatCompletions;
    // Filler has nothing that needs escaping.
    let text = match &answer.content {
        Content::Filler => text(answer.tokens).into(),
        content => escaped(&content.said(answer.tokens)),
    };
    let mut body = String::with_capacity(text.len() + 1_024);
    body.push_str("{\"choices\":[");
    for index in 0..answer.choices {
        if index > 0 {
            body.push(',');
        }
        choice(&mut body, answer, index, chat, &text);
    }
    let kind = if chat { "chat.completion" } else { "text_completion" };
    // Writing to a string cannot fail.
    let _ = write!(
        body,
        "],\"created\":{},\"id\":{},\"model\":{},\"object\":\"{kind}\",",
        answer.created,
        quoted(&answer.id),
        quoted(&answer.model),
    );
    if answer.annotations {
        let _ = write!(body, "\"prompt_filter_results\":{},", prompt_filter_results());
    }
    let fingerprint = quoted(&answer.fingerprint);
    let _ = write!(body, "\"system_fingerprint\":{fingerprint},\"usage\":{}}}", answer.usage());
    body
}

fn choice(body: &mut String, answer: &Answer, index: u64, chat: bool, text: &str) {
    body.push('{');
    if answer.annotations {
        let _ = write!(body, "\"content_filter_results\":{},", answer.filter_results());
    }
    let finish = answer.finish_reason();
    let _ = write!(body, "\"finish_reason\":\"{finish}\",\"index\":{index},\"logprobs\":null,");
    let called = answer.content.called(answer.tokens);
    let _ = if chat && !called.is_empty() {
        let calls: Vec<Value> = called
            .iter()
            .enumerate()
            .map(|(index, call)| {
                json!({
                    "id": answer.call_id(index), "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments()},
                })
            })
            .collect();
        write!(
            body,
            "\"message\":{{\"annotations\":[],\"content\":null,\"refusal\":null,\"role\":\"assistant\",\"tool_calls\":{}}}}}",
            Value::from(calls)
        )
    } else if chat {
        write!(
            body,
            "\"message\":{{\"annotations\":[],\"content\":\"{text}\",\"refusal\":null,\"role\":\"assistant\"}}}}"
        )
    } else {
        write!(body, "\"text\":\"{text}\"}}")
    };
}
