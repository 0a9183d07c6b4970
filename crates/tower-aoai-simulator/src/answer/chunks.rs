//! The events of chat and legacy completions.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::json;

use super::{
    Answer, FILTER_RESULTS, Finish,
    content::{Content, escaped},
    prompt_filter_results, quoted,
    renderer::{Events, Frame, Pieces, Renderer},
};
use crate::request::Operation;

/// The end of a stream.
pub(super) const DONE: &[u8] = b"data: [DONE]\n\n";

/// How many tokens a filter that looks on asynchronously annotates at a time; the documentation
/// speaks of about a thousand characters.
const ANNOTATED: u64 = 250;

/// The events of a stream.
pub(super) fn events(answer: &Answer, include_usage: bool) -> Events {
    let chat = answer.operation == Operation::ChatCompletions;
    let calls = matches!(answer.content, Content::Calls(_)) && chat;
    let kind = if chat { "chat.completion.chunk" } else { "text_completion" };
    let tail = format!(
        "\"created\":{},\"id\":{},\"model\":{},\"object\":\"{kind}\",\"system_fingerprint\":{}",
        answer.created,
        quoted(&answer.id),
        quoted(&answer.model),
        quoted(&answer.fingerprint),
    );
    // Null in every chunk but the last, or in none at all.
    let null = if include_usage { ",\"usage\":null" } else { "" };
    let chunk = |choice: &str| Bytes::from(format!("data: {{\"choices\":[{{{choice}}}],{tail}{null}}}\n\n"));

    let mut opening = VecDeque::new();
    if answer.annotations {
        let results = prompt_filter_results();
        opening.push_back(Bytes::from(format!(
            "data: {{\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\",\"prompt_filter_results\":{results}{null}}}\n\n"
        )));
    }
    if chat {
        let content = if calls { "null" } else { "\"\"" };
        opening.extend((0..answer.choices).map(|index| {
            chunk(&format!(
                "\"delta\":{{\"content\":{content},\"refusal\":null,\"role\":\"assistant\"}},\"finish_reason\":null,\"index\":{index},\"logprobs\":null"
            ))
        }));
    }

    // A filter that looks on asynchronously annotates in events of its own.
    let in_place = answer.annotations && !answer.asynchronous_filter;
    let renderer = renderer(answer, chat, in_place, &tail, null);
    let (interludes, last) = if answer.annotations && answer.asynchronous_filter {
        annotations(answer, null)
    } else {
        (VecDeque::new(), Vec::new())
    };
    let mut closing: VecDeque<Bytes> = finishes(answer, chat, in_place).map(|choice| chunk(&choice)).collect();
    closing.extend(last);
    if include_usage {
        let usage = answer.usage();
        let event = format!("data: {{\"choices\":[],{tail},\"usage\":{usage}}}\n\n");
        closing.push_back(event.into());
    }
    closing.push_back(Bytes::from_static(DONE));
    Events { opening, renderer, interludes, closing }
}

/// The last chunk of each choice.
fn finishes(answer: &Answer, chat: bool, in_place: bool) -> impl Iterator<Item = String> {
    let finish = answer.finish_reason();
    let filter = match answer.finish {
        Finish::ContentFilter if in_place => {
            format!("\"content_filter_results\":{},", answer.filter_results())
        }
        _ if in_place => "\"content_filter_results\":{},".to_owned(),
        _ => String::new(),
    };
    let rest = if chat { "\"delta\":{}" } else { "\"text\":\"\"" };
    (0..answer.choices)
        .map(move |index| format!("{filter}{rest},\"finish_reason\":\"{finish}\",\"index\":{index},\"logprobs\":null"))
}

fn renderer(answer: &Answer, chat: bool, in_place: bool, tail: &str, null: &str) -> Renderer {
    let filter = if in_place { format!("\"content_filter_results\":{FILTER_RESULTS},") } else { String::new() };
    let calls = matches!(answer.content, Content::Calls(_)) && chat;
    let (open, close) = match (chat, calls) {
        (_, true) => ("\"delta\":{\"tool_calls\":[", "]}"),
        (true, false) => ("\"delta\":{\"content\":\"", "\"}"),
        (false, false) => ("\"text\":\"", "\""),
    };
    let pieces = if calls {
        Pieces::Given(call_pieces(answer).into())
    } else {
        answer.content.escaped_pieces().map_or(Pieces::Filler, Pieces::Given)
    };
    Renderer::Chunks {
        frame: Frame {
            before: format!("data: {{\"choices\":[{{{filter}\"index\":"),
            between: format!(",\"finish_reason\":null,\"logprobs\":null,{open}"),
            after: format!("{close}}}],{tail}{null}}}\n\n"),
        },
        pieces,
        choices: answer.choices,
    }
}

/// A call's head with its id and name, then its arguments piece by piece.
fn call_pieces(answer: &Answer) -> Vec<Box<str>> {
    let mut pieces = Vec::new();
    for (index, call) in answer.content.called(answer.tokens).iter().enumerate() {
        let head = json!({
            "index": index, "id": answer.call_id(index), "type": "function",
            "function": {"name": call.name, "arguments": ""},
        });
        pieces.push(head.to_string().into());
        pieces.extend(call.fragments.iter().map(|fragment| {
            let fragment = escaped(fragment);
            format!("{{\"index\":{index},\"function\":{{\"arguments\":\"{fragment}\"}}}}").into()
        }));
    }
    pieces
}

/// The findings of a filter that looks on asynchronously: between the chunks, and, of what was
/// said last, after the finish reason.
fn annotations(answer: &Answer, null: &str) -> (VecDeque<(u64, Bytes)>, Vec<Bytes>) {
    let results = answer.filter_results();
    let annotation = |choice: u64, from: u64, to: u64, results: &str| {
        // Offsets are in characters; a token has four here.
        let (start, end) = (from.saturating_mul(4), to.saturating_mul(4));
        Bytes::from(format!(
            "data: {{\"choices\":[{{\"content_filter_offsets\":{{\"check_offset\":{end},\"end_offset\":{end},\"start_offset\":{start}}},\"content_filter_results\":{results},\"finish_reason\":null,\"index\":{choice}}}],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\"{null}}}\n\n"
        ))
    };
    let mut interludes = VecDeque::new();
    let mut from = 0;
    while from + ANNOTATED < answer.tokens {
        let to = from + ANNOTATED;
        for choice in 0..answer.choices {
            let event = annotation(choice, from, to, FILTER_RESULTS);
            interludes.push_back((to.saturating_mul(answer.choices), event));
        }
        from = to;
    }
    let last = (0..answer.choices).map(|choice| annotation(choice, from, answer.tokens, results));
    (interludes, last.collect())
}
