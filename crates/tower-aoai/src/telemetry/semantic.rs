//! OpenTelemetry's words for generative AI, of which names of fields and metrics are made. They are still in development
//! there: what changes, changes here.

use tower_aoai_core::Operation;

/// `gen_ai.provider.name`.
pub(super) const PROVIDER: &str = "azure.ai.openai";

/// `gen_ai.operation.name`: the convention has no word of its own for responses, which are chats with another
/// [`openai.api.type`](api_type).
pub(super) const fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat | Operation::Responses => "chat",
        Operation::Completions => "text_completion",
        Operation::Embeddings => "embeddings",
        _ => "other",
    }
}

/// `openai.api.type`.
pub(super) const fn api_type(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Chat => Some("chat_completions"),
        Operation::Responses => Some("responses"),
        _ => None,
    }
}
