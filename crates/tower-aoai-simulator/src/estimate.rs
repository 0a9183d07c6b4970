use std::fmt;

/// Counts the tokens of a text.
///
/// The counts decide what `usage` says and how long a prompt takes, so any rule will do that is
/// the same each time. A real tokenizer can be put here.
pub trait TokenCounter: fmt::Debug + Send + Sync {
    /// How many tokens this text has.
    fn count(&self, text: &str) -> u64;

    /// How many tokens it has for this model. Default the same for all models.
    fn count_for(&self, model: &str, text: &str) -> u64 {
        let _ = model;
        self.count(text)
    }
}

/// One token for every four characters begun. Within a few percent of the real count for English
/// prose, and hundreds of times cheaper.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct FourCharacters;

impl TokenCounter for FourCharacters {
    fn count(&self, text: &str) -> u64 {
        u64::try_from(text.chars().count()).unwrap_or(u64::MAX).div_ceil(4)
    }
}

/// What a deployment debits when a request arrives.
///
/// Azure's documentation: an estimate of the most tokens the request can process, from the text
/// of the prompt (partly by its count of *characters*), `max_tokens` and `best_of`. It is not the
/// count that is billed, and nothing of it is documented to be given back.
///
/// Here: the prompt's characters divided by [`characters_per_token`](Self::characters_per_token),
/// rounded up, times bias and noise, plus the requested output times the number of choices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    characters_per_token: f64,
    bias: f64,
    noise: f64,
    default_output: u64,
}

impl Default for Estimate {
    /// Four characters a token, no bias, no noise, 16 tokens of output when the request does not
    /// limit it.
    fn default() -> Self {
        Self { characters_per_token: 4.0, bias: 1.0, noise: 0.0, default_output: 16 }
    }
}

impl Estimate {
    /// How many characters make a token. Default 4; values that are not above zero are ignored.
    #[must_use]
    pub fn characters_per_token(mut self, characters: f64) -> Self {
        if characters > 0.0 {
            self.characters_per_token = characters;
        }
        self
    }

    /// The factor by which the prompt is over- or underestimated. Default 1.
    #[must_use]
    pub fn bias(mut self, factor: f64) -> Self {
        self.bias = factor.max(0.0);
        self
    }

    /// The relative deviation of a normal error on the prompt's estimate. Default 0; 0.1 is 10 %.
    #[must_use]
    pub fn noise(mut self, deviation: f64) -> Self {
        self.noise = deviation.max(0.0);
        self
    }

    /// What is debited for the output when the request does not limit it. Default 16, which field
    /// measurements of older models showed; newer ones may debit more.
    #[must_use]
    pub fn default_output(mut self, tokens: u64) -> Self {
        self.default_output = tokens;
        self
    }

    /// The charge, in tokens, of a request whose prompt has this many characters and which asks
    /// for `output` tokens (`None`: it sets no limit) for each of `choices` answers. `normal` is a
    /// draw from the standard normal distribution, used only where there is noise.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "prompts are far below 2^52 characters")]
    pub fn charge(&self, characters: u64, output: Option<u64>, choices: u64, normal: f64) -> u64 {
        let prompt = (characters as f64 / self.characters_per_token).ceil();
        self.charge_counted(prompt as u64, output, choices, normal)
    }

    /// The same for a prompt whose tokens are known.
    #[must_use]
    pub fn charge_counted(&self, prompt: u64, output: Option<u64>, choices: u64, normal: f64) -> u64 {
        self.prompt_counted(prompt, normal).saturating_add(self.output(output, choices))
    }

    /// The part of the charge that is the output's.
    #[must_use]
    pub fn output(&self, output: Option<u64>, choices: u64) -> u64 {
        output.unwrap_or(self.default_output).saturating_mul(choices)
    }

    /// The part of the charge that is the prompt's, for a prompt of this many tokens.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "prompts are far below 2^52 tokens")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped at zero")]
    pub fn prompt_counted(&self, prompt: u64, normal: f64) -> u64 {
        let factor = self.bias * (1.0 + self.noise * normal);
        (prompt as f64 * factor).round().max(0.0) as u64
    }
}
