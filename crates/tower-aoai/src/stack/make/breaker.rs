use std::time::Duration;

use super::said;
use crate::{
    circuit_breaker::{CircuitBreakerLayer, CircuitPolicy, InvalidPolicy},
    config::{CircuitBreakerConfig, SlowFirstBytes},
};

/// The first break where none stands in, and where another endpoint does.
const BREAK_TIMES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// The longest one, likewise, if the first one is said.
const BREAK_CAPS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(10)];
const SLOW_SHARE: f64 = 0.5;

/// `stands_in`: another endpoint serves calls while this one is left alone.
pub(in crate::stack) fn layer(
    config: &CircuitBreakerConfig,
    stands_in: bool,
) -> Result<CircuitBreakerLayer, InvalidPolicy> {
    if config.enabled == Some(false) {
        return Ok(CircuitBreakerLayer::off());
    }
    CircuitBreakerLayer::of(policy(config, stands_in))
}

fn policy(config: &CircuitBreakerConfig, stands_in: bool) -> CircuitPolicy {
    let policy = if stands_in { CircuitPolicy::below_balancer() } else { CircuitPolicy::alone() };
    let policy = said(policy, config.consecutive_failures, |policy, limit| policy.consecutive_failures(limit.get()));
    let policy = said(policy, config.failure_ratio, |policy, limit| policy.failure_ratio(limit.get()));
    let policy = said(policy, config.slow_first_bytes.as_ref(), |policy, slow| match slow {
        SlowFirstBytes { threshold: Some(threshold), share } => {
            policy.slow_first_bytes(*threshold, share.unwrap_or(SLOW_SHARE))
        }
        SlowFirstBytes { threshold: None, .. } => policy,
    });
    let policy = said(policy, config.window, CircuitPolicy::window);
    let policy = said(policy, config.min_calls, CircuitPolicy::min_calls);
    // What is usual gives way: a first break that is longer than the usual cap is meant, and so is a shorter cap.
    let (usual_time, usual_cap) = (BREAK_TIMES[usize::from(stands_in)], BREAK_CAPS[usize::from(stands_in)]);
    let cap = config.break_cap.or_else(|| config.break_time.map(|time| time.max(usual_cap)));
    let time = config.break_time.or_else(|| config.break_cap.map(|cap| cap.min(usual_time)));
    let policy = said(policy, time, CircuitPolicy::break_time);
    let policy = said(policy, cap, CircuitPolicy::break_cap);
    let policy = said(policy, config.jitter, CircuitPolicy::jitter);
    let policy = said(policy, config.probes, CircuitPolicy::probes);
    let policy = said(policy, config.successes_to_close, CircuitPolicy::successes_to_close);
    let policy = said(policy, config.probe_lease, CircuitPolicy::probe_lease);
    said(policy, config.probe_proof, CircuitPolicy::probe_proof)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_word_it_is_the_policy_for_its_place() {
        let config = CircuitBreakerConfig::default();
        assert_eq!(policy(&config, false), CircuitPolicy::alone());
        assert_eq!(policy(&config, true), CircuitPolicy::below_balancer());
    }

    #[test]
    fn a_break_that_is_longer_than_the_usual_cap_is_possible() {
        let config = CircuitBreakerConfig { break_time: Some(Duration::from_secs(60)), ..Default::default() };
        assert!(layer(&config, true).is_ok());
    }

    #[test]
    fn a_cap_that_is_shorter_than_the_usual_first_break_is_possible() {
        for stands_in in [false, true] {
            let config = CircuitBreakerConfig { break_cap: Some(Duration::from_millis(300)), ..Default::default() };
            let policy = policy(&config, stands_in);
            assert!(CircuitBreakerLayer::of(policy).is_ok());
            let config = CircuitBreakerConfig { break_cap: Some(Duration::from_secs(300)), ..Default::default() };
            let usual = if stands_in { CircuitPolicy::below_balancer() } else { CircuitPolicy::alone() };
            assert_eq!(super::policy(&config, stands_in), usual.break_cap(Duration::from_secs(300)));
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let config = CircuitBreakerConfig { failure_ratio: Some(2.0.into()), ..Default::default() };
        assert!(layer(&config, false).is_err());
    }
}
