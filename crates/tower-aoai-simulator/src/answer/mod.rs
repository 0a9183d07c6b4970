//! What goes out: heads, bodies, streams.

mod chunks;
mod embeddings;
pub(crate) mod errors;
pub(crate) mod headers;
pub(crate) mod refusal;
mod responses;
pub(crate) mod stream;
mod text;
mod whole;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    draw::Draws,
    request::{Ask, Operation},
};

pub(crate) use self::{responses::refused_stream, text::text};

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
    /// Whether the length was cut at the request's limit.
    pub(crate) cut: bool,
    pub(crate) prompt_tokens: u64,
    pub(crate) cached_tokens: u64,
    pub(crate) annotations: bool,
}

impl Answer {
    /// Tokens of all choices.
    pub(crate) fn completion_tokens(&self) -> u64 {
        self.tokens.saturating_mul(self.choices)
    }

    fn finish_reason(&self) -> &'static str {
        if self.cut { "length" } else { "stop" }
    }

    /// The `usage` of this answer in its operation's words.
    fn usage(&self) -> Value {
        let completion = self.completion_tokens();
        let total = self.prompt_tokens.saturating_add(completion);
        match self.operation {
            Operation::Embeddings => {
                json!({"prompt_tokens": self.prompt_tokens, "total_tokens": self.prompt_tokens})
            }
            Operation::Responses => json!({
                "input_tokens": self.prompt_tokens,
                "input_tokens_details": {"cached_tokens": self.cached_tokens},
                "output_tokens": completion,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": total,
            }),
            _ => json!({
                "prompt_tokens": self.prompt_tokens,
                "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": self.cached_tokens},
                "completion_tokens": completion,
                "completion_tokens_details": {
                    "accepted_prediction_tokens": 0, "audio_tokens": 0,
                    "reasoning_tokens": 0, "rejected_prediction_tokens": 0,
                },
                "total_tokens": total,
            }),
        }
    }

    /// The body of an answer that is not streamed.
    pub(crate) fn whole(&self, ask: &Ask, draws: &mut Draws) -> Bytes {
        match self.operation {
            Operation::Embeddings => embeddings::whole(self, ask, draws),
            Operation::Responses => responses::whole(self).to_string().into(),
            _ => whole::whole(self).to_string().into(),
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

/// Nothing was found, in the words of the content filter.
fn filter_results() -> Value {
    let safe = json!({"filtered": false, "severity": "safe"});
    json!({"hate": safe, "self_harm": safe, "sexual": safe, "violence": safe})
}

fn prompt_filter_results() -> Value {
    json!([{"prompt_index": 0, "content_filter_results": filter_results()}])
}
