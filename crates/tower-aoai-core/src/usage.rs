//! What an answer says it used.

use serde_json::value::RawValue;

use crate::json_object::{self, Object};

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
        Self { input, cached: 0, cache_write: 0, output, reasoning: 0 }
    }

    /// Reads the value of an answer's `usage`.
    ///
    /// Takes what chat and completions (`prompt_tokens`, …), responses (`input_tokens`, …) and embeddings (no output)
    /// send. Any member may be `null`, missing or of an unknown type, and then counts as 0. `None` if `json` is no
    /// object or names neither input nor output.
    #[must_use]
    pub fn from_json(json: &[u8]) -> Option<Self> {
        let [prompt, completion, of_prompt, of_completion, input, output, of_input, of_output] =
            json_object::read(json, &MEMBERS)?.given();
        let (input, output) = (prompt.or(input), completion.or(output));
        if input.is_none() && output.is_none() {
            return None;
        }
        let [cached, cache_write] = details(of_prompt.or(of_input), ["cached_tokens", "cache_write_tokens"]);
        let [reasoning] = details(of_completion.or(of_output), ["reasoning_tokens"]);
        Some(Self {
            input: count(input),
            cached: count(cached),
            cache_write: count(cache_write),
            output: count(output),
            reasoning: count(reasoning),
        })
    }

    /// Input and output together, saturating.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// The members of `usage` on the wire. Each is read on its own, so that a strange one does not cost the others.
const MEMBERS: [&str; 8] = [
    "prompt_tokens",
    "completion_tokens",
    "prompt_tokens_details",
    "completion_tokens_details",
    "input_tokens",
    "output_tokens",
    "input_tokens_details",
    "output_tokens_details",
];

fn details<'a, const N: usize>(raw: Option<&'a RawValue>, members: [&str; N]) -> [Option<&'a RawValue>; N] {
    raw.and_then(|raw| json_object::read(raw.get().as_bytes(), &members)).map_or([None; N], Object::given)
}

/// A count; whole numbers written as decimals are taken, negative and other values are 0.
fn count(raw: Option<&RawValue>) -> u64 {
    let Some(text) = raw.map(RawValue::get) else {
        return 0;
    };
    text.parse().unwrap_or_else(|_| text.parse::<f64>().map_or(0, |number| number as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chat_usage_with_all_its_details() {
        let json = br#"{"prompt_tokens":100,"completion_tokens":40,"total_tokens":140,
            "prompt_tokens_details":{"cached_tokens":64,"cache_write_tokens":8,"audio_tokens":0},
            "completion_tokens_details":{"reasoning_tokens":30,"accepted_prediction_tokens":0}}"#;
        let usage = Usage { input: 100, cached: 64, cache_write: 8, output: 40, reasoning: 30 };
        assert_eq!(Usage::from_json(json), Some(usage));
    }

    #[test]
    fn responses_usage_with_nested_write_details() {
        let json = br#"{"input_tokens":9,"input_tokens_details":{"cached_tokens":1,"cache_write_tokens":2,
            "cache_write_tokens_details":{"ttl_30m_tokens":2}},"output_tokens":5,
            "output_tokens_details":{"reasoning_tokens":4},"total_tokens":14}"#;
        let usage = Usage { input: 9, cached: 1, cache_write: 2, output: 5, reasoning: 4 };
        assert_eq!(Usage::from_json(json), Some(usage));
    }

    #[test]
    fn embeddings_have_no_output() {
        let json = br#"{"prompt_tokens":8,"total_tokens":8}"#;
        assert_eq!(Usage::from_json(json), Some(Usage::new(8, 0)));
    }

    #[test]
    fn null_missing_and_strange_members_count_as_nothing() {
        let json = br#"{"prompt_tokens":7.0,"completion_tokens":null,"prompt_tokens_details":null,
            "completion_tokens_details":"?"}"#;
        assert_eq!(Usage::from_json(json), Some(Usage::new(7, 0)));
        let json = br#"{"input_tokens":3,"input_tokens_details":{"cached_tokens":-1}}"#;
        assert_eq!(Usage::from_json(json), Some(Usage::new(3, 0)));
    }

    #[test]
    fn what_is_no_usage_is_none() {
        for json in ["null", "{}", "[]", "12", "", "{\"total_tokens\":3}", "{\"prompt_tokens\":"] {
            assert_eq!(Usage::from_json(json.as_bytes()), None, "{json}");
        }
    }
}
