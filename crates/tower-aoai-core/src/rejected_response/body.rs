//! The answer itself.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project::pin_project;
use serde::Serialize;
use tokio::time::Instant;

use crate::{BoxError, Error, Reason, Rejected, Timeout};

/// The inner service's body, or that of an answer made here.
///
/// # Errors
///
/// The inner body's, flattened ([`Error::flatten`]).
#[pin_project]
#[derive(Debug)]
#[must_use = "a body does nothing unless polled"]
pub struct ResponseBody<B> {
    #[pin]
    kind: Kind<B>,
}

#[pin_project(project = KindProj)]
#[derive(Debug)]
enum Kind<B> {
    Inner(#[pin] B),
    Local(#[pin] Full<Bytes>),
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Message<'a>,
}

#[derive(Serialize)]
struct Message<'a> {
    message: String,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'a str>,
    code: &'a str,
}

/// The error in OpenAI's shape, with the wait in both of the headers that SDKs read.
pub(super) fn response<B>(error: &Error, now: Instant) -> Response<ResponseBody<B>> {
    let status = error.status();
    let (message, param) = match error.rejected().and_then(Rejected::context_length) {
        // To the letter what Azure says: programs read the numbers out of it.
        Some(lengths) => (lengths.to_string(), Some("messages")),
        None => (error.to_string(), None),
    };
    let envelope = Envelope { error: Message { message, kind: error_type(status), param, code: code(error) } };
    let body = serde_json::to_vec(&envelope).unwrap_or_default();
    let mut response = Response::new(ResponseBody { kind: Kind::Local(Full::new(Bytes::from(body))) });
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    match error.rejected().and_then(Rejected::opens_at) {
        Some(at) => hint(headers, at.saturating_duration_since(now)),
        None if !is_worth_retrying(error) => {
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        None => {}
    }
    response
}

/// Rounded up: an SDK that obeys must not come back early. Never 0, which SDKs take for "no hint" or "at once".
fn hint(headers: &mut HeaderMap, wait: std::time::Duration) {
    let millis = wait.as_nanos().div_ceil(1_000_000).clamp(1, u128::from(u64::MAX));
    let millis = u64::try_from(millis).unwrap_or(u64::MAX);
    headers.insert("retry-after-ms", HeaderValue::from(millis));
    headers.insert(header::RETRY_AFTER, HeaderValue::from(millis.div_ceil(1000)));
}

/// Whether the same call may succeed later; a deadline is the caller's own.
const fn is_worth_retrying(error: &Error) -> bool {
    match error {
        Error::Rejected(rejected) => matches!(
            rejected.reason(),
            Reason::QueueFull
                | Reason::QuotaSpent
                | Reason::StartBy
                | Reason::CircuitOpen
                | Reason::NoEndpoint
                | Reason::NoCredential
                | Reason::ShuttingDown
        ),
        Error::Timeout(timeout) => !matches!(timeout, Timeout::Deadline),
        Error::Transport(_) => true,
    }
}

/// The `error.type` that goes with a status in an error of OpenAI's shape: `too_many_requests` for 429,
/// `invalid_request_error` for every other 4xx, else `server_error`.
#[must_use]
pub fn error_type(status: StatusCode) -> &'static str {
    match status {
        StatusCode::TOO_MANY_REQUESTS => "too_many_requests",
        status if status.is_client_error() => "invalid_request_error",
        _ => "server_error",
    }
}

fn code(error: &Error) -> &'static str {
    match error {
        Error::Rejected(rejected) => rejected.reason().code(),
        Error::Timeout(_) => "timeout",
        Error::Transport(_) => "bad_gateway",
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn inner(body: B) -> Self {
        Self { kind: Kind::Inner(body) }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.project().kind.project() {
            KindProj::Inner(body) => body.poll_frame(cx).map_err(Error::flatten),
            KindProj::Local(body) => body.poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner(body) => body.is_end_stream(),
            Kind::Local(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner(body) => body.size_hint(),
            Kind::Local(body) => body.size_hint(),
        }
    }
}
