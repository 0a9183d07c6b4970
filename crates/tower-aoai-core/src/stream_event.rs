//! What an event of a streamed answer means.
//!
//! Told by the event's own shape, not by the request's path: chat and completions send chunks with `choices`,
//! responses send objects whose `type` begins with `response.`, and an error looks the same everywhere.
//!
//! Nearly all events of a stream are content, and nothing in them is wanted. So once content was seen an event is
//! parsed only if a substring search suggests that it holds more; and then by borrowed partial structs whose members
//! are read one by one, for servers send `null`, leave out, and send empty what a client would expect (the asynchronous
//! content filter's annotations have an empty `id` and `model`, and choices without a `delta`).

mod lazy;
mod wire;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::wire::{Choice, Chunk, ErrorObject, ResponseObject, is_truthy, text};
use crate::{Usage, classify::StreamError, sse::Event};

/// What an event means, and what it tells on the side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamEvent<'a> {
    pub(crate) meaning: Meaning<'a>,
    /// What the answer used, where the event says so.
    pub(crate) usage: Option<Usage>,
    /// The model that answers, where the event was parsed and names it.
    pub(crate) model: Option<Cow<'a, str>>,
    /// The service tier, likewise.
    pub(crate) service_tier: Option<Cow<'a, str>>,
    /// Whether its shape is one of those known here, so that its stream's last event will be, too.
    pub(crate) known: bool,
}

/// What an event means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning<'a> {
    /// Nothing that an answer consists of: a role, filter results, `response.created`, `in_progress`, `queued`.
    Preamble,
    /// Output of the model.
    Content,
    /// A part of the answer that is no output: an item begins or ends.
    Structure,
    /// Nothing but the usage: the extra chunk that `include_usage` asks for.
    Usage,
    /// A choice of the answer is complete: a `finish_reason`. Usage, annotations and other choices may follow.
    Finish {
        /// Whether the event also holds output.
        content: bool,
    },
    /// The stream's last event: `[DONE]`, `response.completed`, `response.incomplete`. Clients stop reading here.
    Done,
    /// The server failed.
    Error(EventError<'a>),
}

/// What the server said of its failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EventError<'a> {
    code: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    message: Option<Cow<'a, str>>,
}

impl EventError<'_> {
    /// Whether it says nothing: a `response.failed` with `"error": null`, next to which an `error` event comes.
    pub(crate) fn is_silent(&self) -> bool {
        self.code.is_none() && self.kind.is_none() && self.message.is_none()
    }

    /// As a classifier takes it.
    pub(crate) fn as_stream_error(&self) -> StreamError<'_> {
        StreamError { code: self.code.as_deref(), kind: self.kind.as_deref(), message: self.message.as_deref() }
    }

    fn of_json(json: &str) -> Option<EventError<'_>> {
        if json.starts_with('"') {
            return serde_json::from_str(json)
                .ok()
                .map(|message: String| EventError { message: Some(message.into()), ..EventError::default() });
        }
        let error = ErrorObject::read(json)?;
        Some(EventError {
            code: error.code.and_then(text),
            kind: error.kind.and_then(text),
            message: error.message.and_then(text),
        })
    }

    /// The error in a JSON value: an object, or a message.
    pub(crate) fn in_json(json: &[u8]) -> Option<EventError<'_>> {
        let json = std::str::from_utf8(json).ok()?;
        is_truthy(json).then(|| EventError::of_json(json).unwrap_or_default())
    }
}

impl<'a> From<Meaning<'a>> for StreamEvent<'a> {
    fn from(meaning: Meaning<'a>) -> Self {
        Self { meaning, usage: None, model: None, service_tier: None, known: true }
    }
}

/// Reads an event: all of it if `eager`, else no more than [`lazy`] suggests.
pub(crate) fn read<'a>(event: &Event<'a>, eager: bool) -> StreamEvent<'a> {
    let data = event.data.trim_ascii();
    if data == b"[DONE]" {
        return Meaning::Done.into();
    }
    if !event.whole {
        return lazy::by_kind(event).into();
    }
    if !eager && let Some(meaning) = lazy::without_parsing(event) {
        return meaning.into();
    }
    let name = event.name.and_then(|name| std::str::from_utf8(name).ok());
    match Chunk::read(data) {
        Some(chunk) => of_chunk(name, &chunk, data),
        None if name == Some("error") => {
            error(EventError { message: Some(String::from_utf8_lossy(data)), ..EventError::default() })
        }
        None => unknown(),
    }
}

fn of_chunk<'a>(name: Option<&'a str>, chunk: &Chunk<'a>, data: &'a [u8]) -> StreamEvent<'a> {
    let kind = chunk.kind.and_then(text).or(name.map(Cow::Borrowed));
    let kind = kind.as_deref().unwrap_or_default();
    if let Some(kind) = kind.strip_prefix("response.") {
        return of_response(kind, chunk);
    }
    if let Some(raw) = chunk.error.filter(|raw| is_truthy(raw.get())) {
        return error(EventError::of_json(raw.get()).unwrap_or_default());
    }
    if kind == "error" {
        // OpenAI's own shape: code and message beside the type.
        let json = std::str::from_utf8(data).ok();
        let own = json.and_then(EventError::of_json).unwrap_or_default();
        return error(EventError { kind: None, ..own });
    }
    let usage = chunk.usage.and_then(|raw| Usage::from_json(raw.get().as_bytes()));
    let (meaning, known) = match chunk.choices.map(|raw| serde_json::from_str::<Vec<_>>(raw.get())) {
        Some(Ok(choices)) => (of_choices(&choices, usage.is_some()), true),
        None if usage.is_some() => (Meaning::Usage, true),
        None if chunk.is_annotation() || matches!(kind, "keepalive" | "ping") => (Meaning::Preamble, false),
        Some(Err(_)) | None => (Meaning::Content, false),
    };
    StreamEvent {
        meaning,
        usage,
        model: chunk.model.and_then(text),
        service_tier: chunk.service_tier.and_then(text),
        known,
    }
}

fn of_choices(choices: &[Choice<'_>], has_usage: bool) -> Meaning<'static> {
    if choices.is_empty() {
        return if has_usage { Meaning::Usage } else { Meaning::Preamble };
    }
    let content = choices.iter().any(Choice::has_content);
    if choices.iter().any(Choice::is_finished) {
        Meaning::Finish { content }
    } else if content {
        Meaning::Content
    } else {
        Meaning::Preamble
    }
}

fn of_response<'a>(kind: &str, chunk: &Chunk<'a>) -> StreamEvent<'a> {
    let response: ResponseObject<'a> = chunk.response.and_then(ResponseObject::read).unwrap_or_default();
    let failure = || response.error.and_then(|raw| EventError::of_json(raw.get())).unwrap_or_default();
    StreamEvent {
        meaning: match kind {
            "failed" => Meaning::Error(failure()),
            kind => lazy::of_response_kind(kind),
        },
        usage: response.usage.and_then(|raw| Usage::from_json(raw.get().as_bytes())),
        model: response.model.and_then(text),
        service_tier: response.service_tier.and_then(text),
        known: true,
    }
}

fn error(error: EventError<'_>) -> StreamEvent<'_> {
    Meaning::Error(error).into()
}

/// Whatever it is, the caller sees it: that is content.
fn unknown() -> StreamEvent<'static> {
    StreamEvent { known: false, ..Meaning::Content.into() }
}
