use std::time::Duration;

use super::said;
use crate::{
    config::{Limit, ObserveConfig, TimeoutsConfig},
    core::{AttemptTimeoutLayer, DeadlineLayer, ObserveLayer},
};

const TOTAL: Duration = Duration::from_secs(600);
const FIRST_BYTE: Duration = Duration::from_secs(300);
const IDLE: Duration = Duration::from_secs(120);
#[cfg(feature = "transport")]
const CONNECT: Duration = Duration::from_secs(5);

const HOLD: (Duration, usize) = (Duration::from_secs(2), 256 << 10);
const READ_ERRORS: (Duration, usize) = (Duration::from_secs(2), 64 << 10);

/// What is said, else what is usual; `None` for no limit.
fn limit(said: Option<Limit<Duration>>, usual: Option<Duration>) -> Option<Duration> {
    said.map_or(usual, Limit::get)
}

pub(in crate::stack) fn deadline(config: &TimeoutsConfig) -> DeadlineLayer {
    limit(config.total, Some(TOTAL)).map_or(DeadlineLayer::off(), DeadlineLayer::new)
}

#[cfg(feature = "transport")]
pub(in crate::stack) fn connect(config: &TimeoutsConfig) -> Option<Duration> {
    limit(config.connect, Some(CONNECT))
}

pub(in crate::stack) fn attempt(config: &TimeoutsConfig) -> AttemptTimeoutLayer {
    let limits = AttemptTimeoutLayer::new();
    let limits = said(limits, limit(config.first_byte, Some(FIRST_BYTE)), AttemptTimeoutLayer::first_byte);
    let limits = said(limits, limit(config.first_token, None), AttemptTimeoutLayer::first_token);
    let limits = said(limits, limit(config.idle, Some(IDLE)), AttemptTimeoutLayer::idle);
    said(limits, limit(config.attempt, None), AttemptTimeoutLayer::total)
}

/// A head is held as long as its first content may take, where that is limited.
pub(in crate::stack) fn observe(config: &ObserveConfig, timeouts: &TimeoutsConfig) -> ObserveLayer {
    let first_token = limit(timeouts.first_token, None);
    let hold = config.hold.or(first_token).unwrap_or(HOLD.0);
    let layer = ObserveLayer::new()
        .hold(hold, config.hold_bytes.unwrap_or(HOLD.1))
        .read_errors(config.read_errors.unwrap_or(READ_ERRORS.0), config.error_bytes.unwrap_or(READ_ERRORS.1));
    said(layer, config.event_limit, ObserveLayer::event_limit)
}
