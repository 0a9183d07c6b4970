use crate::TokenCounter;

/// Real tokens: `o200k_base` or `cl100k_base`, by the model. With feature `bpe`.
///
/// The tables (66 and 32 MB) are loaded when a text is first counted, which takes some 50 ms;
/// [`warm_up`](Self::warm_up) does it beforehand. After that a kilobyte takes some 30 µs.
///
/// ```
/// use tower_aoai_simulator::{BytePairs, TokenCounter};
///
/// assert_eq!(BytePairs.count_for("gpt-4o", "Hello, world!"), 4);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct BytePairs;

impl BytePairs {
    /// Loads the tables now.
    pub fn warm_up(self) {
        self.count_for("gpt-4o", "");
        self.count_for("gpt-4", "");
    }
}

impl TokenCounter for BytePairs {
    /// By `o200k_base`, the vocabulary of the models of today.
    fn count(&self, text: &str) -> u64 {
        count(bpe_openai::o200k_base(), text)
    }

    /// By the model's vocabulary; of models that nobody has published one for, `o200k_base`.
    fn count_for(&self, model: &str, text: &str) -> u64 {
        let model = model.to_ascii_lowercase();
        let newer = ["gpt-4o", "gpt-4.1", "gpt-4.5"];
        let older = ["gpt-4", "gpt-3.5", "gpt-35", "text-embedding"];
        let begins = |prefix: &&str| model.starts_with(*prefix);
        if older.iter().any(begins) && !newer.iter().any(begins) {
            return count(bpe_openai::cl100k_base(), text);
        }
        self.count(text)
    }
}

fn count(tokenizer: &bpe_openai::Tokenizer, text: &str) -> u64 {
    u64::try_from(tokenizer.count(text)).unwrap_or(u64::MAX)
}
