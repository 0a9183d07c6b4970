//! Refusals by quota: in which words, and with which hint.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::errors::Failure;
use crate::{
    deployment::{Deployment, RetryHints, Wording},
    quota::{RefusalReason, TOO_LARGE_RETRY_AFTER},
    request::{Route, Style},
};

/// The body of a refusal by quota; `seconds` is what `retry-after` says, if it says anything.
pub(crate) fn refused(deployment: &Deployment, route: &Route, reason: RefusalReason, seconds: Option<u64>) -> Failure {
    let message = match wording(deployment, route) {
        Wording::Typed => return typed(deployment, reason),
        _ if reason == RefusalReason::Utilisation => utilised(deployment, route),
        Wording::Regional => {
            let name = &deployment.name;
            let (model, region) = (&deployment.model, &deployment.region);
            let (what, op) = (what(reason), route.operation.id());
            let version = &route.api_version;
            format!(
                "Your requests to {name} for {model} in {region} have exceeded the {what} rate limit for your current AIServices S0 pricing tier. This request was for {op} under Azure OpenAI API version {version}.{}",
                retry_sentence(seconds)
            )
        }
        wording => {
            let (op, version) = (route.operation.id(), &route.api_version);
            let (tier, more) = if wording == Wording::ClassicAiServices {
                ("AIServices", "Please contact Azure support service")
            } else {
                ("OpenAI", "Please go here: https://aka.ms/oai/quotaincrease")
            };
            format!(
                "Requests to the {op} Operation under Azure OpenAI API version {version} have exceeded {} rate limit of your current {tier} S0 pricing tier.{} {more} if you would like to further increase the default rate limit.",
                what(reason),
                retry_sentence(seconds)
            )
        }
    };
    Failure::gateway(StatusCode::TOO_MANY_REQUESTS, "429", &message)
}

/// The sentence a typed refusal has, in a body and in a stream.
pub(crate) fn typed_message(deployment: &Deployment, reason: RefusalReason) -> String {
    let region = deployment.region.replace(' ', "").to_ascii_lowercase();
    format!(
        "Your requests to {} for {} in {region} have exceeded {}rate limit.",
        deployment.name,
        deployment.model,
        if reason == RefusalReason::Requests { "" } else { "token " }
    )
}

fn typed(deployment: &Deployment, reason: RefusalReason) -> Failure {
    let message = typed_message(deployment, reason);
    let (kind, code) = ("too_many_requests", "rate_limit_exceeded");
    Failure::model(StatusCode::TOO_MANY_REQUESTS, &message, kind, None, Some(code))
}

/// No source shows the exact body of a provisioned deployment's 429; this is the classic one with
/// its own limit named.
fn utilised(deployment: &Deployment, route: &Route) -> String {
    format!(
        "Requests to the {} Operation under Azure OpenAI API version {} have exceeded the provisioned throughput of deployment {}. Please retry later.",
        route.operation.id(),
        route.api_version,
        deployment.name
    )
}

fn wording(deployment: &Deployment, route: &Route) -> Wording {
    match (deployment.wording, route.style) {
        (Wording::ByPath, Style::V1) => Wording::Typed,
        (Wording::ByPath, _) => Wording::Classic,
        (wording, _) => wording,
    }
}

fn what(reason: RefusalReason) -> &'static str {
    if reason == RefusalReason::Requests { "call" } else { "token" }
}

fn retry_sentence(seconds: Option<u64>) -> String {
    match seconds {
        None => String::new(),
        Some(1) => " Please retry after 1 second.".to_owned(),
        Some(seconds) => format!(" Please retry after {seconds} seconds."),
    }
}

/// The hint of a refusal as it goes out: milliseconds and whole seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) milliseconds: Option<u64>,
    pub(crate) seconds: Option<u64>,
}

impl Hint {
    /// `round_up` is off where captured traffic shows seconds rounded down: the token bucket.
    pub(crate) fn of(wait: Duration, hints: RetryHints, round_up: bool) -> Self {
        // No quota says more than a day.
        let wait = wait.min(TOO_LARGE_RETRY_AFTER);
        let rounded_up = wait.as_nanos().div_ceil(1_000_000_000);
        let seconds = u64::try_from(rounded_up).unwrap_or(u64::MAX);
        let seconds = if round_up { seconds } else { wait.as_secs() }.max(1);
        let milliseconds = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        match hints {
            RetryHints::Milliseconds => Self { milliseconds: Some(milliseconds), seconds: Some(seconds) },
            RetryHints::Seconds => Self { milliseconds: None, seconds: Some(seconds) },
            RetryHints::ZeroMilliseconds => Self { milliseconds: Some(0), seconds: Some(1) },
            RetryHints::Absent => Self::default(),
        }
    }

    /// As it is once a script's own headers have replaced it, where they say a number.
    pub(crate) fn replaced_by(self, headers: &HeaderMap) -> Self {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.parse().ok();
        Self {
            milliseconds: number("retry-after-ms").or(self.milliseconds),
            seconds: number("retry-after").or(self.seconds),
        }
    }

    /// What a reader of the headers would wait: milliseconds win over seconds.
    pub(crate) fn told(self) -> Option<Duration> {
        let milliseconds = self.milliseconds.map(Duration::from_millis);
        milliseconds.or_else(|| self.seconds.map(Duration::from_secs))
    }
}
