//! What a provisioned throughput unit works off.

use tower_aoai_core::model_names;

/// Input tokens per minute and unit, and how many of them a token of output weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Throughput {
    pub(crate) tokens_per_minute: u64,
    pub(crate) output_ratio: u64,
}

/// From Azure's documentation of provisioned throughput, of March 2026.
const KNOWN: [(&str, u64, u64); 17] = [
    ("gpt-5.4", 2_400, 6),
    ("gpt-5.3-codex", 3_400, 8),
    ("gpt-5.2", 3_400, 8),
    ("gpt-5.2-codex", 3_400, 8),
    ("gpt-5.1", 4_750, 8),
    ("gpt-5.1-codex", 4_750, 8),
    ("gpt-5", 4_750, 8),
    ("gpt-5-mini", 23_750, 8),
    ("gpt-4.1", 3_000, 4),
    ("gpt-4.1-mini", 14_900, 4),
    ("gpt-4.1-nano", 59_400, 4),
    ("gpt-4o", 2_500, 4),
    ("gpt-4o-mini", 37_000, 4),
    ("o4-mini", 5_400, 4),
    ("o3", 3_000, 4),
    ("o3-mini", 2_500, 4),
    ("o1", 230, 4),
];

impl Throughput {
    /// Of a model, by the rules of [`model_names`]; `None` if it is not known.
    pub(crate) fn of(model: &str) -> Option<Self> {
        let found = model_names(model).find_map(|name| KNOWN.iter().find(|(known, ..)| *known == name));
        found.map(|(_, tokens_per_minute, output_ratio)| Self {
            tokens_per_minute: *tokens_per_minute,
            output_ratio: *output_ratio,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_works_off_what_azure_documents() {
        let of = |model| Throughput::of(model).map(|found| (found.tokens_per_minute, found.output_ratio));
        assert_eq!(of("gpt-4o"), Some((2_500, 4)));
        assert_eq!(of("GPT-4o-2024-08-06"), Some((2_500, 4)));
        assert_eq!(of("gpt-5-mini"), Some((23_750, 8)));
        assert_eq!(of("gpt-99"), None);
    }
}
