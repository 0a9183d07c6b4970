//! From what came over the wire to an [`Outcome`].

mod azure;

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamError<'a> {
    /// `error.code`, if it was a string or a number.
    pub code: Option<&'a str>,
    /// `error.type`.
    pub kind: Option<&'a str>,
    /// `error.message`.
    pub message: Option<&'a str>,
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
    fn stream_error(
        &self,
        call: &Call,
        head: ResponseHead<'_>,
        error: StreamError<'_>,
        after_content: bool,
    ) -> Verdict;

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
