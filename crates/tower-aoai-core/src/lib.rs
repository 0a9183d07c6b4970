//! What a request to Azure OpenAI and its answer mean.
#![allow(missing_docs)] // lifted when the crate stands

mod attempt;
pub mod attempt_timeout;
mod availability;
mod body;
mod call;
pub mod classify;
mod context;
pub mod deadline;
mod duration;
mod error;
mod generator;
mod guard;
mod headers;
mod hint;
pub mod include_usage;
mod json_scan;
pub mod observe;
mod outcome;
pub mod prepare;
mod quota_headers;
mod rejected;
pub mod rejected_response;
mod retry_budget;
mod served;
mod sse;
mod stream_event;
mod text;
mod timer;
mod usage;

pub use self::{
    attempt::{Attempt, Progress},
    attempt_timeout::{AttemptTimeout, AttemptTimeoutLayer, ConnectTimeout, ConnectTimeoutLayer},
    availability::{Admission, Asked, Availability, Load},
    body::{EditError, Replay, ReplayWith, RequestBody, replay_with, try_clone_request},
    call::{ApiStyle, Call, Operation, Spans},
    classify::{AzureClassifier, Classify},
    context::CallContext,
    deadline::{Deadline, DeadlineLayer},
    error::{BoxError, Error, Timeout},
    generator::Generator,
    guard::{Guard, GuardedBody, GuardedFuture},
    include_usage::{IncludeUsage, IncludeUsageLayer},
    observe::{Observe, ObserveLayer, ObservedBody, Observer},
    outcome::{Hint, HintSource, Outcome, Scope, Verdict},
    prepare::{Prepare, PrepareLayer},
    quota_headers::{QuotaHeaders, QuotaWindow},
    rejected::{Reason, Rejected},
    rejected_response::{RejectedResponse, RejectedResponseLayer},
    retry_budget::{RetryBudget, RetryGrant},
    served::Served,
    usage::Usage,
};

/// What a future of ours says that is polled after it has answered.
const POLLED_AGAIN: &str = "a future was polled after it had answered";
