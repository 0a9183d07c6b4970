//! The real vocabularies.

use bpe_openai::{Normalizable, Tokenizer as Table};

use crate::{TokenCounter, Tokenizer, boundary};

/// The service's own tokens, by `bpe-openai`'s tables. With feature `bpe`.
///
/// Linear in the text's length, whatever is in it, and without panics. The tables (66 MB for `o200k_base`, 32 MB for
/// `cl100k_base`) are loaded when a text is first counted, which takes some 50 ms each;
/// [`warm`](TokenCounter::warm) does it beforehand.
///
/// ```
/// use tower_aoai_context_window::{BytePairs, TokenCounter, Tokenizer};
///
/// assert_eq!(BytePairs.count(Tokenizer::O200kBase, "Hello, world!"), 4);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BytePairs;

/// The longest token of either vocabulary has so many bytes (it is of spaces): a text of more bytes than that for each
/// token allowed need not be looked at to its end.
const LONGEST_TOKEN: usize = 128;

fn table(tokenizer: Tokenizer) -> &'static Table {
    match tokenizer {
        Tokenizer::Cl100kBase => bpe_openai::cl100k_base(),
        Tokenizer::O200kBase | Tokenizer::O200kHarmony => bpe_openai::o200k_base(),
    }
}

/// Of how many bytes at most so many tokens are.
fn bytes_of(tokens: u64) -> usize {
    usize::try_from(tokens).unwrap_or(usize::MAX).saturating_mul(LONGEST_TOKEN)
}

impl TokenCounter for BytePairs {
    fn count(&self, tokenizer: Tokenizer, text: &str) -> u64 {
        table(tokenizer).count(text) as u64
    }

    fn is_exact(&self, _: Tokenizer) -> bool {
        true
    }

    fn count_up_to(&self, tokenizer: Tokenizer, text: &str, limit: u64) -> Option<u64> {
        if text.len() > bytes_of(limit) {
            return None;
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let table = table(tokenizer);
        table.count_till_limit(&text.normalize(false), limit).map(|count| count as u64)
    }

    fn beginning(&self, tokenizer: Tokenizer, text: &str, tokens: u64) -> usize {
        let table = table(tokenizer);
        let seen = &text[..boundary::floor(text, bytes_of(tokens))];
        let encoded = table.encode(seen);
        let count = usize::try_from(tokens).unwrap_or(usize::MAX).min(encoded.len());
        let bytes = encoded[..count].iter().map(|token| table.bpe.token_len(*token)).sum();
        boundary::floor(text, bytes)
    }

    fn ending(&self, tokenizer: Tokenizer, text: &str, tokens: u64) -> usize {
        let table = table(tokenizer);
        let from = boundary::ceil(text, text.len().saturating_sub(bytes_of(tokens)));
        let encoded = table.encode(&text[from..]);
        let count = usize::try_from(tokens).unwrap_or(usize::MAX).min(encoded.len());
        let bytes: usize = encoded[encoded.len() - count..].iter().map(|token| table.bpe.token_len(*token)).sum();
        text.len() - boundary::ceil(text, text.len() - bytes)
    }

    fn warm(&self, tokenizer: Tokenizer) {
        self.count(tokenizer, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_longer_than_the_longest() {
        for table in [bpe_openai::o200k_base(), bpe_openai::cl100k_base()] {
            let tokens = u32::try_from(table.bpe.num_tokens()).unwrap();
            let longest = (0..tokens).map(|token| table.bpe.token_len(token)).max();
            assert_eq!(longest, Some(LONGEST_TOKEN));
        }
    }
}
