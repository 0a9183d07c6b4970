//! Retries, circuits, times.

use std::time::Duration;

use super::Check;
use crate::{
    config::{CircuitBreakerConfig, Config, Limit, RetryConfig, SlowFirstBytes, TimeoutsConfig},
    retry_after::Jitter,
};

pub(super) fn judge(check: &mut Check, config: &Config) {
    retry(check, "retry", &config.retry);
    circuit(check, "circuit_breaker", &config.circuit_breaker, &CircuitBreakerConfig::default());
    timeouts(check, "timeouts", &config.timeouts);
    for (index, endpoint) in config.endpoints.iter().enumerate() {
        let path = format!("endpoints[{index}]");
        circuit(check, &format!("{path}.circuit_breaker"), &endpoint.circuit_breaker, &config.circuit_breaker);
        timeouts(check, &format!("{path}.timeouts"), &endpoint.timeouts);
    }
    let observe = &config.observe;
    check.within(
        "observe.event_limit".to_owned(),
        observe.event_limit.map(|bytes| bytes as f64),
        |bytes| bytes >= 512.0,
        "512 or more: what kind of event it is stands there",
    );
    let limit = config.door.body_limit.as_ref();
    check.above_zero("door.body_limit".to_owned(), limit, "no request fits; write the most bytes of one");
    let wait = config.statistics.queue_wait.as_ref();
    check.above_zero(
        "statistics.queue_wait".to_owned(),
        wait,
        "every wait would be told of; write a time such as \"10s\"",
    );
    let share = config.statistics.truncated_share;
    check.within("statistics.truncated_share".to_owned(), share, is_share, A_SHARE);
}

const A_SHARE: &str = "a share above 0 and at most 1, such as 0.5 for half of them";

fn is_share(share: f64) -> bool {
    share > 0.0 && share <= 1.0
}

pub(super) fn retry(check: &mut Check, path: &str, retry: &RetryConfig) {
    let key = |field: &str| format!("{path}.{field}");
    if let (Some(first), Some(longest)) = (retry.initial_backoff, retry.max_backoff)
        && first > longest
    {
        let message = format!("{longest:?} is shorter than initial_backoff, {first:?}; write that or more");
        check.wrong(key("max_backoff"), message);
    }
    check.within(key("multiplier"), retry.multiplier, |number| number >= 1.0, "1 or more, such as 2");
    let at_least_none = |number: f64| number >= 0.0;
    check.within(key("hint_jitter"), retry.hint_jitter, at_least_none, "0 or more, such as 0.05");
    match retry.jitter {
        Some(Jitter::Proportional(share)) => {
            check.within(key("jitter.proportional"), Some(share), at_least_none, "0 or more, such as 0.1");
        }
        Some(Jitter::Shrink(share)) => {
            let fits = |share: f64| (0.0..=1.0).contains(&share);
            check.within(key("jitter.shrink"), Some(share), fits, "a share from 0 to 1, such as 0.25");
        }
        _ => {}
    }
    if let Some(Limit::Of(budget)) = &retry.budget {
        check.within(key("budget.share"), budget.share, at_least_none, "0 or more, such as 0.2 for one in five");
    }
}

fn circuit(check: &mut Check, path: &str, circuit: &CircuitBreakerConfig, usual: &CircuitBreakerConfig) {
    let key = |field: &str| format!("{path}.{field}");
    if circuit.consecutive_failures == Some(Limit::Of(0)) {
        check.wrong(key("consecutive_failures"), "is 0; write 1 or more, or \"unlimited\" to look at the shares alone");
    }
    let ratio = circuit.failure_ratio.and_then(Limit::get);
    check.within(key("failure_ratio"), ratio, is_share, A_SHARE);
    if let Some(SlowFirstBytes { threshold, share }) = &circuit.slow_first_bytes {
        match threshold {
            None => check.missing(key("slow_first_bytes.threshold"), "when an answer is slow, such as \"10s\""),
            Some(_) => check.above_zero(
                key("slow_first_bytes.threshold"),
                threshold.as_ref(),
                "every answer would be slow; write a time such as \"10s\"",
            ),
        }
        check.within(key("slow_first_bytes.share"), *share, is_share, A_SHARE);
    }
    check.within(key("jitter"), circuit.jitter, |share| (0.0..=1.0).contains(&share), "a share from 0 to 1");
    let (one, time) = ("write 1 or more", "write a time such as \"5s\"");
    check.above_zero(key("min_calls"), circuit.min_calls.as_ref(), one);
    check.above_zero(key("probes"), circuit.probes.as_ref(), one);
    check.above_zero(key("successes_to_close"), circuit.successes_to_close.as_ref(), one);
    check.above_zero(key("break_time"), circuit.break_time.as_ref(), time);
    check.above_zero(key("probe_lease"), circuit.probe_lease.as_ref(), time);
    check.above_zero(key("break_cap"), circuit.break_cap.as_ref(), time);
    let break_time = circuit.break_time.or(usual.break_time).unwrap_or_default();
    if let Some(longest) = circuit.break_cap.filter(|longest| *longest < break_time && !longest.is_zero()) {
        let message = format!("{longest:?} is shorter than the first break, {break_time:?}; write that or more");
        check.wrong(key("break_cap"), message);
    }
    shares_window(check, circuit, &key);
    let is_off = |limit: Option<bool>| limit == Some(true);
    if is_off(circuit.consecutive_failures.map(|limit| limit == Limit::Unlimited))
        && is_off(circuit.failure_ratio.map(|limit| limit == Limit::Unlimited))
        && circuit.slow_first_bytes.is_none()
        && circuit.enabled != Some(false)
    {
        check.wrong(key("failure_ratio"), "nothing would ever open the circuit; set a rule, or write enabled = false");
    }
}

fn shares_window(check: &mut Check, circuit: &CircuitBreakerConfig, key: &impl Fn(&str) -> String) {
    /// More than any one process sends.
    const MOST_CALLS_PER_SECOND: f64 = 100_000.0;
    let least = Duration::from_millis(10);
    if let Some(window) = circuit.window.filter(|window| *window < least) {
        check.wrong(key("window"), format!("{window:?} is too short to count in; write {least:?} or more"));
        return;
    }
    let window = circuit.window.unwrap_or(Duration::from_secs(30));
    let most = window.as_secs_f64() * MOST_CALLS_PER_SECOND;
    if let Some(calls) = circuit.min_calls.filter(|calls| f64::from(*calls) > most) {
        let message = format!("{calls} calls never come within {window:?}; write what an endpoint sees in that time");
        check.wrong(key("min_calls"), message);
    }
}

fn timeouts(check: &mut Check, path: &str, timeouts: &TimeoutsConfig) {
    let TimeoutsConfig { total, connect, first_byte, first_token, idle, attempt } = timeouts;
    let all = [
        ("total", total),
        ("connect", connect),
        ("first_byte", first_byte),
        ("first_token", first_token),
        ("idle", idle),
        ("attempt", attempt),
    ];
    for (field, limit) in all {
        check.not_zero(format!("{path}.{field}"), *limit);
    }
    let longer = |limit: &Option<Limit<Duration>>| limit.and_then(Limit::get).zip(total.and_then(Limit::get));
    for (field, limit) in [("first_byte", first_byte), ("first_token", first_token), ("attempt", attempt)] {
        if let Some((limit, total)) = longer(limit).filter(|(limit, total)| limit > total) {
            let message = format!("{limit:?} is longer than a whole call may take, {total:?}; it has no effect");
            check.remark(format!("{path}.{field}"), message);
        }
    }
}
