//! What goes out: heads, bodies, streams.

mod chunks;
pub(crate) mod content;
mod embeddings;
pub(crate) mod errors;
pub(crate) mod headers;
mod models;
pub(crate) mod refusal;
mod renderer;
mod responses;
pub(crate) mod stream;
mod text;
mod whole;

use bytes::Bytes;
use serde_json::Value;

use crate::{
    draw::Draws,
    request::{Ask, Operation},
};

pub(crate) use self::{
    content::{Call, Content},
    models::{known_model, models},
    responses::refused_stream,
    text::text,
};

/// A successful answer, decided but not yet written.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) operation: Operation,
    pub(crate) id: String,
    pub(crate) fingerprint: String,
    /// Unix seconds.
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) choices: u64,
    /// Tokens of each choice.
    pub(crate) tokens: u64,
    pub(crate) content: Content,
    pub(crate) finish: Finish,
    pub(crate) prompt_tokens: u64,
    pub(crate) cached_tokens: u64,
    pub(crate) annotations: bool,
    /// Whether the content filter looks at a stream while it is on its way.
    pub(crate) asynchronous_filter: bool,
}

/// Why an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    /// At the request's limit.
    Length,
    ToolCalls,
    /// Blocked.
    ContentFilter,
}

impl Answer {
    /// Tokens of all choices.
    pub(crate) fn completion_tokens(&self) -> u64 {
        self.tokens.saturating_mul(self.choices)
    }

    fn finish_reason(&self) -> &'static str {
        match self.finish {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::ToolCalls => "tool_calls",
            Finish::ContentFilter => "content_filter",
        }
    }

    /// The content filter's findings about the answer.
    fn filter_results(&self) -> &'static str {
        if self.finish == Finish::ContentFilter { BLOCKED_RESULTS } else { FILTER_RESULTS }
    }

    /// The id of a call of a tool.
    fn call_id(&self, index: usize) -> String {
        let id: String = self.id.chars().rev().take(22).collect();
        format!("call_{id}{index:02}")
    }

    /// The `usage` of chat and legacy completions, as JSON.
    fn usage(&self) -> String {
        let (prompt, cached) = (self.prompt_tokens, self.cached_tokens);
        let completion = self.completion_tokens();
        let total = prompt.saturating_add(completion);
        format!(
            "{{\"completion_tokens\":{completion},\"completion_tokens_details\":{{\"accepted_prediction_tokens\":0,\"audio_tokens\":0,\"reasoning_tokens\":0,\"rejected_prediction_tokens\":0}},\"prompt_tokens\":{prompt},\"prompt_tokens_details\":{{\"audio_tokens\":0,\"cached_tokens\":{cached}}},\"total_tokens\":{total}}}"
        )
    }

    /// The body of an answer that is not streamed.
    pub(crate) fn whole(&self, ask: &Ask, draws: &mut Draws) -> Bytes {
        match self.operation {
            Operation::Embeddings => embeddings::whole(self, ask, draws),
            Operation::Responses => responses::whole(self).to_string().into(),
            _ => whole::whole(self).into(),
        }
    }
}

/// The prefix of an id by operation, as captured answers have it.
pub(crate) fn id_prefix(operation: Operation) -> &'static str {
    match operation {
        Operation::Completions => "cmpl-",
        Operation::Responses => "resp_",
        _ => "chatcmpl-",
    }
}

/// Nothing was found, in the words of the content filter. As text: it is in every answer, and
/// building it as JSON each time was most of an answer's cost.
const FILTER_RESULTS: &str = r#"{"hate":{"filtered":false,"severity":"safe"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#;

/// Something was found.
const BLOCKED_RESULTS: &str = r#"{"hate":{"filtered":true,"severity":"high"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#;

/// The same of the prompt.
fn prompt_filter_results() -> String {
    format!("[{{\"content_filter_results\":{FILTER_RESULTS},\"prompt_index\":0}}]")
}

/// A text as JSON writes it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
