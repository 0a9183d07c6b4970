//! The admin API: faults on demand and a look behind the scenes, over HTTP.
//!
//! Bodies and answers are JSON; a mistake is answered 400 with `{"error":{"message":…}}` that says
//! what would be right. Whoever reaches the server may use it: bind it to loopback.
//!
//! | route | |
//! |---|---|
//! | `GET /_simulator` | resources, deployments, routes |
//! | `GET /_simulator/clock` | time since the start, and the calendar time of answers |
//! | `GET /_simulator/journal` | what was served: `?resource=`, `?deployment=`, `?since=` a number |
//! | `DELETE /_simulator/journal` | forget it |
//! | `GET /_simulator/quota` | every deployment's quota now |
//! | `POST /_simulator/script` | dictate answers, see below |
//! | `DELETE /_simulator/script` | forget all that was dictated, everywhere |
//! | `PATCH /_simulator/deployments/{name}` | `tokens_per_minute`, `requests_per_minute`, `slowness` (a factor), `header_style` (`full`, `remaining_only`, `minus_one`, `absent`), `retry_hints` (`milliseconds`, `seconds`, `zero_milliseconds`, `absent`); `?resource=` |
//! | `POST /_simulator/tokens` | a Bearer token, `{"lifetime_seconds":60}` |
//! | `DELETE /_simulator/tokens` | revoke all, or `?token=` one |
//! | `POST /_simulator/reset` | everything as it was at the start |
//!
//! Where a resource may be named and is not, the default one is meant.
//!
//! # Dictating answers
//!
//! ```json
//! {"resource": "contoso-sweden", "deployment": "gpt-4o", "answers": [
//!     {"kind": "rate_limited", "after_ms": 1500, "times": 2},
//!     {"kind": "cut", "events": 3}
//! ]}
//! ```
//!
//! The next requests for the deployment get these answers, in their order; without `deployment`
//! those for any, and with `region` those for any in that region, in every resource unless one is
//! named. With `"probability": 0.1` each answer is given to that share of all requests instead,
//! and with `"for_ms": 60000` (and perhaps `"in_ms"`) to all requests of that time: an outage.
//!
//! An answer has a `kind`, what that kind needs, and any of `times`, `headers` (an object),
//! `without_headers` (a list), `delay_ms` (to the head), `first_token_ms`, `gap_ms` (from token to
//! token).
//!
//! | kind | |
//! |---|---|
//! | `ok` | as usual, whatever the quota says |
//! | `text` | as usual, saying `text` |
//! | `tool_calls` | as usual, calling `calls`: `[{"name":"f","arguments":{…}}]` |
//! | `rate_limited` | a 429, hint `after_ms`, or `seconds` alone, or none |
//! | `rate_limited_zero` | a 429 with `retry-after-ms: 0`, `retry-after: 1` |
//! | `too_large` | a 429 with `retry-after: 86400` |
//! | `no_capacity` | a 429 of a system under load |
//! | `gateway_rate_limited` | the 429 of a gateway in front, hint `seconds` |
//! | `refused_stream` | a 200 that refuses inside the stream, hint `after_ms` |
//! | `status` | Azure's body for `status` |
//! | `response` | this `status` and `body` |
//! | `content_filter`, `context_length` | these 400s |
//! | `filtered` | the answer is blocked after `events` tokens |
//! | `virtual_network`, `permission_denied`, `wrong_key` | these 401s and 403s |
//! | `plain_text_503` | a proxy's |
//! | `hang`, `reset` | no answer; a connection reset before the head |
//! | `cut`, `error`, `stall`, `end`, `malformed` | inside the stream, after `events` with content |
//! | `without_done` | everything but `data: [DONE]` |
//! | `events` | a stream of exactly these `pieces` (texts) |
//! | `drip` | as usual, `bytes` at a time, `gap_ms` between |

mod answer;
mod script;
mod view;

use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing,
};
use bytes::Bytes;
use http::{StatusCode, Uri, header};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

use super::names::{HEADER_STYLES, RETRY_HINTS, look_up};
use crate::{Deployment, Simulator, World, request::form_value};

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/", routing::get(about))
        .route("/clock", routing::get(clock))
        .route("/journal", routing::get(journal).delete(clear_journal))
        .route("/quota", routing::get(quota))
        .route("/script", routing::post(post_script).delete(clear_script))
        .route("/deployments/{name}", routing::patch(change))
        .route("/tokens", routing::post(issue).delete(revoke))
        .route("/reset", routing::post(reset))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
}

/// What a handler answers: JSON, or a sentence about the mistake.
type Answer = Result<Reply, Mistake>;

pub(super) struct Reply(Value);

/// What was wrong with a request of the admin API.
struct Mistake(StatusCode, String);

impl Mistake {
    fn bad(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, message.into())
    }

    fn missing(message: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, message.into())
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "application/json")];
        (kind, self.0.to_string()).into_response()
    }
}

impl IntoResponse for Mistake {
    fn into_response(self) -> Response {
        let body = Reply(json!({"error": {"message": self.1}}));
        (self.0, body).into_response()
    }
}

fn done() -> Answer {
    Ok(Reply(json!({"done": true})))
}

/// A body of the admin API; an empty one is an empty object.
fn read<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, Mistake> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Mistake::bad(error.to_string()))
}

fn parameter(uri: &Uri, name: &str) -> Option<String> {
    form_value(uri.query()?, name)
}

/// The resource that is named, or the default one.
fn resource<'a>(world: &'a World, name: Option<&str>) -> Result<&'a Simulator, Mistake> {
    let Some(name) = name else {
        return Ok(world.default_resource());
    };
    world.resource(name).ok_or_else(|| {
        let names: Vec<_> = world.resources().map(|(name, _)| name).collect();
        let names = names.join(", ");
        Mistake::missing(format!("there is no resource {name:?}: there are {names}"))
    })
}

