//! The codes and words by which Azure's errors are told apart, each list in one place.
//!
//! Codes are compared without case and separators (`NoCapacity` is `no_capacity`), words without case.

/// A quota is spent. Captured traffic; `RateLimitReached` is the Foundry's models'.
pub(super) const THROTTLED_CODES: &[&str] =
    &["429", "rate_limit_exceeded", "rate_limit_reached", "rate_limit_error", "too_many_requests"];

/// The same in words, for answers whose status and code do not say so.
pub(super) const THROTTLED_WORDS: &[&str] = &[
    "exceeded rate limit",
    "exceeded token rate limit",
    "exceeded call rate limit",
    "exceeded the token rate limit",
    "exceeded the call rate limit",
    "rate limit is exceeded",
    "rate limit exceeded",
    "too many requests",
];

/// The region has no capacity just now: captured (`no_capacity`, before that `NoCapacity`); the flex tier's
/// `resource_unavailable` is OpenAI's documentation.
pub(super) const CAPACITY_CODES: &[&str] = &["no_capacity", "resource_unavailable"];

/// The same in words: Azure's documentation of its 429s.
pub(super) const CAPACITY_WORDS: &[&str] =
    &["high demand", "temporarily unable", "resource unavailable", "no capacity"];

/// Which quota a 429 means, in words: "have exceeded token rate limit of your current OpenAI S0 pricing tier".
pub(super) const TOKENS_WORDS: &[&str] = &["token rate limit", "tokens per min"];

/// As above, for calls.
pub(super) const REQUESTS_WORDS: &[&str] = &["call rate limit", "request rate limit", "requests per min"];

/// One request above the whole quota, as OpenAI says it; Azure says it by a wait of a day.
pub(super) const TOO_LARGE_WORDS: &[&str] = &["request too large for"];

/// The account has no credit: OpenAI's documentation.
pub(super) const ACCOUNT_CODES: &[&str] = &["insufficient_quota"];

/// The content filter. Azure's documentation; the second is the inner error's code, the third that of images.
pub(super) const CONTENT_FILTER_CODES: &[&str] =
    &["content_filter", "responsible_ai_policy_violation", "content_policy_violation"];

/// The same in words.
pub(super) const CONTENT_FILTER_WORDS: &[&str] = &["content management policy", "ResponsibleAIPolicyViolation"];

/// The prompt is too long for the model.
pub(super) const CONTEXT_LENGTH_CODES: &[&str] = &["context_length_exceeded"];

/// The same in words: "This model's maximum context length is 128000 tokens". The words with which a provisioned
/// deployment refuses more than 128K tokens are not known; those behind the first are likely ones.
pub(super) const CONTEXT_LENGTH_WORDS: &[&str] =
    &["maximum context length", "context_length_exceeded", "context window", "prompt is too long", "input is too long"];

/// The deployment, or the model, is not there.
pub(super) const NO_DEPLOYMENT_CODES: &[&str] = &["DeploymentNotFound", "model_not_found"];

/// The same in words: the classic answer, and the one that arrives inside a stream.
pub(super) const NO_DEPLOYMENT_WORDS: &[&str] =
    &["could not find an existing deployment", "API deployment for this resource does not exist"];

/// A wrong path or api-version, with a 404.
pub(super) const NO_ROUTE_CODES: &[&str] = &["404"];

/// The same in words.
pub(super) const NO_ROUTE_WORDS: &[&str] = &["resource not found"];

/// Codes that name no mistake of their own.
pub(super) const BLANK_CODES: &[&str] = &["400", "BadRequest", "invalid_request_error"];

/// The caller's own mistake, as a stream's error types it.
pub(super) const CALLER_TYPES: &[&str] = &["invalid_request_error"];
