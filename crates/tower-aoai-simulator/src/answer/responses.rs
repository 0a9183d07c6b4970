//! The Responses operation: its object, its events, and its way of refusing inside a stream.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Answer, chunks::Renderer, text};

fn object(answer: &Answer, status: &str, output: &Value, usage: &Value) -> Value {
    let reason = if status == "incomplete" {
        json!({"reason": "max_output_tokens"})
    } else {
        Value::Null
    };
    json!({
        "id": answer.id, "object": "response", "created_at": answer.created, "status": status,
        "model": answer.model, "error": null, "incomplete_details": reason,
        "output": output, "usage": usage, "parallel_tool_calls": true, "tools": [],
    })
}

fn usage(answer: &Answer) -> Value {
    let (prompt, completion) = (answer.prompt_tokens, answer.completion_tokens());
    json!({
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": answer.cached_tokens},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt.saturating_add(completion),
    })
}

fn item_id(answer: &Answer) -> String {
    format!("msg_{}", answer.id.trim_start_matches("resp_"))
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn item(answer: &Answer, status: &str, content: &Value) -> Value {
    json!({
        "id": item_id(answer), "type": "message", "role": "assistant", "status": status,
        "content": content,
    })
}

fn final_status(answer: &Answer) -> &'static str {
    if answer.cut {
        "incomplete"
    } else {
        "completed"
    }
}

pub(super) fn whole(answer: &Answer) -> Value {
    let status = final_status(answer);
    let item = item(answer, status, &json!([part(&text(answer.tokens))]));
    object(answer, status, &json!([item]), &usage(answer))
}

fn event(mut data: Value, sequence: u64) -> Bytes {
    data["sequence_number"] = sequence.into();
    let kind = data["type"].as_str().unwrap_or_default().to_owned();
    format!("event: {kind}\ndata: {data}\n\n").into()
}

/// The events before the text, how to render it, and the events after it.
pub(super) fn events(answer: &Answer) -> (VecDeque<Bytes>, Renderer, VecDeque<Bytes>) {
    let created = object(answer, "in_progress", &json!([]), &Value::Null);
    let item_id = item_id(answer);
    let at = json!({"item_id": item_id, "output_index": 0, "content_index": 0});
    let with = |kind: &str, key: &str, value: &Value| {
        let mut data = at.clone();
        data["type"] = kind.into();
        data[key] = value.clone();
        data
    };
    let opening = [
        json!({"type": "response.created", "response": created}),
        json!({"type": "response.in_progress", "response": created}),
        json!({
            "type": "response.output_item.added", "output_index": 0,
            "item": item(answer, "in_progress", &json!([])),
        }),
        with("response.content_part.added", "part", &part("")),
    ];
    let renderer = Renderer {
        before: "event: response.output_text.delta\ndata: {\"content_index\":0,\"delta\":\""
            .to_owned(),
        between: format!(
            "\",\"item_id\":{},\"output_index\":0,\"type\":\"response.output_text.delta\",\"sequence_number\":",
            json!(item_id)
        ),
        after: "}\n\n".to_owned(),
        text_first: true,
        offset: 4,
        choices: 1,
    };
    let text = text(answer.tokens);
    let status = final_status(answer);
    let done = item(answer, status, &json!([part(&text)]));
    let closing = [
        with("response.output_text.done", "text", &json!(text)),
        with("response.content_part.done", "part", &part(&text)),
        json!({"type": "response.output_item.done", "output_index": 0, "item": done}),
        json!({
            "type": format!("response.{status}"),
            "response": object(answer, status, &json!([done]), &usage(answer)),
        }),
    ];
    let numbered = |from: u64, events: [Value; 4]| {
        events
            .into_iter()
            .zip(from..)
            .map(|(data, number)| event(data, number))
            .collect()
    };
    (
        numbered(0, opening),
        renderer,
        numbered(answer.tokens.saturating_add(4), closing),
    )
}

/// The events of a refusal inside a stream, as captured in 2026.
pub(crate) fn refused_stream(id: &str, created: u64, model: &str, message: &str) -> Vec<Bytes> {
    let code = "rate_limit_exceeded";
    let response = |status: &str, error: &Value| {
        json!({
            "id": id, "object": "response", "created_at": created, "status": status,
            "model": model, "error": error, "output": [], "usage": null,
        })
    };
    let failed = response("failed", &json!({"code": code, "message": message}));
    let events = [
        json!({"type": "response.created", "response": response("in_progress", &Value::Null)}),
        json!({
            "type": "error",
            "error": {
                "type": "too_many_requests", "code": code, "message": message, "param": null,
                "headers": {"x-ms-fe-error": "true"},
            },
        }),
        json!({"type": "response.failed", "response": failed}),
    ];
    events
        .into_iter()
        .zip(0..)
        .map(|(data, number)| event(data, number))
        .collect()
}
