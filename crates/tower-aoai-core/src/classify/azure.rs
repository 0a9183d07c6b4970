//! Azure OpenAI's answers.

use super::{Classify, HeadVerdict, ResponseHead, StreamError};
use crate::{Call, Error, Outcome, Verdict};

/// Judges as Azure OpenAI answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct AzureClassifier;

impl Classify for AzureClassifier {
    fn head(&self, _call: &Call, head: ResponseHead<'_>) -> HeadVerdict {
        if head.status.is_success() {
            HeadVerdict::Open
        } else {
            HeadVerdict::ReadBody
        }
    }

    fn error_body(&self, _call: &Call, _head: ResponseHead<'_>, _body: &[u8]) -> Verdict {
        Outcome::Refused.into()
    }

    fn stream_error(&self, _: &Call, _: ResponseHead<'_>, _: StreamError<'_>, _: bool) -> Verdict {
        Outcome::Broken.into()
    }

    fn failure(&self, _error: &Error, _after_content: bool) -> Verdict {
        Outcome::Transient { hint: None }.into()
    }
}
