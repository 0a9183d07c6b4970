use std::time::Duration;

use super::said;
use crate::{
    config::{Limit, RetriedFailures, RetryBudgetConfig, RetryConfig},
    core::RetryBudget,
    retry_after::{Backoff, RetryAfterLayer, RetryOn, RetryPolicy},
};

const INITIAL_BACKOFF: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(8);
const BUDGET_SHARE: f64 = 0.2;
const BUDGET_FLOOR: u32 = 60;

pub(in crate::stack) fn layer(config: &RetryConfig) -> RetryAfterLayer {
    if config.enabled == Some(false) {
        return RetryAfterLayer::off();
    }
    let layer = RetryAfterLayer::new(policy(config));
    said(layer, config.budget.as_ref(), |layer, budget| match budget {
        Limit::Unlimited => layer.budget(None),
        Limit::Of(RetryBudgetConfig { share, floor, .. }) => {
            layer.budget(RetryBudget::new(share.unwrap_or(BUDGET_SHARE), floor.unwrap_or(BUDGET_FLOOR)))
        }
    })
}

fn policy(config: &RetryConfig) -> RetryPolicy {
    let first = config.initial_backoff.unwrap_or(INITIAL_BACKOFF);
    let backoff = Backoff::exponential(first).cap(config.max_backoff.unwrap_or(MAX_BACKOFF.max(first)));
    let backoff = said(backoff, config.multiplier, Backoff::multiplier);
    let backoff = said(backoff, config.jitter, Backoff::jitter);
    let policy = RetryPolicy::new().backoff(backoff);
    let policy = said(policy, config.max_retries, RetryPolicy::max_retries);
    let policy = said(policy, config.hint_jitter, RetryPolicy::hint_jitter);
    let policy = said(policy, config.hint_cap, |policy, cap| policy.hint_cap(cap.get()));
    let policy = said(policy, config.elapsed_limit, |policy, limit| policy.elapsed_limit(limit.get()));
    let policy = said(policy, config.expected_service, RetryPolicy::expected_service);
    said(policy, config.on, |policy, on| {
        policy.retry_on(match on {
            RetriedFailures::Throttled => RetryOn::Throttled,
            RetriedFailures::Transient => RetryOn::Transient,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_word_it_is_the_layers_own_policy() {
        assert_eq!(policy(&RetryConfig::default()), RetryPolicy::new());
    }

    #[test]
    fn a_first_wait_above_the_usual_cap_is_its_own_cap() {
        let config = RetryConfig { initial_backoff: Some(Duration::from_secs(20)), ..RetryConfig::default() };
        let backoff = Backoff::exponential(Duration::from_secs(20)).cap(Duration::from_secs(20));
        assert_eq!(policy(&config), RetryPolicy::new().backoff(backoff));
    }
}
