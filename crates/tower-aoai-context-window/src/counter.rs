//! Who counts tokens.

use std::fmt;

use serde::Deserialize;

use crate::boundary;

/// A vocabulary by which OpenAI's models cut text into tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Tokenizer {
    /// gpt-4o, gpt-4.1, gpt-5 and the o series.
    #[default]
    O200kBase,
    /// gpt-4, gpt-4-turbo, gpt-35-turbo and the embedding models.
    Cl100kBase,
    /// gpt-oss. Of text it makes the same tokens as `o200k_base`.
    O200kHarmony,
}

/// Counts the tokens of texts.
///
/// A count must be at most the text's bytes, as that of every byte-pair vocabulary is: what has fewer bytes than there
/// is room is let through uncounted. It must not block; it may take its time, for long texts are counted off the
/// reactor (see [the crate's page](crate#time-and-cancellation)).
pub trait TokenCounter: fmt::Debug + Send + Sync {
    /// How many tokens `text` has.
    fn count(&self, tokenizer: Tokenizer, text: &str) -> u64;

    /// Whether the counts are those of the service. What is only estimated is never a reason to refuse.
    fn is_exact(&self, tokenizer: Tokenizer) -> bool;

    /// How many tokens `text` has, if no more than `limit`. Worth its own implementation where that can be told
    /// without counting to the end.
    fn count_up_to(&self, tokenizer: Tokenizer, text: &str, limit: u64) -> Option<u64> {
        Some(self.count(tokenizer, text)).filter(|count| *count <= limit)
    }

    /// How many bytes at the beginning of `text` have about so many tokens: a boundary of tokens and of characters.
    ///
    /// The default bisects by counts.
    fn beginning(&self, tokenizer: Tokenizer, text: &str, tokens: u64) -> usize {
        bisect(text.len(), |bytes| {
            let end = boundary::floor(text, bytes);
            self.count_up_to(tokenizer, &text[..end], tokens).is_some().then_some(end)
        })
    }

    /// How many bytes at the end of `text` have about so many tokens: a boundary of tokens and of characters.
    ///
    /// The default bisects by counts.
    fn ending(&self, tokenizer: Tokenizer, text: &str, tokens: u64) -> usize {
        bisect(text.len(), |bytes| {
            let start = boundary::ceil(text, text.len() - bytes);
            self.count_up_to(tokenizer, &text[start..], tokens).is_some().then_some(text.len() - start)
        })
    }

    /// Loads what counting needs, so that no call has to wait for it. May take a tenth of a second.
    fn warm(&self, tokenizer: Tokenizer) {
        let _ = tokenizer;
    }
}

/// The most that still fits, of up to `most`.
fn bisect(most: usize, fits: impl Fn(usize) -> Option<usize>) -> usize {
    let (mut low, mut high, mut best) = (0, most, 0);
    while low <= high {
        let middle = low + (high - low) / 2;
        match fits(middle) {
            Some(bytes) => {
                best = best.max(bytes);
                low = middle + 1;
            }
            None if middle == 0 => break,
            None => high = middle - 1,
        }
    }
    best
}

/// A token for every four bytes begun: no tables, no time, and off by a tenth for English and code, by a fifth for
/// Chinese, by nine tenths for Russian, and for base64 by two thirds to the other side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FourBytes;

impl TokenCounter for FourBytes {
    fn count(&self, _: Tokenizer, text: &str) -> u64 {
        (text.len() as u64).div_ceil(4)
    }

    fn is_exact(&self, _: Tokenizer) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_part_has_no_more_tokens_than_asked_for_and_ends_between_characters(text: String, tokens in 0_u64..40) {
            let count = |text: &str| FourBytes.count(Tokenizer::default(), text);
            let beginning = FourBytes.beginning(Tokenizer::default(), &text, tokens);
            let ending = FourBytes.ending(Tokenizer::default(), &text, tokens);
            prop_assert!(count(&text[..beginning]) <= tokens);
            prop_assert!(count(&text[text.len() - ending..]) <= tokens);
            // And no less than there is room for: the next character would be too much.
            let room = (tokens * 4) as usize;
            prop_assert!(beginning + 4 > room.min(text.len()) && ending + 4 > room.min(text.len()));
        }
    }
}
