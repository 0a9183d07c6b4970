//! What tokens of each kind cost.

use crate::{Money, Tokens};

/// What a million tokens of each kind cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rates {
    /// Of the prompt.
    pub input: Money,
    /// Of the prompt's tokens that were read from the cache.
    pub cached: Money,
    /// Of the prompt's tokens that were written to the cache.
    pub cache_write: Money,
    /// Of the answer, reasoning included.
    pub output: Money,
}

const MILLION: u128 = 1_000_000;

impl Rates {
    /// So much for a million tokens of prompt, and of answer; what is cached costs as much as what is not.
    #[must_use]
    pub const fn per_million(input: Money, output: Money) -> Self {
        Self { input, cached: input, cache_write: input, output }
    }

    /// So much for a million tokens of prompt that were read from the cache.
    #[must_use]
    pub const fn cached(mut self, cached: Money) -> Self {
        self.cached = cached;
        self
    }

    /// So much for a million tokens of prompt that were written to the cache.
    #[must_use]
    pub const fn cache_write(mut self, cache_write: Money) -> Self {
        self.cache_write = cache_write;
        self
    }

    /// What these tokens cost, rounded up to a whole nano-dollar.
    ///
    /// ```
    /// use tower_aoai_cost::{Money, Rates, Tokens};
    ///
    /// let gpt_4o = Rates::per_million(Money::cents(250), Money::dollars(10)).cached(Money::cents(125));
    /// let mut tokens = Tokens::default();
    /// (tokens.input, tokens.cached, tokens.output) = (2_000, 1_024, 300);
    /// assert_eq!(gpt_4o.cost(&tokens), Money::nano_dollars(976 * 2_500 + 1_024 * 1_250 + 300 * 10_000));
    /// ```
    #[must_use]
    pub fn cost(&self, tokens: &Tokens) -> Money {
        let cached = tokens.cached.min(tokens.input);
        let written = tokens.cache_write.min(tokens.input - cached);
        let plain = tokens.input - cached - written;
        let of = |tokens: u64, rate: Money| u128::from(tokens).saturating_mul(rate.as_nano_dollars().into());
        let millionths = [
            of(plain, self.input),
            of(cached, self.cached),
            of(written, self.cache_write),
            of(tokens.output, self.output),
        ];
        let sum = millionths.into_iter().fold(0_u128, u128::saturating_add).div_ceil(MILLION);
        Money::nano_dollars(u64::try_from(sum).unwrap_or(u64::MAX))
    }

    /// The most that so many tokens of prompt and of answer can cost.
    pub(crate) fn worst(&self, input: u64, output: u64) -> Money {
        let dearest = self.input.max(self.cached).max(self.cache_write);
        Self::per_million(dearest, self.output).cost(&Tokens { input, output, ..Tokens::default() })
    }

    pub(crate) fn per_mille(self, thousandths: u32) -> Self {
        self.map(|rate| rate.per_mille(thousandths))
    }

    fn map(self, change: impl Fn(Money) -> Money) -> Self {
        let Self { input, cached, cache_write, output } = self;
        Self { input: change(input), cached: change(cached), cache_write: change(cache_write), output: change(output) }
    }

    /// Of a price of which no more is said than this: what is cached stands to it as it does in `plain`.
    pub(crate) fn like(plain: &Self, input: Money, output: Money) -> Self {
        let cached = scaled(plain.cached, input, plain.input);
        let cache_write = scaled(plain.cache_write, input, plain.input);
        Self { input, cached, cache_write, output }
    }

    /// What stands to `other` as these stand to `plain`.
    pub(crate) fn as_to(&self, plain: &Self, other: &Self) -> Self {
        Self {
            input: scaled(other.input, self.input, plain.input),
            cached: scaled(other.cached, self.cached, plain.cached),
            cache_write: scaled(other.cache_write, self.cache_write, plain.cache_write),
            output: scaled(other.output, self.output, plain.output),
        }
    }
}

/// The rate, `to` over `from` times, rounded up.
fn scaled(rate: Money, to: Money, from: Money) -> Money {
    match from.as_nano_dollars() {
        0 => to,
        from => {
            let scaled = u128::from(rate.as_nano_dollars()) * u128::from(to.as_nano_dollars());
            Money::nano_dollars(u64::try_from(scaled.div_ceil(from.into())).unwrap_or(u64::MAX))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fraction_of_a_nano_dollar_is_a_whole_one() {
        let half = Rates::per_million(Money::nano_dollars(500_000), Money::ZERO);
        let tokens = |input| Tokens { input, ..Tokens::default() };
        assert_eq!(half.cost(&tokens(1)), Money::nano_dollars(1));
        assert_eq!(half.cost(&tokens(2)), Money::nano_dollars(1));
        assert_eq!(half.cost(&tokens(0)), Money::ZERO);
    }

    #[test]
    fn parts_that_are_larger_than_the_whole_are_no_more_than_it() {
        let rates = Rates::per_million(Money::dollars(1), Money::ZERO).cached(Money::ZERO);
        let tokens = Tokens { input: 10, cached: 1_000, cache_write: u64::MAX, ..Tokens::default() };
        assert_eq!(rates.cost(&tokens), Money::ZERO);
    }

    proptest! {
        #[test]
        fn no_tokens_make_it_panic_and_the_worst_is_never_too_little(
            rates: [u64; 4], input: u64, cached: u64, cache_write: u64, output: u64,
        ) {
            let [plain, read, written, out] = rates.map(Money::nano_dollars);
            let rates = Rates::per_million(plain, out).cached(read).cache_write(written);
            let tokens = Tokens { input, cached, cache_write, output, reasoning: output };
            prop_assert!(rates.cost(&tokens) <= rates.worst(input, output));
        }
    }
}
