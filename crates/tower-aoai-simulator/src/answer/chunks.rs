//! The events of chat and legacy completions.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Answer, FILTER_RESULTS, prompt_filter_results, quoted, text};
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

/// The events before the text, how to render it, and the events after it.
///
/// All are put together from text, not from JSON: they are the bulk of what is ever sent.
pub(super) fn events(
    answer: &Answer,
    include_usage: bool,
) -> (VecDeque<Bytes>, Renderer, VecDeque<Bytes>) {
    let chat = answer.operation == Operation::ChatCompletions;
    let kind = if chat {
        "chat.completion.chunk"
    } else {
        "text_completion"
    };
    let tail = format!(
        "\"created\":{},\"id\":{},\"model\":{},\"object\":\"{kind}\",\"system_fingerprint\":{}",
        answer.created,
        quoted(&answer.id),
        quoted(&answer.model),
        quoted(&answer.fingerprint),
    );
    // Null in every chunk but the last, or in none at all.
    let null = if include_usage { ",\"usage\":null" } else { "" };
    let chunk = |choice: &str| {
        Bytes::from(format!(
            "data: {{\"choices\":[{{{choice}}}],{tail}{null}}}\n\n"
        ))
    };

    let mut opening = VecDeque::new();
    if answer.annotations {
        let results = prompt_filter_results();
        opening.push_back(Bytes::from(format!(
            "data: {{\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\",\"prompt_filter_results\":{results}{null}}}\n\n"
        )));
    }
    if chat {
        opening.extend((0..answer.choices).map(|index| {
            chunk(&format!(
                "\"delta\":{{\"content\":\"\",\"refusal\":null,\"role\":\"assistant\"}},\"finish_reason\":null,\"index\":{index},\"logprobs\":null"
            ))
        }));
    }

    let (finish, rest) = (
        answer.finish_reason(),
        if chat {
            "\"delta\":{}"
        } else {
            "\"text\":\"\""
        },
    );
    let filter = if answer.annotations {
        "\"content_filter_results\":{},"
    } else {
        ""
    };
    let mut closing: VecDeque<Bytes> = (0..answer.choices)
        .map(|index| {
            chunk(&format!(
                "{filter}{rest},\"finish_reason\":\"{finish}\",\"index\":{index},\"logprobs\":null"
            ))
        })
        .collect();
    if include_usage {
        let usage = answer.usage();
        let event = format!("data: {{\"choices\":[],{tail},\"usage\":{usage}}}\n\n");
        closing.push_back(event.into());
    }
    closing.push_back(Bytes::from_static(DONE));

    let filter = if answer.annotations {
        format!("\"content_filter_results\":{FILTER_RESULTS},")
    } else {
        String::new()
    };
    let (open, close) = if chat {
        ("\"delta\":{\"content\":\"", "\"}")
    } else {
        ("\"text\":\"", "\"")
    };
    let renderer = Renderer {
        before: format!("data: {{\"choices\":[{{{filter}\"index\":"),
        between: format!(",\"finish_reason\":null,\"logprobs\":null,{open}"),
        after: format!("{close}}}],{tail}{null}}}\n\n"),
        text_first: false,
        offset: 0,
        choices: answer.choices.max(1),
    };
    (opening, renderer, closing)
}
