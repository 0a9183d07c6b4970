//! Azure's quotas as pure state machines.
//!
//! Nothing here reads a clock, draws a random number or does I/O: every method takes `now`, so a
//! benchmark can drive the models directly at millions of decisions a second, and a test can put
//! them at any instant it likes. An instant earlier than one already seen is treated as that
//! later one, so time that goes backwards neither panics nor refills anything.
//!
//! | model | what it stands for |
//! |---|---|
//! | [`TokenBucket`] | tokens per minute as captured traffic shows it: refilling, with debt |
//! | [`FixedWindow`] | tokens per minute as Azure's documentation words it: a count reset each minute |
//! | [`SlidingWindow`] | tokens over the last minute: what other simulators of Azure do |
//! | [`RequestWindow`] | requests per minute, enforced over 1, 10 or 60 seconds |
//! | [`StandardQuota`] | a pay-as-you-go deployment: tokens and requests together |
//! | [`ProvisionedQuota`] | provisioned throughput: the leaky bucket of utilisation |

mod fixed_window;
mod provisioned;
mod request_window;
mod sliding_window;
mod standard;
mod token_bucket;

pub use self::{
    fixed_window::FixedWindow,
    provisioned::ProvisionedQuota,
    request_window::{RequestLimit, RequestWindow},
    sliding_window::SlidingWindow,
    standard::{QuotaSnapshot, Refusal, RefusalReason, StandardQuota, TokenLimit},
    token_bucket::TokenBucket,
};

use std::time::Duration;

/// The minute that "per minute" means.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// How long Azure tells a request to wait that can never fit: a day, by captured traffic.
pub const TOO_LARGE_RETRY_AFTER: Duration = Duration::from_secs(86_400);

/// A duration from a count of nanoseconds that may be anything; what does not fit is the longest.
pub(crate) fn nanoseconds(value: i128) -> Duration {
    u64::try_from(value.max(0)).map_or(Duration::MAX, Duration::from_nanos)
}

/// The nanoseconds of a window, never zero, so that it can be divided by.
pub(crate) fn window_nanoseconds(window: Duration) -> i128 {
    i128::try_from(window.as_nanos()).unwrap_or(i128::MAX).clamp(1, i128::from(u64::MAX))
}
