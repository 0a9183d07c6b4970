//! What of a call decides how long its answer takes, and what it costs.

use tower_aoai_core::Call;

/// How much a call asks for: kept until its answer has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) prompt_bytes: usize,
    pub(crate) max_output_tokens: Option<u64>,
    pub(crate) choices: u64,
}

impl Asked {
    pub(crate) const fn by(call: &Call) -> Self {
        Self { prompt_bytes: call.prompt_bytes, max_output_tokens: call.max_output_tokens, choices: call.choices }
    }
}
