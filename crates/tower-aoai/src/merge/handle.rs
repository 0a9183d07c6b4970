//! What was merged.

use std::sync::Arc;

use parking_lot::Mutex;

/// Shows what the services of a [`MergeEmbeddingsLayer`](super::MergeEmbeddingsLayer) have merged; clones show the
/// same.
#[derive(Debug, Clone, Default)]
pub struct MergeHandle {
    counts: Arc<Mutex<MergeCounts>>,
}

/// Counts since the layer was made, or last reset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergeCounts {
    /// Calls that came; each is passed, or waits.
    pub calls: u64,
    /// Calls that were not waited with: other operations, too large, or too many wait already.
    pub passed: u64,
    /// Calls that nobody joined in time: sent as they are.
    pub alone: u64,
    /// Merged requests that were sent.
    pub merged_requests: u64,
    /// Calls in them.
    pub merged_calls: u64,
    /// Inputs in them.
    pub merged_inputs: u64,
    /// Calls that were sent apart after all, because a merged request was refused or its answer could not be split.
    pub apart: u64,
}

impl MergeHandle {
    /// The counts as they are now.
    #[must_use]
    pub fn snapshot(&self) -> MergeCounts {
        *self.counts.lock()
    }

    /// Starts counting anew.
    pub fn reset(&self) {
        *self.counts.lock() = MergeCounts::default();
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut MergeCounts)) {
        count(&mut self.counts.lock());
    }
}
