use super::setting::{Setting, section};

section! {
    /// Parameters for calls that leave them out; what a caller gives is never changed.
    pub struct RequestDefaultsConfig {
        /// From 0 to 2. Default: left out.
        pub temperature: Option<f64>,
        /// From 0 to 1. Default: left out.
        pub top_p: Option<f64>,
        /// The most output, in tokens; for chat as `max_tokens`. Default: left out.
        pub max_tokens: Option<u64>,
        /// The most output, in tokens; for chat as `max_completion_tokens`, which reasoning models want. Default: left out.
        pub max_completion_tokens: Option<u64>,
    }
}

impl RequestDefaultsConfig {
    /// Takes what is missing here from there; who says either limit of the output takes neither.
    pub(super) fn take_from(&mut self, usual: &Self) {
        let said = (self.max_tokens, self.max_completion_tokens);
        self.fill(usual);
        if said != (None, None) {
            (self.max_tokens, self.max_completion_tokens) = said;
        }
    }
}

section! {
    /// What holds for one agent, by its name as requests tag it.
    pub struct AgentConfig {
        /// The most output, in tokens, of its calls that say nothing. Default: as for any other. The name may be tagged in
        /// another case, and with anything else than letters and digits for `_`: variables cannot write names otherwise.
        pub max_tokens: Option<u64>,
        /// The most tokens, prompt and output together, of each of its calls. Default: as for any other.
        pub context_tokens: Option<u64>,
    }
}

/// An agent's name as far as a variable can write it.
pub(crate) fn plain_name(agent: &str) -> String {
    let plain = |letter: char| if letter.is_alphanumeric() { letter } else { '_' };
    agent.chars().map(plain).flat_map(char::to_lowercase).collect()
}
