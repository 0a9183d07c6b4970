//! What was spent.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use tower_aoai_core::Usage;

use crate::Money;

/// Tokens by kind. `cached` and `cache_write` are parts of `input`, `reasoning` a part of `output`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tokens {
    /// Of prompts.
    pub input: u64,
    /// Of these, read from the prompt cache.
    pub cached: u64,
    /// Of these, written to the prompt cache.
    pub cache_write: u64,
    /// Of answers.
    pub output: u64,
    /// Of these, spent on reasoning.
    pub reasoning: u64,
}

/// Attempts of one kind, their tokens and what they cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Column {
    /// Attempts.
    pub attempts: u64,
    /// What they cost.
    pub cost: Money,
    /// Their tokens.
    pub tokens: Tokens,
}

/// What calls have cost, by how well it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Spend {
    /// Calls that have ended, whatever came of them.
    pub calls: u64,
    /// Attempts whose usage the server reported, at the price of the model it named: what the bill will say.
    pub exact: Column,
    /// Attempts that may have been billed, and of which the server did not say how much they used or a model that is
    /// known: streams that were cut, calls that were cancelled, prompts that were filtered. Meant to be too much rather
    /// than too little.
    pub estimated: Column,
    /// Attempts that a provisioned deployment served: paid for by the hour, nothing at the margin.
    pub provisioned: Column,
    /// Attempts that may have been billed and whose price is **not known**: they stand here with their tokens and
    /// without a cost, so that nobody takes them for free.
    pub unpriced: Column,
    /// Attempts that cost nothing: 429s, wrong keys, mistakes that were refused before any work.
    pub free: u64,
}

impl Spend {
    /// Exact and estimated together.
    #[must_use]
    pub fn cost(&self) -> Money {
        self.exact.cost + self.estimated.cost
    }

    /// Attempts of all kinds.
    #[must_use]
    pub const fn attempts(&self) -> u64 {
        self.exact.attempts + self.estimated.attempts + self.provisioned.attempts + self.unpriced.attempts + self.free
    }
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        let Usage { input, cached, cache_write, output, reasoning, .. } = usage;
        Self { input, cached, cache_write, output, reasoning }
    }
}

impl AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        let add = |sum: &mut u64, more| *sum = sum.saturating_add(more);
        add(&mut self.input, other.input);
        add(&mut self.cached, other.cached);
        add(&mut self.cache_write, other.cache_write);
        add(&mut self.output, other.output);
        add(&mut self.reasoning, other.reasoning);
    }
}

impl AddAssign for Column {
    fn add_assign(&mut self, other: Self) {
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.cost = self.cost + other.cost;
        self.tokens += other.tokens;
    }
}

impl AddAssign for Spend {
    fn add_assign(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.exact += other.exact;
        self.estimated += other.estimated;
        self.provisioned += other.provisioned;
        self.unpriced += other.unpriced;
        self.free = self.free.saturating_add(other.free);
    }
}
