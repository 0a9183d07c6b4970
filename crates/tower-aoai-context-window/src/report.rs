//! What was done to a call.

/// How long a call's prompt is, and what was done so that it fits: an extension of the request that goes down, and of
/// the response that comes up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContextUse {
    /// How the prompt's length is known.
    pub counted: Counted,
    /// Tokens of the prompt as it came, without its images. Of texts that are prompts of their own (embeddings,
    /// completions) the longest.
    pub prompt: u64,
    /// Tokens of the prompt as it goes on, without its images.
    pub sent: u64,
    /// Tokens that its images are estimated to have, as they go on.
    pub images: u64,
    /// The window it was held against, prompt and output together, in tokens: the model's, or a smaller budget.
    pub window: u64,
    /// Messages, or items of a response's input, that were dropped.
    pub dropped: usize,
    /// Texts that were cut.
    pub cut: usize,
    /// The output that was asked for, and to what it was lowered.
    pub clamped: Option<(u64, u64)>,
    /// Whether it is too long all the same, by an estimate on which nothing is refused.
    pub is_over: bool,
}

/// How a prompt's length is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Counted {
    /// Not counted: its bytes are no more than there is room for tokens, and that is what the figures are.
    #[default]
    ByBytes,
    /// Counted by the service's own rules, as far as they are documented.
    Exactly,
    /// Estimated: without feature `bpe`, or for a model whose tokenizer nobody has published.
    Estimated,
}

impl ContextUse {
    /// Whether something of the prompt is missing.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.dropped > 0 || self.cut > 0
    }
}
