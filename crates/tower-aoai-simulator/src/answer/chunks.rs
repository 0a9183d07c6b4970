//! The events of chat and legacy completions.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Answer, filter_results, prompt_filter_results, text};
use crate::request::Operation;

/// The end of a stream.
pub(super) const DONE: &[u8] = b"data: [DONE]\n\n";
/// How an event that carries one token is put together: `before`, a number or the text,
/// `between`, the other of the two, `after`.
#[derive(Debug, Clone)]
pub(super) struct Renderer {
    pub(super) before: String,
    pub(super) between: String,
    pub(super) after: String,
    /// Whether the text comes before the number.
    pub(super) text_first: bool,
    /// What is added to the number: Responses events are numbered from the stream's beginning.
    pub(super) offset: u64,
    pub(super) choices: u64,
}

impl Renderer {
    pub(super) fn event(&self, index: u64) -> Bytes {
        let Self {
            before,
            between,
            after,
            ..
        } = self;
        let text = text::piece(index / self.choices);
        if self.text_first {
            let number = index + self.offset;
            format!("{before}{text}{between}{number}{after}").into()
        } else {
            let choice = index % self.choices;
            format!("{before}{choice}{between}{text}{after}").into()
        }
    }
}

fn data(value: &Value) -> Bytes {
    format!("data: {value}\n\n").into()
}

/// The events before the text, how to render it, and the events after it.
pub(super) fn events(
    answer: &Answer,
    include_usage: bool,
) -> (VecDeque<Bytes>, Renderer, VecDeque<Bytes>) {
    let chat = answer.operation == Operation::ChatCompletions;
    let chunk = |choices: &Value, usage: &Value| {
        let mut chunk = json!({
            "id": answer.id,
            "object": if chat { "chat.completion.chunk" } else { "text_completion" },
            "created": answer.created,
            "model": answer.model,
            "system_fingerprint": answer.fingerprint,
            "choices": choices,
        });
        if include_usage {
            chunk["usage"] = usage.clone();
        }
        chunk
    };
    let mut opening = VecDeque::new();
    if answer.annotations {
        let mut first = json!({
            "id": "", "object": "", "created": 0, "model": "", "choices": [],
            "prompt_filter_results": prompt_filter_results(),
        });
        if include_usage {
            first["usage"] = Value::Null;
        }
        opening.push_back(data(&first));
    }
    let choice = |index: u64, mut rest: Value| {
        rest["index"] = index.into();
        rest["logprobs"] = Value::Null;
        rest
    };
    if chat {
        for index in 0..answer.choices {
            let delta = json!({"role": "assistant", "content": "", "refusal": null});
            let choice = choice(index, json!({"delta": delta, "finish_reason": null}));
            opening.push_back(data(&chunk(&json!([choice]), &Value::Null)));
        }
    }
    let mut closing = VecDeque::new();
    for index in 0..answer.choices {
        let mut rest = json!({"finish_reason": answer.finish_reason()});
        if chat {
            rest["delta"] = json!({});
        } else {
            rest["text"] = "".into();
        }
        if answer.annotations {
            rest["content_filter_results"] = if chat { json!({}) } else { filter_results() };
        }
        closing.push_back(data(&chunk(&json!([choice(index, rest)]), &Value::Null)));
    }
    if include_usage {
        closing.push_back(data(&chunk(&json!([]), &answer.usage())));
    }
    closing.push_back(Bytes::from_static(DONE));
    (opening, renderer(answer, chat, include_usage), closing)
}

/// Content chunks are the bulk of a stream, so they are put together from strings instead of
/// written as JSON each time.
fn renderer(answer: &Answer, chat: bool, include_usage: bool) -> Renderer {
    let filter = if answer.annotations {
        format!("\"content_filter_results\":{},", filter_results())
    } else {
        String::new()
    };
    let (open, close) = if chat {
        ("\"delta\":{\"content\":\"", "\"}")
    } else {
        ("\"text\":\"", "\"")
    };
    let kind = if chat {
        "chat.completion.chunk"
    } else {
        "text_completion"
    };
    let usage = if include_usage { ",\"usage\":null" } else { "" };
    Renderer {
        before: format!("data: {{\"choices\":[{{{filter}\"index\":"),
        between: format!(",\"finish_reason\":null,\"logprobs\":null,{open}"),
        after: format!(
            "{close}}}],\"created\":{},\"id\":{},\"model\":{},\"object\":\"{kind}\",\"system_fingerprint\":{}{usage}}}\n\n",
            answer.created,
            json!(answer.id),
            json!(answer.model),
            json!(answer.fingerprint),
        ),
        text_first: false,
        offset: 0,
        choices: answer.choices.max(1),
    }
}
