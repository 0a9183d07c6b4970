//! Azure OpenAI's answers.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};

use super::{
    Classify, HeadVerdict, ResponseHead, StreamError,
    error_body::ErrorBody,
    failure,
    status::{by_status, not_found, status_of},
    throttle::{self, is_throttle},
    words,
};
use crate::{Call, Error, Hint, Outcome, QuotaHeaders, Verdict, hint, text::same_code};

/// The wait by which Azure says that one request never fits (captured: "Please retry after 86400 seconds").
const NEVER_FITS: Duration = Duration::from_secs(86_400);

/// The window of the token quota: it is given per minute.
const WINDOW: Duration = Duration::from_secs(60);

/// The longest prompt, in tokens, that provisioned deployments of some models take (Azure's documentation).
const PROVISIONED_PROMPT: usize = 128_000;

/// The least of a prompt, in bytes for a token, as [`Call::estimated_tokens`] has it.
const BYTES_PER_TOKEN: usize = 4;

/// Judges as Azure OpenAI answers; the table is in the [module's documentation](super).
///
/// What can be set is what is not known for certain of Azure; the defaults are the best reading of its documentation
/// and of captured traffic.
///
/// ```
/// use http::{HeaderMap, HeaderValue, StatusCode};
/// use tower_aoai_core::{
///     AzureClassifier, Call, Classify, HintSource, Outcome, Scope, classify::ResponseHead,
/// };
///
/// let mut headers = HeaderMap::new();
/// headers.insert("retry-after-ms", HeaderValue::from_static("8432"));
/// headers.insert("x-ratelimit-type", HeaderValue::from_static("Tokens"));
/// let head = ResponseHead { status: StatusCode::TOO_MANY_REQUESTS, headers: &headers };
///
/// let verdict = AzureClassifier::new().error_body(&Call::default(), head, b"");
/// let Outcome::Throttled { hint: Some(hint), scope } = verdict.outcome else {
///     panic!("a 429 is a throttle");
/// };
/// assert_eq!(scope, Scope::Tokens);
/// assert_eq!(hint.after.as_millis(), 8_432);
/// assert_eq!(hint.source, HintSource::RetryAfterMs);
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct AzureClassifier {
    never_fits: Duration,
    window: Duration,
    infer_provisioned: bool,
    context_length_words: &'static [&'static str],
    wall_clock: fn() -> SystemTime,
}

