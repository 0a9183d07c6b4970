//! What an answer says it used.

/// Tokens used by one attempt, as the server reports them.
///
/// `cached` and `cache_write` are parts of `input`, `reasoning` a part of `output`. Chat calls them prompt and
/// completion tokens, responses input and output tokens; embeddings have no output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens of the prompt.
    pub input: u64,
    /// Of these, read from the prompt cache.
    pub cached: u64,
    /// Of these, written to the prompt cache.
    pub cache_write: u64,
    /// Tokens of the answer.
    pub output: u64,
    /// Of these, spent on reasoning.
    pub reasoning: u64,
}

impl Usage {
    /// A usage of so many tokens in and out.
    #[must_use]
    pub const fn new(input: u64, output: u64) -> Self {
        Self {
            input,
            cached: 0,
            cache_write: 0,
            output,
            reasoning: 0,
        }
    }

    /// Input and output together, saturating.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}
