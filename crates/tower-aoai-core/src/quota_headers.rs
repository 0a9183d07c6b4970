//! The headers in which a deployment tells its quota.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use crate::{Scope, duration};

#[cfg(test)]
mod tests;

/// The quota headers of one response.
///
/// Every field is what the server wrote, or `None` where it wrote nothing that can be used. Standard deployments
/// send the two windows, provisioned ones only [`utilization`](Self::utilization); traffic of 2024 carries nothing
/// but `remaining` (Azure's documentation, captured traffic).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct QuotaHeaders {
    /// `x-ratelimit-*-tokens`.
    pub tokens: QuotaWindow,
    /// `x-ratelimit-*-requests`.
    pub requests: QuotaWindow,
    /// `x-ratelimit-type`, sent with a 429: [`Scope::Tokens`] or [`Scope::Requests`].
    pub exhausted: Option<Scope>,
    /// `azure-openai-deployment-utilization` of a provisioned deployment, as a fraction: 0.985 for `98.5%`.
    ///
    /// May lie above 1: short bursts over 100 % are allowed. Whether every kind of provisioned deployment still
    /// sends it is not known.
    pub utilization: Option<f64>,
}

/// What the headers say of one of the two quotas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotaWindow {
    /// `x-ratelimit-limit-*`: tokens or requests per minute, never 0. Azure may lower it for hours under load.
    pub limit: Option<u64>,
    /// `x-ratelimit-remaining-*`. Negative where more was admitted than there was: a debt, worked off like a charge.
    pub remaining: Option<i64>,
    /// `x-ratelimit-reset-*`: by the captures the time until the quota is *full* again, not until the next call fits.
    pub reset: Option<Duration>,
    /// `x-ratelimit-renewalperiod-*`: the window in which the server counts; 10 s for requests, 60 s for tokens.
    pub renewal_period: Option<Duration>,
}

/// One window's headers as they are written.
#[derive(Default)]
struct Written<'h> {
    limit: Option<&'h HeaderValue>,
    remaining: Option<&'h HeaderValue>,
    reset: Option<&'h HeaderValue>,
    period: Option<&'h HeaderValue>,
}

impl QuotaHeaders {
    /// Reads them; what is missing or cannot be read is `None`.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let (mut tokens, mut requests) = (Written::default(), Written::default());
        let (mut kind, mut utilization) = (None, None);
        // One look at each header costs less than ten lookups by name.
        for (name, value) in headers {
            let place = match name.as_str() {
                "x-ratelimit-limit-tokens" => &mut tokens.limit,
                "x-ratelimit-remaining-tokens" => &mut tokens.remaining,
                "x-ratelimit-reset-tokens" => &mut tokens.reset,
                "x-ratelimit-renewalperiod-tokens" => &mut tokens.period,
                "x-ratelimit-limit-requests" => &mut requests.limit,
                "x-ratelimit-remaining-requests" => &mut requests.remaining,
                "x-ratelimit-reset-requests" => &mut requests.reset,
                "x-ratelimit-renewalperiod-requests" => &mut requests.period,
                "x-ratelimit-type" => &mut kind,
                "azure-openai-deployment-utilization" => &mut utilization,
                _ => continue,
            };
            // Of a header that comes twice the first counts.
            place.get_or_insert(value);
        }
        Self {
            tokens: QuotaWindow::read(&tokens),
            requests: QuotaWindow::read(&requests),
            exhausted: kind.and_then(text).and_then(exhausted),
            utilization: utilization.and_then(text).and_then(percent),
        }
    }

    /// `x-ratelimit-key`: the deployment or model whose quota the others tell.
    #[must_use]
    pub fn key(headers: &HeaderMap) -> Option<&str> {
        headers.get("x-ratelimit-key").and_then(text).filter(|key| !key.is_empty())
    }
}

impl QuotaWindow {
    /// A limit of 0 or less says that there is no figure (`-1`, with remaining `-1` and reset `0`, was seen on the
    /// responses API): then the other three mean nothing either.
    fn read(written: &Written<'_>) -> Self {
        let limit = written.limit.and_then(text).and_then(whole);
        if limit.is_some_and(|limit| limit <= 0) {
            return Self::default();
        }
        Self {
            limit: limit.and_then(|limit| u64::try_from(limit).ok()),
            remaining: written.remaining.and_then(text).and_then(whole),
            reset: written.reset.and_then(text).and_then(duration::parse_duration),
            renewal_period: (written.period.and_then(text).and_then(duration::parse_duration))
                .filter(|period| !period.is_zero()),
        }
    }

    /// How long until `cost` fits, if the limit flows back evenly over `window`: (cost - remaining) / (limit / window).
    ///
    /// Zero if it fits now; `None` without both limit and remaining. A continuously refilling bucket is what the
    /// captures fit best; Azure documents a counter that is reset each minute.
    #[must_use]
    pub fn time_until(&self, cost: u64, window: Duration) -> Option<Duration> {
        let missing = i128::from(cost) - i128::from(self.remaining?);
        let missing = u128::try_from(missing).unwrap_or(0);
        let limit = u128::from(self.limit?.max(1));
        let nanos = missing.saturating_mul(window.as_nanos()).div_ceil(limit);
        Some(duration::from_nanos(nanos).unwrap_or(duration::LONGEST))
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    Some(value.to_str().ok()?.trim())
}

/// A whole number; one written with a fraction loses it.
fn whole(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| {
        let (number, fraction) = text.split_once('.')?;
        let digits = fraction.bytes().all(|byte| byte.is_ascii_digit());
        if digits { number.parse().ok() } else { None }
    })
}

fn exhausted(text: &str) -> Option<Scope> {
    let says = |word| crate::text::find(text.as_bytes(), word).is_some();
    if says("token") {
        Some(Scope::Tokens)
    } else if says("request") || says("call") {
        Some(Scope::Requests)
    } else {
        None
    }
}

/// Only with its `%`: a bare `1` could be either.
fn percent(text: &str) -> Option<f64> {
    let number: f64 = text.strip_suffix('%')?.trim().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number / 100.0)
}
