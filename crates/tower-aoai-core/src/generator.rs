//! The random draws of a layer.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

/// A seedable source of random numbers, shared by a layer's clones.
///
/// With the same seed, and calls in the same order, a layer draws the same numbers: a run can be repeated. Without
/// one the seed comes from the system.
#[derive(Clone)]
pub struct Generator(Arc<Mutex<StdRng>>);

impl Generator {
    /// A generator that always draws the same sequence.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// A generator no one can predict.
    #[must_use]
    pub fn from_system() -> Self {
        Self(Arc::new(Mutex::new(rand::make_rng())))
    }

    /// A number from 0 up to, but not including, 1.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        self.0.lock().random::<f64>()
    }

    /// 64 random bits.
    #[must_use]
    pub fn bits(&self) -> u64 {
        self.0.lock().next_u64()
    }
}

impl Default for Generator {
    fn default() -> Self {
        Self::from_system()
    }
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Generator")
    }
}
