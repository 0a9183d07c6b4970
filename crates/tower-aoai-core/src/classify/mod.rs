//! From what came over the wire to an [`Outcome`].
//!
//! How [`AzureClassifier`] judges; the first row that applies counts, and codes are the error's `code`, `type` or
//! `innererror.code`, compared without case and underscores:
//!
//! | answer | outcome |
//! |---|---|
//! | 1xx, 2xx that ends well | [`Success`](Outcome::Success) |
//! | 3xx, 401, 402, 407 | [`Misconfigured`](Outcome::Misconfigured): inference is not redirected, the address or credential is wrong |
//! | 499 | [`Cancelled`](Outcome::Cancelled) |
//! | `insufficient_quota` | [`Misconfigured`](Outcome::Misconfigured), never the same endpoint again; another account may serve |
//! | `content_filter`, `ResponsibleAIPolicyViolation`, a `content_filters` entry that blocks | [`Refused`](Outcome::Refused) |
//! | `context_length_exceeded`; a 400 that says so; a 400 without a code, from a provisioned deployment, to a prompt above 128K tokens | [`ContextLength`](Outcome::ContextLength) |
//! | `DeploymentNotFound`, `model_not_found`, "Could not find an existing deployment" | [`Misconfigured`](Outcome::Misconfigured) |
//! | 429, or any other status whose code or words are those of a rate limit, with a wait of a day or more | [`TooLarge`](Outcome::TooLarge) |
//! | the same without | [`Throttled`](Outcome::Throttled) |
//! | 403 | [`Misconfigured`](Outcome::Misconfigured): firewall, missing role, blocked resource |
//! | 404 of a route ("Resource not found"), without a readable error, or to chat, completions and embeddings | [`Misconfigured`](Outcome::Misconfigured) |
//! | any other 404: a response or file that the caller named | [`Refused`](Outcome::Refused) |
//! | 408, 409, 424, 5xx | [`Transient`](Outcome::Transient) |
//! | any other 4xx | [`Refused`](Outcome::Refused) |
//!
//! An error inside a stream before its first content is judged by the same rows, as if its code, where it is a
//! number, had been the status; without one `invalid_request_error` counts as a 400, everything else as a 500. After
//! the first content it is [`Broken`](Outcome::Broken), but for the content filter's, which is
//! [`Refused`](Outcome::Refused).
//!
//! | failure | before content | after content |
//! |---|---|---|
//! | the deadline passed | [`Cancelled`](Outcome::Cancelled) | [`Cancelled`](Outcome::Cancelled) |
//! | any other time limit, transport | [`Transient`](Outcome::Transient) | [`Broken`](Outcome::Broken) |
//! | refused here: queue, quota, start-by, deadline, circuit open, no endpoint, no credential, shutting down | [`Throttled`](Outcome::Throttled) without a hint | [`Cancelled`](Outcome::Cancelled) |
//! | refused here: too large, context length | as they are called | |
//! | refused here: body too large, budget spent, unsupported | [`Refused`](Outcome::Refused) | |
//!
//! Where a 429's hint is 0 it is corrected: to the longest of the other hints and the time until the call's
//! estimated tokens fit by the quota headers ([`QuotaWindow::time_until`](crate::QuotaWindow::time_until)). With
//! neither, there is no hint, and backoff decides.

mod azure;
mod error_body;
mod failure;
mod scalar;
mod status;
#[cfg(test)]
mod tests;
mod throttle;
mod words;

use std::fmt;

use http::{HeaderMap, StatusCode};

pub use self::azure::AzureClassifier;
use crate::{Call, Error, Outcome, Verdict};

/// The status and headers of a response.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: &'a HeaderMap,
}

impl ResponseHead<'_> {
    /// The header `x-should-retry`, if it is `true` or `false`.
    ///
    /// OpenAI's client libraries obey it; it has not been seen in traffic captured from Azure.
    #[must_use]
    pub fn should_retry(&self) -> Option<bool> {
        crate::hint::should_retry(self.headers)
    }

    /// The provisioned deployment from which Azure itself has spilled the call to the standard one that answers; `None`
    /// where it has not.
    ///
    /// That is what the header `x-ms-spillover-from-deployment` says (Azure's documentation); the name is empty where
    /// nothing but `x-ms-is-spilled-over: true` says so, which other clients know. An answer with `x-ms-spillover-error`
    /// is the provisioned deployment's own: the standard one has failed, too.
    ///
    /// Quota headers and usage of such an answer are the standard deployment's: they say nothing of the provisioned
    /// one, which has refused the call and charged nothing for it.
    #[must_use]
    pub fn spilled_from(&self) -> Option<&str> {
        crate::headers::spilled_from(self.headers)
    }

    /// Whether the body is a stream of events, compressed or not.
    #[must_use]
    pub fn is_event_stream(&self) -> bool {
        crate::headers::is_event_stream(self.headers)
    }
}

/// What the head of a response says of its outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HeadVerdict {
    /// Everything: the body does not matter.
    Known(Verdict),
    /// An error whose meaning is in its body.
    ReadBody,
    /// A success so far; the end of the body decides.
    Open,
}

/// An error that came inside a stream whose head was a 200.
///
/// Its `Debug` leaves the message out: it may quote a prompt.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamError<'a> {
    /// `error.code`, if it was a string or a number.
    pub code: Option<&'a str>,
    /// `error.type`.
    pub kind: Option<&'a str>,
    /// `error.message`.
    pub message: Option<&'a str>,
}

impl fmt::Debug for StreamError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamError").field("code", &self.code).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Says what the result of an attempt means.
///
/// [`AzureClassifier`] is the default; implement it to see some answers otherwise, and hand the rest to the default.
/// It is asked in two phases: for the head, then, where the head left it open, for the body's error or its end.
pub trait Classify: fmt::Debug + Send + Sync {
    /// What the head of a response says.
    fn head(&self, call: &Call, head: ResponseHead<'_>) -> HeadVerdict;

    /// What an error answer means. `body` is its beginning, at most 64 KiB, and empty where nobody read it.
    fn error_body(&self, call: &Call, head: ResponseHead<'_>, body: &[u8]) -> Verdict;

    /// What an error inside a stream means; `after_content` if content was handed on before it.
    fn stream_error(&self, call: &Call, head: ResponseHead<'_>, error: StreamError<'_>, after_content: bool)
    -> Verdict;

    /// What a failure without a (whole) answer means: transport errors, time limits, refusals.
    fn failure(&self, error: &Error, after_content: bool) -> Verdict;
}

/// What a response means to a layer that sees nothing but its head.
#[must_use]
pub fn judge_head(classify: &dyn Classify, call: &Call, head: ResponseHead<'_>) -> Verdict {
    match classify.head(call, head) {
        HeadVerdict::Known(verdict) => verdict,
        HeadVerdict::ReadBody => classify.error_body(call, head, b""),
        HeadVerdict::Open => Outcome::Success.into(),
    }
}
