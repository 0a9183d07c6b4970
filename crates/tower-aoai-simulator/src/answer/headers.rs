//! The headers of an answer.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::refusal::Hint;
use crate::{
    deployment::{HeaderStyle, RetryHints},
    quota::{QuotaSnapshot, RefusalReason},
};

/// What the service stamps on every answer. Names and fixed values are those of captured traffic.
pub(crate) fn common(headers: &mut HeaderMap, ids: &Ids, region: Option<&str>, deployment: Option<&str>) {
    const FIXED: [(&str, &str); 5] = [
        ("cache-control", "no-cache, must-revalidate"),
        ("access-control-allow-origin", "*"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
        ("x-content-type-options", "nosniff"),
        ("x-accel-buffering", "no"),
    ];
    // About as many as an answer has: growing step by step hashes them over and over.
    headers.reserve(24);
    for (name, value) in FIXED {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    set(headers, "apim-request-id", &ids.apim);
    set(headers, "x-request-id", &ids.request);
    match &ids.client {
        // Echoed if the caller sent one, else the same as apim-request-id.
        Some(client) => {
            headers.insert(HeaderName::from_static("x-ms-client-request-id"), client.clone());
        }
        None => set(headers, "x-ms-client-request-id", &ids.apim),
    }
    if let Some(region) = region {
        set(headers, "x-ms-region", region);
    }
    if let Some(deployment) = deployment {
        set(headers, "x-ms-deployment-name", deployment);
    }
}

/// What the model's own service adds to an answer that is no error. The session is a fixed one, in
/// the form of captured ones; `annotated` says whether the content filter looked at it.
pub(crate) fn served(headers: &mut HeaderMap, annotated: bool) {
    const SESSION: HeaderValue = HeaderValue::from_static("d001-20240215231538");
    headers.insert(HeaderName::from_static("azureml-model-session"), SESSION);
    if annotated {
        headers.insert(HeaderName::from_static("x-ms-rai-invoked"), HeaderValue::from_static("true"));
    }
}

/// The ids of one answer.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    pub(crate) apim: String,
    pub(crate) request: String,
    pub(crate) client: Option<HeaderValue>,
}

/// The headers of the quota, as it stands after the decision.
pub(crate) fn quota(
    headers: &mut HeaderMap,
    snapshot: &QuotaSnapshot,
    style: HeaderStyle,
    hints: RetryHints,
    refused: Option<RefusalReason>,
) {
    match snapshot {
        QuotaSnapshot::Unlimited => {}
        QuotaSnapshot::Provisioned { utilisation } => {
            let percent = format!("{utilisation:.1}%");
            set(headers, "azure-openai-deployment-utilization", &percent);
        }
        QuotaSnapshot::Standard {
            limit_tokens,
            remaining_tokens,
            reset_tokens,
            limit_requests,
            remaining_requests,
            reset_requests,
            request_window,
        } => match style {
            HeaderStyle::Absent => {}
            HeaderStyle::MinusOne => {
                for name in ["requests", "tokens"] {
                    number(headers, &format!("x-ratelimit-limit-{name}"), -1);
                    number(headers, &format!("x-ratelimit-remaining-{name}"), -1);
                    number(headers, &format!("x-ratelimit-reset-{name}"), 0);
                }
            }
            HeaderStyle::Full | HeaderStyle::RemainingOnly => {
                let full = style == HeaderStyle::Full;
                if let Some(remaining) = remaining_requests {
                    number(headers, "x-ratelimit-remaining-requests", *remaining);
                }
                number(headers, "x-ratelimit-remaining-tokens", *remaining_tokens);
                if !full {
                    return;
                }
                if let Some(limit) = limit_requests {
                    number(headers, "x-ratelimit-limit-requests", *limit);
                    number(headers, "x-ratelimit-renewalperiod-requests", request_window.as_secs());
                    number(headers, "x-ratelimit-reset-requests", reset_requests.as_secs());
                }
                let zeroed = refused.is_some() && hints == RetryHints::ZeroMilliseconds;
                let reset = if zeroed { 0 } else { reset_tokens.as_secs() };
                number(headers, "x-ratelimit-limit-tokens", *limit_tokens);
                number(headers, "x-ratelimit-renewalperiod-tokens", 60);
                number(headers, "x-ratelimit-reset-tokens", reset);
                if let Some(reason) = refused {
                    let kind = if reason == RefusalReason::Requests { "Requests" } else { "Tokens" };
                    set(headers, "x-ratelimit-type", kind);
                }
            }
        },
    }
}

pub(crate) fn hint(headers: &mut HeaderMap, hint: Hint) {
    if let Some(milliseconds) = hint.milliseconds {
        number(headers, "retry-after-ms", milliseconds);
    }
    if let Some(seconds) = hint.seconds {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
}

pub(crate) fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    // Names here are our own; a value may be a user's region or deployment name, and one that no
    // header can carry is left out.
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

fn number(headers: &mut HeaderMap, name: &str, value: impl Into<HeaderValue>) {
    if let Ok(name) = HeaderName::try_from(name) {
        headers.insert(name, value.into());
    }
}
