//! The words by which the admin API and the configuration file call the choices there are.

use crate::{HeaderStyle, RetryHints};

pub(super) const HEADER_STYLES: [(&str, HeaderStyle); 4] = [
    ("full", HeaderStyle::Full),
    ("remaining_only", HeaderStyle::RemainingOnly),
    ("minus_one", HeaderStyle::MinusOne),
    ("absent", HeaderStyle::Absent),
];

pub(super) const RETRY_HINTS: [(&str, RetryHints); 4] = [
    ("milliseconds", RetryHints::Milliseconds),
    ("seconds", RetryHints::Seconds),
    ("zero_milliseconds", RetryHints::ZeroMilliseconds),
    ("absent", RetryHints::Absent),
];

/// What a word stands for, or a sentence about the words there are.
pub(super) fn look_up<T: Copy>(table: &[(&str, T)], word: &str) -> Result<T, String> {
    let found = table.iter().find(|(name, _)| *name == word);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = table.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        format!("\"{word}\" is none of {}", names.join(", "))
    })
}
