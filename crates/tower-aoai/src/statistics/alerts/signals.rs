//! Which sights are good, and which are bad.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;
use tower_aoai_circuit_breaker::CircuitState;
use tower_aoai_cost::{AlertKind as CostAlertKind, BudgetStatus, Money};

use super::{
    AlertKind, Figures, Severity,
    episodes::Level,
    watch::{CostSight, EndpointSight, LastLook, QuotaSight, Sight, Signal, Threshold, Watch},
};
use crate::statistics::snapshot::{short_time, spent_share};

/// Fewer prompts say nothing about the share that is truncated.
const ENOUGH_PROMPTS: u64 = 20;

/// Without a refusal for so long, a budget refuses no more.
const NO_REFUSAL: Duration = Duration::from_secs(300);

/// Without an unpriced call for so long, there are none any more.
const NO_UNPRICED: Duration = Duration::from_secs(3_600);

/// A quota that is told to be smaller by less is the same.
const SAME_QUOTA: f64 = 0.98;

fn figures<const N: usize>(figures: [(&'static str, f64); N]) -> Figures {
    figures.into()
}

fn dollars(money: Money) -> f64 {
    money.as_nano_dollars() as f64 / 1e9
}

impl Watch {
    pub(super) fn signals(&mut self, now: Instant, at: SystemTime, sight: &Sight) {
        for endpoint in &sight.endpoints {
            self.breaker(now, at, endpoint);
            self.configuration(now, at, endpoint);
            if let Some(quota) = &endpoint.quota {
                self.queue(now, at, &endpoint.name, quota);
                self.quota(now, at, &endpoint.name, quota);
            }
        }
        let is_there = |name: &Arc<str>| sight.endpoints.iter().any(|endpoint| endpoint.name == *name);
        self.last.opened.retain(|name, _| is_there(name));
        self.last.largest_learned.retain(|name, _| is_there(name));
        self.truncation(now, at, sight);
        if let Some(cost) = &sight.cost {
            self.thresholds(now, at, cost, &sight.crossed);
            self.refusals(now, at, cost);
            self.prices(now, at, cost);
        }
    }

    fn breaker(&mut self, now: Instant, at: SystemTime, endpoint: &EndpointSight) {
        let (name, Some(circuit)) = (&endpoint.name, &endpoint.breaker) else {
            return;
        };
        let before = self.last.opened.insert(Arc::clone(name), circuit.opened);
        let is_open = matches!(circuit.state, CircuitState::Open { .. } | CircuitState::HalfOpen);
        // It may have opened, and closed again, since the last look.
        let has_opened = before.is_some_and(|before| circuit.opened > before);
        let calm = self.settings.calm;
        let mut levels = vec![Level::bad_if(is_open || has_opened)];
        if has_opened && !is_open {
            levels.push(Level::Good);
        }
        for level in levels {
            let words = || {
                let why = circuit.last_change.map_or_else(String::new, |change| format!(": {}", change.reason));
                format!("{name} is left alone{why}")
            };
            let signal = Signal {
                kind: AlertKind::BreakerOpen,
                subject: name,
                id: name.to_string(),
                level,
                severity: Severity::Warning,
                calm,
                words: &words,
                figures: &|| {
                    figures([("opened", circuit.opened as f64), ("failures", f64::from(circuit.window_failures))])
                },
            };
            self.signal(now, at, signal);
        }
    }

    fn configuration(&mut self, now: Instant, at: SystemTime, endpoint: &EndpointSight) {
        let name = &endpoint.name;
        let words =
            || format!("{name} answers that key, deployment or network rules are wrong: check its configuration");
        let signal = Signal {
            kind: AlertKind::Misconfigured,
            subject: name,
            id: name.to_string(),
            level: Level::bad_if(endpoint.is_misconfigured),
            severity: Severity::Critical,
            calm: self.settings.calm,
            words: &words,
            figures: &Figures::new,
        };
        self.signal(now, at, signal);
    }

    fn queue(&mut self, now: Instant, at: SystemTime, name: &Arc<str>, quota: &QuotaSight) {
        let enter = self.settings.queue_wait.as_secs_f64();
        let wait = quota.wait.as_secs_f64();
        let words = || {
            format!(
                "a call that comes now waits about {} for {name}: {} wait before it",
                short_time(quota.wait),
                quota.queued
            )
        };
        let signal = Signal {
            kind: AlertKind::QueueWait,
            subject: name,
            id: name.to_string(),
            level: Level::of(wait, enter, enter / 2.0),
            severity: Severity::Warning,
            calm: self.settings.calm,
            words: &words,
            figures: &|| {
                figures([("wait_seconds", wait), ("queued", quota.queued as f64), ("used_share", quota.used_share)])
            },
        };
        self.signal(now, at, signal);
    }

    fn quota(&mut self, now: Instant, at: SystemTime, name: &Arc<str>, quota: &QuotaSight) {
        let largest = self.last.largest_learned.entry(Arc::clone(name)).or_default();
        *largest = (*largest).max(quota.learned_tokens.unwrap_or(0));
        let expected = quota.configured_tokens.unwrap_or(*largest);
        let granted = quota.learned_tokens.unwrap_or(expected);
        let words = || format!("{name} grants {granted} tokens a minute where {expected} are expected");
        let signal = Signal {
            kind: AlertKind::QuotaLowered,
            subject: name,
            id: name.to_string(),
            level: Level::bad_if((granted as f64) < expected as f64 * SAME_QUOTA),
            severity: Severity::Warning,
            calm: self.settings.calm,
            words: &words,
            figures: &|| {
                figures([("tokens_per_minute", granted as f64), ("expected_tokens_per_minute", expected as f64)])
            },
        };
        self.signal(now, at, signal);
    }

    fn truncation(&mut self, now: Instant, at: SystemTime, sight: &Sight) {
        let (measured, truncated, share) =
            (sight.recent.measured, sight.recent.truncated, sight.recent.truncated_share());
        let enter = self.settings.truncated_share;
        let level = match measured {
            0 => Level::Good,
            few if few < ENOUGH_PROMPTS => Level::Between,
            _ => Level::of(share, enter, enter * 0.75),
        };
        let words =
            || format!("{truncated} of the last 5 minutes' {measured} prompts were truncated, {:.0} %", share * 100.0);
        let subject = "prompts".into();
        let signal = Signal {
            kind: AlertKind::Truncation,
            subject: &subject,
            id: String::new(),
            level,
            severity: Severity::Warning,
            calm: self.settings.calm,
            words: &words,
            figures: &|| {
                figures([("truncated_share", share), ("truncated", truncated as f64), ("prompts", measured as f64)])
            },
        };
        self.signal(now, at, signal);
    }

    /// The cost layer tells once in a period that a threshold is crossed; that lasts as long as the period and the sum do.
    fn thresholds(&mut self, now: Instant, at: SystemTime, cost: &CostSight, crossed: &[tower_aoai_cost::Alert]) {
        for alert in crossed {
            if let CostAlertKind::Threshold { per_mille } = alert.kind {
                let value = alert.value.as_ref().map(|(_, value)| &**value);
                let id = format!("{}\n{}\n{}\n{per_mille}", alert.budget, value.unwrap_or_default(), alert.span);
                self.last.thresholds.insert(id, Threshold { alert: alert.clone(), per_mille });
            }
        }
        let is_crossed = |threshold: &Threshold| {
            let Threshold { alert, per_mille } = threshold;
            cost.budgets.iter().any(|status| {
                status.name == alert.budget
                    && status.value == alert.value
                    && status.span == alert.span
                    && status.spent >= status.limit.per_mille(*per_mille)
            })
        };
        self.last.thresholds.retain(|_, threshold| is_crossed(threshold));
        for (id, Threshold { alert, per_mille }) in self.last.thresholds.clone() {
            let severity = if per_mille >= 1_000 { Severity::Critical } else { Severity::Warning };
            let subject = named(&alert.budget, alert.value.as_ref().map(|(_, value)| value));
            let share = spent_share(alert.spent, alert.limit);
            let signal = Signal {
                kind: AlertKind::BudgetThreshold,
                subject: &subject,
                id,
                level: Level::Bad,
                severity,
                calm: Duration::ZERO,
                words: &|| alert.to_string(),
                figures: &|| {
                    figures([
                        ("threshold_share", f64::from(per_mille) / 1_000.0),
                        ("spent_share", share),
                        ("spent_dollars", dollars(alert.spent)),
                        ("reserved_dollars", dollars(alert.reserved)),
                        ("limit_dollars", dollars(alert.limit)),
                    ])
                },
            };
            self.signal(now, at, signal);
        }
    }

    fn refusals(&mut self, now: Instant, at: SystemTime, cost: &CostSight) {
        let mut counts = HashMap::new();
        for status in &cost.budgets {
            let BudgetStatus { name, value, span, refused, spent, reserved, limit, .. } = status;
            let subject = named(name, value.as_ref().map(|(_, value)| value));
            let id = format!("{subject}\n{span}");
            let is_more = self.last.has_grown(self.last.refused.get(&id).copied(), *refused);
            counts.insert(id.clone(), *refused);
            let words = || {
                format!("the budget {subject}, {span}, refuses calls: {spent} of {limit} spent, {reserved} reserved")
            };
            let signal = Signal {
                kind: AlertKind::BudgetRefusing,
                subject: &subject,
                id,
                level: Level::bad_if(is_more),
                severity: Severity::Critical,
                calm: NO_REFUSAL,
                words: &words,
                figures: &|| {
                    figures([
                        ("refused", *refused as f64),
                        ("spent_dollars", dollars(*spent)),
                        ("reserved_dollars", dollars(*reserved)),
                        ("limit_dollars", dollars(*limit)),
                    ])
                },
            };
            self.signal(now, at, signal);
        }
        self.last.refused = counts;
    }

    fn prices(&mut self, now: Instant, at: SystemTime, cost: &CostSight) {
        let refused = ("calls that name no priced model".into(), cost.refused_unpriced);
        let before = std::mem::replace(&mut self.last.refused_unpriced, cost.refused_unpriced);
        let of_refused = (&refused.0, refused.1, self.last.has_grown(Some(before), refused.1), "refused");
        let mut all = vec![of_refused];
        for (model, attempts) in &cost.unpriced {
            let is_more = self.last.has_grown(self.last.unpriced.get(model).copied(), *attempts);
            all.push((model, *attempts, is_more, "made"));
        }
        for (subject, count, is_more, what) in all {
            let words = || format!("the price of {subject} is not known: {count} were {what}, and no sum has them");
            let signal = Signal {
                kind: AlertKind::UnknownPrice,
                subject,
                id: subject.to_string(),
                level: Level::bad_if(is_more),
                severity: Severity::Warning,
                calm: NO_UNPRICED,
                words: &words,
                figures: &|| figures([("count", count as f64)]),
            };
            self.signal(now, at, signal);
        }
        self.last.unpriced = cost.unpriced.iter().cloned().collect();
    }
}

impl LastLook {
    /// Whether a count has grown since; what was counted before the first look is not news.
    fn has_grown(&self, before: Option<u64>, count: u64) -> bool {
        !self.is_first && count > before.unwrap_or(0)
    }
}

fn named(budget: &Arc<str>, value: Option<&Arc<str>>) -> Arc<str> {
    value.map_or_else(|| Arc::clone(budget), |value| format!("{budget} ({value})").into())
}
