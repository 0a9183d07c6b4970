use super::{read::words, setting::section};
use crate::context_window::Keep;

section! {
    /// What becomes of prompts that do not fit their model.
    pub struct ContextWindowConfig {
        /// Whether they are looked at. Default true.
        pub enabled: Option<bool>,
        /// What becomes of them. Default [`Overflow::Reject`].
        pub policy: Option<Overflow>,
        /// Whether a text is cut where dropping whole messages is not enough. Default true.
        pub cut_texts: Option<bool>,
        /// Which end of a text that is cut stays. Default the beginning.
        pub keep: Option<Keep>,
        /// What stands where a text was cut. Default `[…]` on a line of its own.
        pub marker: Option<String>,
        /// Lowers the output asked for to what is left. Default false.
        pub clamp_output: Option<bool>,
        /// The least to which it is lowered, in tokens. Default 256; 4,096 for a model that reasons.
        pub least_output: Option<u64>,
        /// What a cut leaves for an output that is not limited, in tokens. Default 4,096; 16,384 for a model that reasons.
        pub output_room: Option<u64>,
        /// What a cut leaves free besides, in tokens. Default a 128th of the window.
        pub margin: Option<u64>,
        /// The most bytes of a body that are counted where the call is made. Default 16,384.
        pub inline_up_to: Option<usize>,
        /// Loads the tokenizers' tables at the start. Default false.
        pub warm: Option<bool>,
        /// A table of models to lay over the built-in one: the path of a TOML file. Default none.
        pub models_file: Option<String>,
        /// The most tokens, prompt and output together, of a call of an agent that has no budget of its own
        /// ([`AgentConfig::context_tokens`](super::AgentConfig::context_tokens)), or of none. Default the model's window.
        pub others: Option<u64>,
        /// The header that says which agent a request is of. Default none.
        pub agent_header: Option<String>,
    }
}

/// What becomes of a prompt that does not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// It is refused, if its count is certain.
    #[default]
    Reject,
    /// It is made to fit.
    Truncate,
    /// It is sent, and told of.
    LetThrough,
}

words!(Overflow { "reject" => Self::Reject, "truncate" => Self::Truncate, "let-through" => Self::LetThrough });

words!(Keep { "beginning" => Self::Beginning, "end" => Self::End });
