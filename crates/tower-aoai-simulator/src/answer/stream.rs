//! Streams of server-sent events, written event by event as their time comes.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Answer, filter_results, prompt_filter_results, responses, text};
use crate::{latency::Times, request::Operation, script::StreamFault};

/// How an event that carries one token is put together: `before`, a number or the text,
/// `between`, the other of the two, `after`.
#[derive(Debug, Clone)]
pub(crate) struct Renderer {
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
    fn event(&self, index: u64) -> Bytes {
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

/// A stream being played: what comes next, and when.
#[derive(Debug)]
pub(crate) struct Playback {
    start: Instant,
    times: Times,
    opening: VecDeque<Bytes>,
    renderer: Renderer,
    content: u64,
    next: u64,
    closing: VecDeque<Bytes>,
    fault: Option<(u64, StreamFault)>,
    /// What an error inside this stream looks like.
    error: &'static [u8],
}

/// What a stream does next.
#[derive(Debug)]
pub(crate) enum Step {
    /// These bytes; the flag says whether they carry content.
    Event(Bytes, bool),
    /// The connection breaks.
    Cut,
    /// Nothing, ever.
    Stall,
    /// It is over.
    End,
}

impl Playback {
    pub(crate) fn new(
        answer: &Answer,
        include_usage: bool,
        start: Instant,
        times: Times,
        fault: Option<(u64, StreamFault)>,
    ) -> Self {
        let (opening, renderer, mut closing) = match answer.operation {
            Operation::Responses => responses::events(answer),
            _ => chunks(answer, include_usage),
        };
        if matches!(fault, Some((_, StreamFault::NoDone))) {
            closing.retain(|event| &event[..] != DONE);
        }
        let content = answer.completion_tokens();
        let responses = answer.operation == Operation::Responses;
        let error = if responses { RESPONSES_ERROR } else { ERROR };
        Self {
            start,
            times,
            opening,
            renderer,
            content,
            next: 0,
            closing,
            fault,
            error,
        }
    }

    /// A stream of exactly these frames, all there at once.
    pub(crate) fn raw(frames: impl IntoIterator<Item = Bytes>, start: Instant) -> Self {
        let times = Times {
            head: Duration::ZERO,
            first: Duration::ZERO,
            gap: Duration::ZERO,
        };
        let renderer = Renderer {
            before: String::new(),
            between: String::new(),
            after: String::new(),
            text_first: true,
            offset: 0,
            choices: 1,
        };
        Self {
            start,
            times,
            opening: frames.into_iter().collect(),
            renderer,
            content: 0,
            next: 0,
            closing: VecDeque::new(),
            fault: None,
            error: ERROR,
        }
    }

    /// A stream that begins and never goes on.
    pub(crate) fn stalled(start: Instant) -> Self {
        Self {
            fault: Some((0, StreamFault::Stall)),
            ..Self::raw([], start)
        }
    }

    /// How many events with content have been handed over.
    pub(crate) fn delivered(&self) -> u64 {
        self.next
    }

    /// When the next step is due; asking does not take it.
    pub(crate) fn due(&self) -> Instant {
        let after = if !self.opening.is_empty() {
            self.times.head
        } else if self.next < self.content {
            self.times.token(self.next / self.renderer.choices)
        } else {
            self.times.last(self.content / self.renderer.choices)
        };
        self.start + after
    }

    /// Takes the next step.
    pub(crate) fn step(&mut self) -> Step {
        if let Some(event) = self.opening.pop_front() {
            return Step::Event(event, false);
        }
        if let Some((after, fault)) = self.fault
            && (self.next >= after || (self.next == self.content && fault != StreamFault::NoDone))
        {
            return match fault {
                StreamFault::Cut => Step::Cut,
                StreamFault::Stall => Step::Stall,
                StreamFault::End | StreamFault::NoDone => self.finish(),
                StreamFault::Error => {
                    // One event, then as if it were complete.
                    self.fault = Some((0, StreamFault::End));
                    Step::Event(Bytes::from_static(self.error), false)
                }
            };
        }
        if self.next < self.content {
            let event = self.renderer.event(self.next);
            self.next += 1;
            return Step::Event(event, true);
        }
        self.closing
            .pop_front()
            .map_or(Step::End, |event| Step::Event(event, false))
    }

    /// Whether nothing is left, without taking a step.
    pub(crate) fn is_over(&self) -> bool {
        let played = self.opening.is_empty() && self.next >= self.content;
        played
            && self.closing.is_empty()
            && self
                .fault
                .is_none_or(|(_, fault)| fault == StreamFault::NoDone)
    }

    fn finish(&mut self) -> Step {
        self.closing.clear();
        self.content = self.next;
        self.fault = None;
        Step::End
    }
}

const DONE: &[u8] = b"data: [DONE]\n\n";
/// An error inside a stream of chat chunks: no event name, an `error` member.
const ERROR: &[u8] = b"data: {\"error\":{\"message\":\"The server had an error while processing your request. Sorry about that!\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n";
/// The same in a stream of the Responses operation.
const RESPONSES_ERROR: &[u8] = b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"server_error\",\"code\":\"server_error\",\"message\":\"The server had an error while processing your request. Sorry about that!\",\"param\":null}}\n\n";

fn data(value: &Value) -> Bytes {
    format!("data: {value}\n\n").into()
}

/// Chat and legacy completions.
fn chunks(answer: &Answer, include_usage: bool) -> (VecDeque<Bytes>, Renderer, VecDeque<Bytes>) {
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
