//! Parameters for callers who left them out.

use tower_aoai_core::{Call, EditError, Operation, RequestBody};

/// What a call gets that does not say it itself; a parameter that the caller gave, be it `null`, is never changed.
///
/// | parameter | chat | completions | responses | embeddings and all others |
/// |---|---|---|---|---|
/// | [`temperature`](Self::temperature), [`top_p`](Self::top_p) | yes | yes | yes | no |
/// | [`max_tokens`](Self::max_tokens) | `max_tokens` | `max_tokens` | `max_output_tokens` | no |
/// | [`max_completion_tokens`](Self::max_completion_tokens) | `max_completion_tokens` | `max_tokens` | `max_output_tokens` | no |
///
/// Which of the two limits a chat model takes depends on model and api-version: reasoning models refuse `max_tokens`,
/// old api-versions do not know `max_completion_tokens`; so it is yours to say. A call that has either keeps it.
///
/// They are added at the endpoint, below the quota, whose estimate was made without them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[must_use]
pub struct Defaults {
    temperature: Option<f64>,
    top_p: Option<f64>,
    output: Option<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Output {
    tokens: u64,
    chat_key: &'static str,
}

impl Defaults {
    /// Nothing is added.
    pub const fn new() -> Self {
        Self { temperature: None, top_p: None, output: None }
    }

    /// The temperature, by OpenAI's documentation from 0 to 2. A number that is not finite is none.
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = Some(temperature).filter(|number| number.is_finite());
        self
    }

    /// The share of probability to draw from, from 0 to 1. A number that is not finite is none.
    pub fn top_p(mut self, share: f64) -> Self {
        self.top_p = Some(share).filter(|number| number.is_finite());
        self
    }

    /// The most output tokens; for chat as `max_tokens`.
    pub const fn max_tokens(mut self, tokens: u64) -> Self {
        self.output = Some(Output { tokens, chat_key: "max_tokens" });
        self
    }

    /// The most output tokens; for chat as `max_completion_tokens`.
    pub const fn max_completion_tokens(mut self, tokens: u64) -> Self {
        self.output = Some(Output { tokens, chat_key: "max_completion_tokens" });
        self
    }

    /// Adds what is missing; returns the output tokens that were added. A body that is no JSON object stays as it is.
    pub(crate) fn add(&self, call: &Call, body: &mut RequestBody) -> Result<Option<u64>, EditError> {
        let output_key = match call.operation {
            Operation::Chat => None,
            Operation::Completions => Some("max_tokens"),
            Operation::Responses => Some("max_output_tokens"),
            _ => return Ok(None),
        };
        let spans = &call.spans;
        if spans.first_member.is_none() {
            return Ok(None);
        }
        for (key, value, given) in
            [("temperature", self.temperature, &spans.temperature), ("top_p", self.top_p, &spans.top_p)]
        {
            if let Some(value) = value.filter(|_| given.is_none()) {
                body.add_member(spans, key, &value.to_string())?;
            }
        }
        match self.output.filter(|_| spans.max_output_tokens.is_none()) {
            Some(Output { tokens, chat_key }) => {
                body.add_member(spans, output_key.unwrap_or(chat_key), &tokens.to_string())?;
                Ok(Some(tokens))
            }
            None => Ok(None),
        }
    }
}