pub(super) async fn about(State(world): State<World>) -> Reply {
    Reply(view::about(&world))
}

async fn unknown() -> Mistake {
    Mistake::missing(
        "no such route: GET /_simulator tells which there are; the crate's documentation of server::admin tells what they take",
    )
}

async fn clock(State(world): State<World>) -> Reply {
    Reply(view::clock(&world))
}

async fn journal(State(world): State<World>, uri: Uri) -> Answer {
    check_parameters(&uri, &["resource", "deployment", "since"])?;
    let named = parameter(&uri, "resource");
    let since = match parameter(&uri, "since") {
        None => 0,
        Some(since) => since.parse().map_err(|_| {
            Mistake::bad(format!(
                "since: {since:?} is no number: give the sequence number from which on you want entries"
            ))
        })?,
    };
    let simulator = resource(&world, named.as_deref())?;
    let deployment = parameter(&uri, "deployment");
    Ok(Reply(view::journal(simulator, deployment.as_deref(), since)))
}

async fn clear_journal(State(world): State<World>, uri: Uri) -> Answer {
    check_parameters(&uri, &["resource"])?;
    match parameter(&uri, "resource") {
        Some(name) => resource(&world, Some(&name))?.clear_journal(),
        None => world.resources().for_each(|(_, one)| one.clear_journal()),
    }
    done()
}

async fn quota(State(world): State<World>) -> Reply {
    Reply(view::quotas(&world))
}

async fn post_script(State(world): State<World>, body: Bytes) -> Answer {
    let spec = read(&body)?;
    let answers = script::dictate(&world, spec)?;
    Ok(Reply(json!({"dictated": answers})))
}

/// A typing error must not be a fault that never comes.
fn check_deployment(simulator: &Simulator, name: &str) -> Result<(), Mistake> {
    if simulator.quota(name).is_some() {
        return Ok(());
    }
    let names: Vec<_> = simulator.deployments().map(Deployment::name).collect();
    let names = names.join(", ");
    Err(Mistake::missing(format!("there is no deployment {name:?} in this resource: there are {names}")))
}

/// What is not understood must not be taken for nothing.
fn check_parameters(uri: &Uri, known: &[&str]) -> Result<(), Mistake> {
    let given = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut names = given.map(|pair| pair.split('=').next().unwrap_or_default());
    match names.find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) if known.is_empty() => Err(Mistake::bad(format!("{name}: this route takes no parameters"))),
        Some(name) => Err(Mistake::bad(format!("{name}: this route takes {}", known.join(", ")))),
    }
}

async fn clear_script(State(world): State<World>, uri: Uri) -> Answer {
    check_parameters(&uri, &[])?;
    world.resources().for_each(|(_, one)| one.clear_scripts());
    done()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    tokens_per_minute: Option<u64>,
    requests_per_minute: Option<u64>,
    slowness: Option<f64>,
    header_style: Option<String>,
    retry_hints: Option<String>,
}

async fn change(State(world): State<World>, Path(name): Path<String>, uri: Uri, body: Bytes) -> Answer {
    let change: Change = read(&body)?;
    let named = parameter(&uri, "resource");
    let simulator = resource(&world, named.as_deref())?;
    check_deployment(simulator, &name)?;
    // All is read before anything is changed.
    let word = |key: &str, error: String| Mistake::bad(format!("{key}: {error}"));
    let style = change.header_style.map(|style| look_up(&HEADER_STYLES, &style));
    let style = style.transpose().map_err(|error| word("header_style", error))?;
    let hints = change.retry_hints.map(|hints| look_up(&RETRY_HINTS, &hints));
    let hints = hints.transpose().map_err(|error| word("retry_hints", error))?;
    if let Some(slowness) = change.slowness
        && !(slowness.is_finite() && slowness >= 0.0)
    {
        return Err(Mistake::bad("slowness: give a factor of at least 0; 1 is the normal speed"));
    }
    let standard = |done: bool, key: &str| match done {
        true => Ok(()),
        false => Err(Mistake::bad(format!("{key}: {name:?} is no standard deployment, and has none"))),
    };
    if let Some(tokens) = change.tokens_per_minute {
        standard(simulator.set_tokens_per_minute(&name, tokens), "tokens_per_minute")?;
    }
    if let Some(requests) = change.requests_per_minute {
        standard(simulator.set_requests_per_minute(&name, requests), "requests_per_minute")?;
    }
    if let Some(slowness) = change.slowness {
        simulator.slow_down(&name, slowness);
    }
    if let Some(style) = style {
        simulator.set_header_style(&name, style);
    }
    if let Some(hints) = hints {
        simulator.set_retry_hints(&name, hints);
    }
    done()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lifetime {
    lifetime_seconds: Option<u64>,
}

async fn issue(State(world): State<World>, body: Bytes) -> Answer {
    let wanted: Lifetime = read(&body)?;
    let issuer = world.issuer();
    let seconds = wanted.lifetime_seconds;
    let lifetime = seconds.map_or_else(|| issuer.token_lifetime(), Duration::from_secs);
    let token = issuer.issue(lifetime);
    Ok(Reply(json!({"access_token": token, "expires_in": lifetime.as_secs()})))
}

async fn revoke(State(world): State<World>, uri: Uri) -> Answer {
    match parameter(&uri, "token") {
        Some(token) if world.issuer().revoke(&token) => {}
        Some(_) => {
            return Err(Mistake::missing("token: this is none that is good; without the parameter all are revoked"));
        }
        None => world.issuer().revoke_all(),
    }
    done()
}

async fn reset(State(world): State<World>) -> Answer {
    world.reset();
    done()
}
