//! Quotas.

use super::Check;
use crate::config::{InFlight, QueueOrder, QuotaConfig, Window};

const NOTHING_SENT: &str = "nothing would ever be sent; write more, or leave it out for no limit";

pub(super) fn judge(check: &mut Check, path: &str, quota: &QuotaConfig) {
    let key = |field: &str| format!("{path}.{field}");
    check.above_zero(key("tokens_per_minute"), quota.tokens_per_minute.as_ref(), NOTHING_SENT);
    check.above_zero(key("requests_per_minute"), quota.requests_per_minute.as_ref(), NOTHING_SENT);
    check.above_zero(key("max_in_flight"), quota.max_in_flight.as_ref(), NOTHING_SENT);
    check.above_zero(key("request_window"), quota.request_window.as_ref(), "write \"1s\", \"10s\" or \"60s\"");
    check.above_zero(key("output_ratio"), quota.output_ratio.as_ref(), "write 1 or more");
    if quota.wait != Some(false) {
        check.above_zero(
            key("queue_limit"),
            quota.queue_limit.as_ref(),
            "nobody could wait; write wait = false for that",
        );
    }
    check.within(
        key("near_limit"),
        quota.near_limit.map(f64::from),
        |percent| (1.0..=100.0).contains(&percent),
        "a share of the tokens in percent, from 1 to 100",
    );
    match &quota.adaptive_in_flight {
        Some(InFlight { max: None, .. }) => check.missing(key("adaptive_in_flight.max"), "the most calls at once"),
        Some(InFlight { min, max: Some(max) }) if *max < min.unwrap_or(1) => {
            let message = format!("{max} is less than the least, {}; write more", min.unwrap_or(1));
            check.wrong(key("adaptive_in_flight.max"), message);
        }
        _ => {}
    }
    match quota.window {
        Some(Window::Bucket(0)) => {
            check.wrong(key("window"), "the bucket holds nothing; write how many tokens it holds");
        }
        Some(Window::Utilisation(time)) if time.is_zero() => {
            check.wrong(key("window"), "is full at no work at all; write \"utilisation\" for that of a minute");
        }
        _ => {}
    }
    if let Some(QueueOrder::Fair(0)) = quota.order {
        check.wrong(key("order"), "no tenant would be told apart; write for how many there is to be an account");
    }
    if quota.shared.as_ref().is_some_and(String::is_empty) {
        check.wrong(key("shared_as"), "is empty; give the shared quota a name, or leave this out");
    }
}
