//! How a stack does, in words and figures.

use std::{fmt, sync::Arc};

use serde::Serialize;

use super::{
    Activity, Alert,
    activity::share,
    alerts::AlertKind,
    snapshot::{EndpointSnapshot, ModelSnapshot, short},
};

/// A server's wait that is longer is told of.
const LONG_GATE_SECONDS: f64 = 60.0;

/// Fewer calls in the last minutes say nothing about how many fail.
const ENOUGH_CALLS: u64 = 20;

/// How a stack does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// In one word.
    pub status: HealthStatus,
    /// Why; the worst first. Empty where all is well.
    pub reasons: Vec<HealthReason>,
}

/// How a stack does, in one word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// Nothing is wrong.
    #[default]
    Ok,
    /// Calls are served, but something is wrong.
    Degraded,
    /// No call is served.
    Down,
}

/// Why a stack does not do well.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HealthReason {
    /// A short name that stays: `breaker_open`, `recovering`, `misconfigured`, `no_credential`, `long_wait`,
    /// `no_endpoint`, `failures`, `nothing_answered`, `budget_spent`.
    pub code: &'static str,
    /// What it makes of the stack.
    pub brings: HealthStatus,
    /// Which endpoint, model or budget.
    pub subject: Arc<str>,
    /// What is wrong, for people.
    pub words: String,
    /// For how long, where that is known.
    pub for_seconds: Option<f64>,
}

impl Health {
    /// `recent` is what was done in the last minutes, `alerts` are those under way.
    pub(crate) fn judge(
        models: &[ModelSnapshot],
        endpoints: &[EndpointSnapshot],
        recent: &Activity,
        alerts: &[Alert],
    ) -> Self {
        let mut reasons: Vec<_> = endpoints.iter().flat_map(of_endpoint).collect();
        reasons.extend(of_models(models, endpoints));
        reasons.extend(of_calls(recent));
        reasons.extend(of_alerts(alerts));
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.brings));
        Self { status: reasons.first().map(|reason| reason.brings).unwrap_or_default(), reasons }
    }

    /// Whether calls are served.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.status != HealthStatus::Down
    }
}

impl HealthStatus {
    /// `ok`, `degraded` or `down`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

/// `degraded`, and a line for each reason.
impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.status.name())?;
        self.reasons.iter().try_for_each(|reason| write!(f, "\n  {}", reason.words))
    }
}

/// Whether calls can be sent there, as far as is known.
fn is_available(endpoint: &EndpointSnapshot) -> bool {
    endpoint.breaker.as_ref().is_none_or(|breaker| breaker.state != "open")
        && endpoint.member.as_ref().is_none_or(|member| !member.is_draining)
        && (!is_resting(endpoint) || endpoint.attempts.success > 0)
        && endpoint.misconfigured_for_seconds.is_none()
        && endpoint.credential.as_ref().is_none_or(|credential| credential.is_good || credential.last_failure.is_none())
}

/// Whether it is left alone for a deployment. Where it has answered for another, that may be a caller's own word.
fn is_resting(endpoint: &EndpointSnapshot) -> bool {
    endpoint.member.as_ref().is_some_and(|member| !member.out_of_rotation.is_empty())
}

fn of_endpoint(endpoint: &EndpointSnapshot) -> Vec<HealthReason> {
    let name = &endpoint.name;
    let degraded = |code, words, for_seconds| HealthReason {
        code,
        brings: HealthStatus::Degraded,
        subject: Arc::clone(name),
        words,
        for_seconds,
    };
    let mut reasons = Vec::new();
    if let Some(breaker) = &endpoint.breaker {
        let why = breaker.last_change.as_deref().unwrap_or("it failed");
        match breaker.state {
            "open" => {
                let until = breaker.opens_in_seconds;
                let how_long =
                    until.map_or_else(|| "until it is reset".to_owned(), |time| format!("for {} more", short(time)));
                reasons.push(degraded("breaker_open", format!("{name} is left alone {how_long}: {why}"), until));
            }
            "half_open" => {
                reasons.push(degraded("recovering", format!("{name} is tried again with a few calls: {why}"), None));
            }
            _ => {}
        }
    }
    let resting = endpoint.member.as_ref().and_then(|member| member.out_of_rotation.first());
    if let Some(rest) = resting {
        let what = rest.deployment.as_deref().map_or_else(String::new, |deployment| format!(" for {deployment}"));
        let words = format!(
            "{name}{what} answers that key, deployment or network rules are wrong: check its configuration; tried again in {}",
            short(rest.tried_in_seconds),
        );
        reasons.push(degraded("misconfigured", words, Some(rest.tried_in_seconds)));
    } else if let Some(time) = endpoint.misconfigured_for_seconds {
        let words = format!(
            "{name} has answered for {} that key, deployment or network rules are wrong: check its configuration",
            short(time),
        );
        reasons.push(degraded("misconfigured", words, None));
    }
    if let Some(credential) = &endpoint.credential
        && let Some(failure) = &credential.last_failure
    {
        let words = format!("no new token can be had for {name}: {failure}");
        reasons.push(degraded("no_credential", words, None));
    }
    if let Some(wait) = endpoint.quota.and_then(|quota| quota.gate_seconds).filter(|wait| *wait > LONG_GATE_SECONDS) {
        reasons.push(degraded("long_wait", format!("{name} asks to wait for {}", short(wait)), Some(wait)));
    }
    reasons
}

fn of_models(models: &[ModelSnapshot], endpoints: &[EndpointSnapshot]) -> Vec<HealthReason> {
    let is_down = |model: &&ModelSnapshot| {
        let mut names = model.legs.iter().flat_map(|leg| &leg.endpoints).peekable();
        let there_are_some = names.peek().is_some();
        there_are_some
            && names.all(|name| {
                endpoints.iter().find(|endpoint| endpoint.name == *name).is_some_and(|it| !is_available(it))
            })
    };
    let down: Vec<_> = models.iter().filter(is_down).collect();
    let brings = if down.len() == models.len() { HealthStatus::Down } else { HealthStatus::Degraded };
    down.into_iter()
        .map(|model| HealthReason {
            code: "no_endpoint",
            brings,
            subject: Arc::clone(&model.name),
            words: format!("nobody serves {}: all of its endpoints are unavailable", model.name),
            for_seconds: None,
        })
        .collect()
}

fn of_calls(recent: &Activity) -> Option<HealthReason> {
    let judged = recent.answered + recent.bad();
    let bad_share = share(recent.bad(), judged);
    if judged < ENOUGH_CALLS || bad_share < 0.5 {
        return None;
    }
    let nothing = recent.answered == 0;
    Some(HealthReason {
        code: if nothing { "nothing_answered" } else { "failures" },
        brings: if nothing { HealthStatus::Down } else { HealthStatus::Degraded },
        subject: "calls".into(),
        words: format!("{} of {judged} calls of the last 5 minutes were not answered", recent.bad()),
        for_seconds: None,
    })
}

fn of_alerts(alerts: &[Alert]) -> impl Iterator<Item = HealthReason> {
    alerts.iter().filter(|alert| alert.kind == AlertKind::BudgetRefusing).map(|alert| HealthReason {
        code: "budget_spent",
        brings: HealthStatus::Degraded,
        subject: Arc::clone(&alert.subject),
        words: alert.words.clone(),
        for_seconds: None,
    })
}
