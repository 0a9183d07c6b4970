//! What is known of models by their names. Every figure can be set on the deployment instead.

use crate::request::Operation;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Model {
    /// Prompt and answer together, in tokens.
    pub(crate) context_window: u64,
    /// The most an answer may be asked to have.
    pub(crate) max_output: u64,
    /// Provisioned throughput, by Azure's documentation: input tokens a minute for each unit, and
    /// how many of them an output token weighs.
    pub(crate) input_per_unit: u64,
    pub(crate) output_ratio: u64,
    /// Above this a provisioned deployment answers 400.
    pub(crate) provisioned_prompt_limit: Option<u64>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Chat,
    Embeddings,
    /// A name that says nothing: everything works.
    Any,
}

impl Model {
    pub(crate) fn named(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let family = |prefix: &str| name.starts_with(prefix);
        let (context_window, max_output) = match () {
            () if family("gpt-4.1") => (1_047_576, 32_768),
            () if family("gpt-5") || family("gpt-6") => (400_000, 128_000),
            () if family("o1") || family("o3") || family("o4") => (200_000, 100_000),
            () if family("gpt-35") || family("gpt-3.5") => (16_385, 4_096),
            () if family("text-embedding") => (8_192, 0),
            () => (128_000, 16_384),
        };
        let (input_per_unit, output_ratio) = match () {
            () if family("gpt-5.4") => (2_400, 6),
            () if family("gpt-5.2") || family("gpt-5.3") => (3_400, 8),
            () if family("gpt-5-mini") => (23_750, 8),
            () if family("gpt-5") => (4_750, 8),
            () if family("gpt-4.1-nano") => (59_400, 4),
            () if family("gpt-4.1-mini") => (14_900, 4),
            () if family("gpt-4.1") || name == "o3" => (3_000, 4),
            () if family("o4-mini") => (5_400, 4),
            () if family("gpt-4o-mini") => (37_000, 4),
            () if family("o1") => (230, 4),
            () => (2_500, 4),
        };
        let long_prompts_refused = family("gpt-5.4") || family("gpt-4.1");
        let kind = match () {
            () if family("text-embedding") => Kind::Embeddings,
            () if ["gpt-", "o1", "o3", "o4"].into_iter().any(family) => Kind::Chat,
            () => Kind::Any,
        };
        Self {
            context_window,
            max_output,
            input_per_unit,
            output_ratio,
            provisioned_prompt_limit: long_prompts_refused.then_some(128_000),
            kind,
        }
    }

    pub(crate) fn supports(&self, operation: Operation) -> bool {
        match self.kind {
            Kind::Any => true,
            Kind::Chat => operation != Operation::Embeddings,
            Kind::Embeddings => operation == Operation::Embeddings,
        }
    }
}
