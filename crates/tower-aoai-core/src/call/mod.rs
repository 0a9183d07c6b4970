//! What a request asks for.

mod path;
mod read;

use std::{ops::Range, sync::Arc};

pub use self::path::Address;

/// What a request asks for: read once at the door, then passed down with the request.
///
/// The byte spans point into the body as it was read, and stay true whatever is replaced later
/// ([`RequestBody::replace`](crate::RequestBody::replace)).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Call {
    /// What is asked of the model.
    pub operation: Operation,
    /// How the request addresses it.
    pub style: ApiStyle,
    /// The deployment of a classic path.
    pub deployment: Option<Arc<str>>,
    /// The query's `api-version`.
    pub api_version: Option<Arc<str>>,
    /// The body's `model`: on v1 the deployment's name.
    pub model: Option<Arc<str>>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether a streamed answer is to end with its usage (`stream_options.include_usage`).
    pub include_usage: bool,
    /// The most output tokens asked for (`max_tokens`, `max_completion_tokens` or `max_output_tokens`).
    pub max_output_tokens: Option<u64>,
    /// How many answers are asked for: the larger of `n` and `best_of`, at least 1.
    pub choices: u64,
    /// The `service_tier` that is asked for (`auto`, `default`, `flex`, `priority`); which one served the call, and is
    /// billed, its answer says.
    pub service_tier: Option<Arc<str>>,
    /// Bytes of the prompt as it stands in the body (`messages`, `prompt` or `input`, with `tools` and
    /// `instructions`), 0 if the body was not read.
    pub prompt_bytes: usize,
    /// Bytes of the whole body, 0 if it was not read.
    pub body_bytes: usize,
    /// Where in the body what may be rewritten stands.
    pub spans: Spans,
}

/// What is asked of the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// `chat/completions`.
    Chat,
    /// `completions`.
    Completions,
    /// `embeddings`.
    Embeddings,
    /// `responses`.
    Responses,
    /// Anything else: passed through.
    #[default]
    Other,
}

/// How a request addresses a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ApiStyle {
    /// `/openai/deployments/{deployment}/…?api-version=…`.
    Classic,
    /// `/openai/v1/…` (and OpenAI's own `/v1/…`), the deployment in the body's `model`.
    V1,
    /// Azure AI inference: `/models/…`, the model in the body.
    Inference,
    /// None of these.
    #[default]
    Other,
}

/// Where in the body the values stand that a layer may replace; each is the value alone, without its key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spans {
    /// The value of `model`.
    pub model: Option<Range<usize>>,
    /// The value of `max_tokens`, `max_completion_tokens` or `max_output_tokens`.
    pub max_output_tokens: Option<Range<usize>>,
    /// The value of `stream_options`.
    pub stream_options: Option<Range<usize>>,
    /// The value of `messages`, `prompt` or `input`.
    pub prompt: Option<Range<usize>>,
    /// The value of `temperature`.
    pub temperature: Option<Range<usize>>,
    /// The value of `top_p`.
    pub top_p: Option<Range<usize>>,
    /// Right behind the opening brace: where a member may be added. `None` if the body is no JSON object.
    pub first_member: Option<usize>,
    /// Whether the object has no member, so that an added one needs no comma.
    pub is_empty_object: bool,
}

impl Default for Call {
    /// A call of which nothing is known: one answer, not streamed.
    fn default() -> Self {
        Self {
            operation: Operation::default(),
            style: ApiStyle::default(),
            deployment: None,
            api_version: None,
            model: None,
            stream: false,
            include_usage: false,
            max_output_tokens: None,
            choices: 1,
            service_tier: None,
            prompt_bytes: 0,
            body_bytes: 0,
            spans: Spans::default(),
        }
    }
}

impl Operation {
    /// A short name for logs and metrics: `chat`, `completions`, `embeddings`, `responses`, `other`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Other => "other",
        }
    }
}

impl Call {
    /// The deployment that the request names: that of the path, else the body's `model`.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.deployment.as_deref().or(self.model.as_deref())
    }

    /// A rough size of the call in quota tokens: a token for four bytes of prompt, plus the output asked for.
    ///
    /// Azure's own estimate is made in part from the count of characters; output is 0 if none was asked for.
    #[must_use]
    pub fn estimated_tokens(&self) -> u64 {
        let prompt = (self.prompt_bytes as u64).div_ceil(4);
        let output = self.max_output_tokens.unwrap_or(0).saturating_mul(self.choices.max(1));
        prompt.saturating_add(output)
    }
}
