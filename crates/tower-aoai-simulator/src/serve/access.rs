//! Who may come in, by key or token, and with how many headers.

use http::{HeaderMap, HeaderName};
use tokio::time::Instant;

use crate::{answer::errors::Failure, state::Config};

/// What is wrong with a request before anybody looks at its address or its body.
pub(super) fn check(config: &Config, headers: &HeaderMap, now: Instant) -> Result<(), Failure> {
    if let Some(most) = config.custom_headers
        && headers.keys().filter(|name| is_custom(name)).count() > most
    {
        return Err(Failure::too_many_headers());
    }
    if config.keys.is_empty() && config.issuer.is_none() {
        return Ok(());
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text("authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let known = |given: &str| config.keys.iter().any(|key| key == given);
    let issued = |given: &str| {
        let issuer = config.issuer.as_ref();
        issuer.is_some_and(|issuer| issuer.accepts(given, now))
    };
    let welcome = text("api-key").is_some_and(known) || bearer.is_some_and(|token| known(token) || issued(token));
    if welcome {
        return Ok(());
    }
    // Tokens of Entra have three parts; keys have one.
    Err(match bearer {
        Some(token) if token.matches('.').count() == 2 => Failure::wrong_token(),
        _ => Failure::wrong_key(),
    })
}

/// Whether a header counts toward the limit: see
/// [`custom_headers`](crate::SimulatorBuilder::custom_headers).
fn is_custom(name: &HeaderName) -> bool {
    const KNOWN: [&str; 24] = [
        "accept",
        "accept-encoding",
        "accept-language",
        "api-key",
        "authorization",
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "date",
        "expect",
        "forwarded",
        "host",
        "idempotency-key",
        "origin",
        "pragma",
        "referer",
        "te",
        "traceparent",
        "tracestate",
        "transfer-encoding",
        "user-agent",
        "via",
    ];
    const FAMILIES: [&str; 6] = ["x-ms-", "x-stainless-", "openai-", "x-simulator-", "x-forwarded-", "sec-"];
    let name = name.as_str();
    !KNOWN.contains(&name) && !FAMILIES.iter().any(|family| name.starts_with(family))
}
