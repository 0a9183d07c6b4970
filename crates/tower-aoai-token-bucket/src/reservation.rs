use std::sync::Arc;

use tower_aoai_core::{Attempt, Guard};

use crate::TokenBucketHandle;

/// A granted charge: returned or settled exactly once, when it is dropped.
#[derive(Debug)]
#[must_use = "a reservation that is dropped is returned"]
pub struct Reservation {
    handle: TokenBucketHandle,
    attempt: Arc<Attempt>,
}

impl Reservation {
    pub(crate) fn take(handle: &TokenBucketHandle, attempt: Arc<Attempt>) -> Self {
        handle.grant();
        Self { handle: handle.clone(), attempt }
    }

    /// The attempt that it was granted for.
    #[must_use]
    pub fn attempt(&self) -> &Arc<Attempt> {
        &self.attempt
    }
}

impl Guard for Reservation {}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.handle.release();
    }
}
