use std::fmt;

use tower_aoai_core::{Call, Operation, Reason, Rejected, Usage};

use crate::desk::NAME;

/// What a call costs in quota; never money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Charge {
    /// Tokens, on a provisioned deployment weighted ones.
    pub tokens: u64,
    /// Requests.
    pub requests: u64,
}

impl Charge {
    pub(crate) const NONE: Self = Self { tokens: 0, requests: 0 };

    /// One request of so many tokens.
    #[must_use]
    pub const fn tokens(tokens: u64) -> Self {
        Self { tokens, requests: 1 }
    }

    /// The refusal of what no quota of this size ever grants.
    pub(crate) fn too_large(self) -> Rejected {
        Rejected::new(Reason::TooLarge, NAME).detail(format!("it counts as {} tokens, prompt and output", self.tokens))
    }
}

/// What the server will charge for a call, as far as one can tell before it is sent.
///
/// The closer to the server's own estimate, the better: too low and the server refuses what was let through, too high
/// and quota is left unused. Must not block.
pub trait Estimate: fmt::Debug + Send + Sync {
    /// The charge of a call, in tokens.
    fn charge(&self, call: &Call) -> u64;

    /// The prompt's part of the charge, in tokens. Default: a token for four bytes.
    fn prompt(&self, call: &Call) -> u64 {
        (call.prompt_bytes as u64).div_ceil(4)
    }

    /// The charge of a call whose answer is known to take so many tokens, of all choices. Default: as if that had been
    /// [used](Self::actual).
    fn charge_of(&self, call: &Call, output: u64) -> u64 {
        self.actual(&Usage::new(self.prompt(call), output))
    }

    /// What a call has cost, in tokens, by the usage its answer tells; matters only where the
    /// [accounting](crate::Accounting) corrects. Default: input and output.
    fn actual(&self, usage: &Usage) -> u64 {
        usage.total()
    }
}

/// Azure's estimate: the prompt by its size, and the output that is asked for.
///
/// Azure's documentation: the estimate is made from the text of the prompt, in part by its count of characters, from
/// `max_tokens` and from `best_of`. Here a token is four *bytes* of the prompt as it stands in the body, quotes and
/// braces included, which is rather too much than too little for English, and the output is multiplied by the larger of
/// `n` and `best_of`. A call of which nothing is known, because no [`PrepareLayer`](tower_aoai_core::PrepareLayer)
/// stands above, has an empty prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AzureEstimate {
    default_output: u64,
    output_ratio: u64,
}

impl Default for AzureEstimate {
    fn default() -> Self {
        Self { default_output: 16, output_ratio: 1 }
    }
}

impl AzureEstimate {
    /// 16 tokens of output where none are asked for, an output token as heavy as one of the prompt.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The output, in tokens for each choice, of a call that does not limit it; embeddings have none. Default 16: what
    /// older models were measured to be charged. What newer ones are charged is not known.
    #[must_use]
    pub const fn default_output(mut self, tokens: u64) -> Self {
        self.default_output = tokens;
        self
    }

    /// How many tokens of the prompt a token of output weighs on a provisioned deployment: 4 for gpt-4o and gpt-4.1, 8
    /// for gpt-5 (Azure's documentation). Default 1, for standard deployments.
    #[must_use]
    pub const fn output_ratio(mut self, ratio: u64) -> Self {
        self.output_ratio = ratio;
        self
    }
}

impl Estimate for AzureEstimate {
    fn charge(&self, call: &Call) -> u64 {
        let prompt = self.prompt(call);
        let default = if call.operation == Operation::Embeddings { 0 } else { self.default_output };
        let output = call.max_output_tokens.unwrap_or(default).saturating_mul(call.choices.max(1));
        prompt.saturating_add(output.saturating_mul(self.output_ratio))
    }

    /// Cached tokens of the prompt cost nothing where the output is weighed, which is where they are not counted.
    fn actual(&self, usage: &Usage) -> u64 {
        let input = usage.input.saturating_sub(usage.cached);
        input.saturating_add(usage.output.saturating_mul(self.output_ratio))
    }
}
