//! Random draws. Every request has a generator of its own, derived from the simulator's seed and
//! the request's number, so that how its answer is read cannot disturb another's.

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

#[derive(Debug, Clone)]
pub(crate) struct Draws(Xoshiro256PlusPlus);

impl Draws {
    pub(crate) fn of(seed: u64, sequence: u64) -> Self {
        // An odd multiplier keeps neighbouring sequence numbers of one seed apart from
        // neighbouring seeds; `seed_from_u64` does the mixing.
        let mixed = seed ^ sequence.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self(Xoshiro256PlusPlus::seed_from_u64(mixed))
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0.random()
    }

    /// Uniform in `low..=high`, whichever way round they are given.
    pub(crate) fn between(&mut self, low: u32, high: u32) -> u32 {
        self.0.random_range(low.min(high)..=high.max(low))
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Exponential with mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    /// Log-normal with median 1.
    pub(crate) fn log_normal(&mut self, sigma: f64) -> f64 {
        if sigma == 0.0 { 1.0 } else { (sigma * self.normal()).exp() }
    }

    /// A version 4 UUID.
    pub(crate) fn uuid(&mut self) -> String {
        let bits: u128 = self.0.random();
        let bits = bits & !(0xF000 << 64) & !(0xC000 << 48) | (0x4000 << 64) | (0x8000 << 48);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            bits >> 96,
            bits >> 80 & 0xFFFF,
            bits >> 64 & 0xFFFF,
            bits >> 48 & 0xFFFF,
            bits & 0xFFFF_FFFF_FFFF
        )
    }

    /// So many lower-case hexadecimal digits, 32 at most.
    pub(crate) fn hex(&mut self, digits: usize) -> String {
        let bits: u128 = self.0.random();
        let mut text = format!("{bits:032x}");
        text.truncate(digits);
        text
    }
}
