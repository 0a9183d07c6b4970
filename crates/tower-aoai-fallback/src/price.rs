use tower_aoai_core::Usage;

use crate::asked::Asked;

/// What a leg's tokens cost, in integer nano-dollars each.
///
/// A price of so many dollars for a million tokens is a thousand times as many nano-dollars for one: 2.50 dollars are
/// 2,500. Enough to weigh a spill; for books there is the cost layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenPrice {
    input: u64,
    output: u64,
}

impl TokenPrice {
    /// Nano-dollars for a token of input, and for one of output.
    #[must_use]
    pub const fn new(input: u64, output: u64) -> Self {
        Self { input, output }
    }

    /// What an answer with this usage costs, in nano-dollars. Cached input counts as input.
    #[must_use]
    pub const fn of(self, usage: &Usage) -> u64 {
        self.tokens(usage.input, usage.output)
    }

    /// What a call will cost: a token for four bytes of its prompt, and the output that calls had of late, as far as it
    /// asks for so much.
    pub(crate) fn expected(self, asked: Asked, usual_output: u64) -> u64 {
        let output = asked.max_output_tokens.map_or(usual_output, |most| most.min(usual_output));
        self.tokens((asked.prompt_bytes as u64).div_ceil(4), output.saturating_mul(asked.choices.max(1)))
    }

    const fn tokens(self, input: u64, output: u64) -> u64 {
        self.input.saturating_mul(input).saturating_add(self.output.saturating_mul(output))
    }
}

#[cfg(test)]
mod tests {
    use tower_aoai_core::Call;

    use super::*;

    #[test]
    fn dollars_for_a_million_are_nano_dollars_for_a_thousandth() {
        let price = TokenPrice::new(2_500, 10_000);
        assert_eq!(price.of(&Usage::new(1_000_000, 0)), 2_500_000_000, "2.50 dollars");
        assert_eq!(price.of(&Usage::new(10, 3)), 55_000);
    }

    #[test]
    fn a_call_is_expected_to_have_the_usual_output_as_far_as_it_asks_for_it() {
        let price = TokenPrice::new(1, 100);
        let mut call = Call::default();
        call.prompt_bytes = 41;
        assert_eq!(price.expected(Asked::by(&call), 7), 11 + 700);
        call.max_output_tokens = Some(5);
        call.choices = 2;
        assert_eq!(price.expected(Asked::by(&call), 7), 11 + 1_000);
    }
}
