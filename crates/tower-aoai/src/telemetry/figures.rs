//! Numbers as spans, logs and records want them.

use std::time::Duration;

/// Whole milliseconds; of what is longer than five hundred million years, that.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A count that nobody expects to be larger than that.
pub(super) fn clamped(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
