use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;
use tower_aoai_core::{Admission, Availability, CallContext, Load};

/// Shows the quota that all services of one layer share.
#[derive(Debug, Clone, Default)]
pub struct TokenBucketHandle {
    quota: Arc<Quota>,
}

#[derive(Debug, Default)]
struct Quota {
    used: Mutex<TokenBucketSnapshot>,
}

/// A quota's state at one instant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenBucketSnapshot {
    /// Calls sent whose bodies have not ended.
    pub in_flight: usize,
    /// Calls let through since the layer was made.
    pub granted: u64,
}

impl TokenBucketHandle {
    /// The state as it is now.
    #[must_use]
    pub fn snapshot(&self) -> TokenBucketSnapshot {
        *self.quota.used.lock()
    }

    pub(crate) fn grant(&self) {
        let mut used = self.quota.used.lock();
        used.in_flight += 1;
        used.granted += 1;
    }

    pub(crate) fn release(&self) {
        self.quota.used.lock().in_flight -= 1;
    }

    pub(crate) fn availability(&self) -> Arc<dyn Availability> {
        Arc::<Quota>::clone(&self.quota)
    }
}

impl Availability for Quota {
    fn admission(&self, _: &CallContext, from: Instant) -> Admission {
        Admission::At(from)
    }

    fn load(&self) -> Load {
        Load::new(self.used.lock().in_flight, 0)
    }
}