impl AzureClassifier {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            never_fits: NEVER_FITS,
            window: WINDOW,
            infer_provisioned: true,
            context_length_words: &[],
            wall_clock: SystemTime::now,
        }
    }

    /// The shortest wait that, with a 429, means [`Outcome::TooLarge`]. Default: 86,400 s.
    pub const fn never_fits(mut self, wait: Duration) -> Self {
        self.never_fits = wait;
        self
    }

    /// The window over which a spent quota is taken to flow back, where the server's hint of 0 has to be corrected;
    /// also the longest wait that is computed so. Default: 60 s.
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Whether a 429 with `retry-after-ms` and `x-ms-deployment-name`, but without quota headers, is taken for a
    /// provisioned deployment's even if it does not tell its utilisation. Default: yes.
    pub const fn infer_provisioned(mut self, infer: bool) -> Self {
        self.infer_provisioned = infer;
        self
    }

    /// More words of a 400 that mean [`Outcome::ContextLength`]; ASCII case does not matter. Default: none.
    ///
    /// How a provisioned deployment words its refusal of more than 128K tokens is not known.
    pub const fn context_length_words(mut self, words: &'static [&'static str]) -> Self {
        self.context_length_words = words;
        self
    }

    /// The clock for a `retry-after` date in a response without a `date`. Default: [`SystemTime::now`].
    pub const fn wall_clock(mut self, clock: fn() -> SystemTime) -> Self {
        self.wall_clock = clock;
        self
    }

    fn judge(&self, call: &Call, status: StatusCode, headers: &HeaderMap, error: &ErrorBody<'_>) -> Verdict {
        let should_retry = hint::should_retry(headers);
        if error.is_coded(words::ACCOUNT_CODES) {
            return Verdict {
                outcome: Outcome::Misconfigured,
                should_retry: should_retry.filter(|should| !should), // never, whoever says so
            };
        }
        Verdict { outcome: self.outcome(call, status, headers, error), should_retry }
    }

    fn outcome(&self, call: &Call, status: StatusCode, headers: &HeaderMap, error: &ErrorBody<'_>) -> Outcome {
        if is_content_filter(error) {
            Outcome::Refused
        } else if self.is_context_length(call, status, headers, error) {
            Outcome::ContextLength
        } else if is_no_deployment(error) {
            Outcome::Misconfigured
        } else if status == StatusCode::TOO_MANY_REQUESTS || is_throttle(error) {
            self.throttled(call, headers, error)
        } else {
            match status.as_u16() {
                404 => not_found(call, error),
                408 | 409 | 424 | 500..=599 => Outcome::Transient { hint: self.hint(headers, error) },
                403 => Outcome::Misconfigured,
                status => by_status(status).unwrap_or(Outcome::Refused),
            }
        }
    }

    fn throttled(&self, call: &Call, headers: &HeaderMap, error: &ErrorBody<'_>) -> Outcome {
        let now = (self.wall_clock)();
        let hints = || throttle::hints(headers, error, now);
        let never = hints().any(|hint| hint.after >= self.never_fits);
        if never || error.says(words::TOO_LARGE_WORDS) {
            return Outcome::TooLarge;
        }
        let quota = QuotaHeaders::read(headers);
        let scope = throttle::scope(headers, &quota, error, self.infer_provisioned);
        let hint = throttle::corrected(hints(), || throttle::until_it_fits(call, &quota, scope, self.window));
        Outcome::Throttled { hint, scope }
    }

    /// For what is no throttle; a zero says no more than no hint does.
    fn hint(&self, headers: &HeaderMap, error: &ErrorBody<'_>) -> Option<Hint> {
        let hints = throttle::hints(headers, error, (self.wall_clock)());
        throttle::corrected(hints, || None)
    }

    /// By code or words; or by the length of the prompt, where a provisioned deployment's 400 names no mistake.
    fn is_context_length(&self, call: &Call, status: StatusCode, headers: &HeaderMap, error: &ErrorBody<'_>) -> bool {
        if error.is_coded(words::CONTEXT_LENGTH_CODES) {
            return true;
        }
        if !matches!(status.as_u16(), 400 | 413 | 422) {
            return false;
        }
        let is_blank = [&error.code, &error.kind]
            .into_iter()
            .flatten()
            .all(|code| words::BLANK_CODES.iter().any(|blank| same_code(code, blank)));
        error.says(words::CONTEXT_LENGTH_WORDS)
            || error.says(self.context_length_words)
            || (is_blank
                && call.prompt_bytes > PROVISIONED_PROMPT * BYTES_PER_TOKEN
                && QuotaHeaders::read(headers).utilization.is_some())
    }
}

impl Default for AzureClassifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Classify for AzureClassifier {
    fn head(&self, _call: &Call, head: ResponseHead<'_>) -> HeadVerdict {
        match by_status(head.status.as_u16()) {
            Some(outcome) => HeadVerdict::Known(Verdict { outcome, should_retry: hint::should_retry(head.headers) }),
            None if head.status.is_success() => HeadVerdict::Open,
            None => HeadVerdict::ReadBody,
        }
    }

    fn error_body(&self, call: &Call, head: ResponseHead<'_>, body: &[u8]) -> Verdict {
        match self.head(call, head) {
            HeadVerdict::Known(verdict) => verdict,
            HeadVerdict::ReadBody | HeadVerdict::Open => {
                self.judge(call, head.status, head.headers, &ErrorBody::read(body))
            }
        }
    }

    fn stream_error(
        &self,
        call: &Call,
        head: ResponseHead<'_>,
        error: StreamError<'_>,
        after_content: bool,
    ) -> Verdict {
        let error = ErrorBody::from(error);
        if !after_content {
            return self.judge(call, status_of(&error), head.headers, &error);
        }
        if is_content_filter(&error) { Outcome::Refused.into() } else { Outcome::Broken.into() }
    }

    fn failure(&self, error: &Error, after_content: bool) -> Verdict {
        failure::judge(error, after_content).into()
    }
}

fn is_content_filter(error: &ErrorBody<'_>) -> bool {
    error.blocked || error.is_coded(words::CONTENT_FILTER_CODES) || error.says(words::CONTENT_FILTER_WORDS)
}

fn is_no_deployment(error: &ErrorBody<'_>) -> bool {
    error.is_coded(words::NO_DEPLOYMENT_CODES) || error.says(words::NO_DEPLOYMENT_WORDS)
}
