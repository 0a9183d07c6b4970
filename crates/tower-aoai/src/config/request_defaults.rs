use super::setting::section;

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

section! {
    /// What holds for one agent, by its name as requests tag it.
    pub struct AgentConfig {
        /// The most output, in tokens, of its calls that say nothing. Default: as for any other.
        pub max_tokens: Option<u64>,
        /// The most tokens, prompt and output together, of each of its calls. Default: as for any other.
        pub context_tokens: Option<u64>,
    }
}
