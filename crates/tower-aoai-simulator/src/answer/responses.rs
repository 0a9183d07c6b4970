//! The Responses operation: its object, its events, and its way of refusing inside a stream.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    Answer, Finish,
    content::Called,
    renderer::{Events, Frame, Pieces, Renderer},
};

fn object(answer: &Answer, status: &str, output: &Value, usage: &Value) -> Value {
    let reason = match (status, answer.finish) {
        ("incomplete", Finish::ContentFilter) => json!({"reason": "content_filter"}),
        ("incomplete", _) => json!({"reason": "max_output_tokens"}),
        _ => Value::Null,
    };
    json!({
        "id": answer.id, "object": "response", "created_at": answer.created, "status": status,
        "background": false, "error": null, "incomplete_details": reason, "instructions": null,
        "max_output_tokens": null, "metadata": {}, "model": answer.model, "output": output,
        "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null}, "service_tier": "default", "store": true,
        "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto",
        "tools": [], "top_p": 1.0, "truncation": "disabled", "usage": usage, "user": null,
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

fn message_id(answer: &Answer) -> String {
    format!("msg_{}", answer.id.trim_start_matches("resp_"))
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn message(answer: &Answer, status: &str, content: &Value) -> Value {
    json!({
        "id": message_id(answer), "type": "message", "role": "assistant", "status": status,
        "content": content,
    })
}

fn call_item_id(answer: &Answer, index: usize) -> String {
    format!("fc_{}{index:02}", answer.id.trim_start_matches("resp_"))
}

fn call(answer: &Answer, index: usize, call: &Called, status: &str, arguments: &str) -> Value {
    json!({
        "id": call_item_id(answer, index), "type": "function_call", "status": status,
        "call_id": answer.call_id(index), "name": call.name, "arguments": arguments,
    })
}

fn final_status(answer: &Answer) -> &'static str {
    match answer.finish {
        Finish::Length | Finish::ContentFilter => "incomplete",
        Finish::Stop | Finish::ToolCalls => "completed",
    }
}

/// What is in the answer when it is over.
fn output(answer: &Answer) -> Value {
    let status = final_status(answer);
    let called = answer.content.called(answer.tokens);
    if called.is_empty() {
        let text = answer.content.said(answer.tokens);
        return json!([message(answer, status, &json!([part(&text)]))]);
    }
    let calls = called.iter().enumerate();
    calls.map(|(index, called)| call(answer, index, called, status, &called.arguments())).collect()
}

pub(super) fn whole(answer: &Answer) -> Value {
    object(answer, final_status(answer), &output(answer), &usage(answer))
}

fn event(mut data: Value, sequence: u64) -> Bytes {
    data["sequence_number"] = sequence.into();
    let kind = data["type"].as_str().unwrap_or_default().to_owned();
    format!("event: {kind}\ndata: {data}\n\n").into()
}

fn numbered(from: u64, events: impl IntoIterator<Item = Value>) -> VecDeque<Bytes> {
    let events = events.into_iter().zip(from..);
    events.map(|(data, number)| event(data, number)).collect()
}

/// The events of a stream.
pub(super) fn events(answer: &Answer) -> Events {
    let created = object(answer, "in_progress", &json!([]), &Value::Null);
    let begin = [
        json!({"type": "response.created", "response": created}),
        json!({"type": "response.in_progress", "response": created}),
    ];
    let called = answer.content.called(answer.tokens);
    if called.is_empty() {
        return text_events(answer, begin);
    }
    call_events(answer, &called, begin)
}

fn end(answer: &Answer) -> Value {
    let status = final_status(answer);
    json!({
        "type": format!("response.{status}"),
        "response": object(answer, status, &output(answer), &usage(answer)),
    })
}

fn text_events(answer: &Answer, begin: [Value; 2]) -> Events {
    let item_id = message_id(answer);
    let at = json!({"item_id": item_id, "output_index": 0, "content_index": 0});
    let with = |kind: &str, key: &str, value: &Value| {
        let mut data = at.clone();
        data["type"] = kind.into();
        data[key] = value.clone();
        data
    };
    let opening = begin.into_iter().chain([
        json!({
            "type": "response.output_item.added", "output_index": 0,
            "item": message(answer, "in_progress", &json!([])),
        }),
        with("response.content_part.added", "part", &part("")),
    ]);
    let frame = Frame {
        before: "event: response.output_text.delta\ndata: {\"content_index\":0,\"delta\":\"".to_owned(),
        between: format!(
            "\",\"item_id\":{},\"logprobs\":[],\"output_index\":0,\"type\":\"response.output_text.delta\",\"sequence_number\":",
            json!(item_id)
        ),
        after: "}\n\n".to_owned(),
    };
    let pieces = answer.content.escaped_pieces();
    let text = answer.content.said(answer.tokens);
    let mut done = with("response.output_text.done", "text", &json!(text));
    done["logprobs"] = json!([]);
    let closing = [
        done,
        with("response.content_part.done", "part", &part(&text)),
        json!({
            "type": "response.output_item.done", "output_index": 0,
            "item": message(answer, final_status(answer), &json!([part(&text)])),
        }),
        end(answer),
    ];
    Events {
        opening: numbered(0, opening),
        renderer: Renderer::Numbered { frame, pieces: pieces.map_or(Pieces::Filler, Pieces::Given), first: 4 },
        interludes: VecDeque::new(),
        closing: numbered(answer.tokens.saturating_add(4), closing),
    }
}

/// Each call is an item of its own: its head and its arguments' pieces are content, what ends it
/// is not.
fn call_events(answer: &Answer, called: &[Called], begin: [Value; 2]) -> Events {
    let (mut content, mut interludes, mut number) = (Vec::new(), VecDeque::new(), 2_u64);
    let status = final_status(answer);
    for (index, call_made) in called.iter().enumerate() {
        let item_id = call_item_id(answer, index);
        let mut push = |data: Value| {
            let event = event(data, number);
            number += 1;
            event
        };
        content.push(push(json!({
            "type": "response.output_item.added", "output_index": index,
            "item": call(answer, index, call_made, "in_progress", ""),
        })));
        for fragment in &call_made.fragments {
            content.push(push(json!({
                "type": "response.function_call_arguments.delta", "item_id": item_id,
                "output_index": index, "delta": fragment,
            })));
        }
        let arguments = call_made.arguments();
        let before = u64::try_from(content.len()).unwrap_or(u64::MAX);
        let ends = [
            json!({
                "type": "response.function_call_arguments.done", "item_id": item_id,
                "output_index": index, "arguments": arguments, "name": call_made.name,
            }),
            json!({
                "type": "response.output_item.done", "output_index": index,
                "item": call(answer, index, call_made, status, &arguments),
            }),
        ];
        interludes.extend(ends.map(|data| (before, push(data))));
    }
    Events {
        opening: numbered(0, begin),
        renderer: Renderer::Given(content),
        interludes,
        closing: numbered(number, [end(answer)]),
    }
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
    numbered(0, events).into()
}
