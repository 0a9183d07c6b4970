//! Money.

use std::{fmt, iter::Sum, ops::Add};

use serde::{Deserialize, Serialize};

/// An amount of money in whole nano-dollars (10⁻⁹ US dollars): what a token costs is some hundreds of them.
///
/// Sums saturate, at 18 thousand million dollars.
///
/// ```
/// use tower_aoai_cost::Money;
///
/// assert_eq!(Money::dollars(2) + Money::cents(50), Money::nano_dollars(2_500_000_000));
/// assert_eq!(Money::nano_dollars(1_250_000).to_string(), "$0.00125");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(u64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many nano-dollars.
    #[must_use]
    pub const fn nano_dollars(nano_dollars: u64) -> Self {
        Self(nano_dollars)
    }

    /// So many whole dollars, saturating above 18 billion.
    #[must_use]
    pub const fn dollars(dollars: u64) -> Self {
        Self(dollars.saturating_mul(1_000_000_000))
    }

    /// So many cents.
    #[must_use]
    pub const fn cents(cents: u64) -> Self {
        Self(cents.saturating_mul(10_000_000))
    }

    /// In nano-dollars.
    #[must_use]
    pub const fn as_nano_dollars(self) -> u64 {
        self.0
    }

    /// So many times as much, saturating.
    #[must_use]
    pub const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// Less so much, and not less than nothing.
    #[must_use]
    pub const fn saturating_sub(self, less: Self) -> Self {
        Self(self.0.saturating_sub(less.0))
    }

    /// So many thousandths of it, rounded up.
    #[must_use]
    pub const fn per_mille(self, thousandths: u32) -> Self {
        let nano_dollars = (self.0 as u128 * thousandths as u128).div_ceil(1_000);
        Self(if nano_dollars > u64::MAX as u128 { u64::MAX } else { nano_dollars as u64 })
    }
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Add::add)
    }
}

/// Dollars, to the last nano-dollar that is not 0, and at least to the cent: `$0.00125`, `$12.50`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, rest) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        let digits = format!("{rest:09}");
        let (cents, below) = digits.split_at(2);
        f.pad(&format!("${dollars}.{cents}{}", below.trim_end_matches('0')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_exactly() {
        for (nano_dollars, text) in
            [(0, "$0.00"), (1, "$0.000000001"), (12_500_000_000, "$12.50"), (u64::MAX, "$18446744073.709551615")]
        {
            assert_eq!(Money::nano_dollars(nano_dollars).to_string(), text);
        }
        assert_eq!(format!("{:>8}", Money::cents(5)), "   $0.05");
    }

    #[test]
    fn shares_are_rounded_up_and_sums_saturate() {
        assert_eq!(Money::nano_dollars(1).per_mille(800), Money::nano_dollars(1));
        assert_eq!(Money::dollars(10).per_mille(800), Money::dollars(8));
        let most = Money::nano_dollars(u64::MAX);
        assert_eq!((most + Money::dollars(1), most.times(2), most.per_mille(2_000)), (most, most, most));
    }
}
