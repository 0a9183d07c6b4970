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
mod error;
mod generator;
mod guard;
mod outcome;
mod rejected;
pub mod rejected_response;
mod retry_budget;
mod served;
mod usage;

pub use self::{
    attempt::{Attempt, Progress},
    attempt_timeout::{AttemptTimeout, AttemptTimeoutLayer, ConnectTimeout, ConnectTimeoutLayer},
    availability::{Admission, Asked, Availability, Load},
    body::{Replay, RequestBody},
    call::{ApiStyle, Call, Operation, Spans},
    classify::{AzureClassifier, Classify},
    context::CallContext,
    deadline::{Deadline, DeadlineLayer},
    error::{BoxError, Error, Timeout},
    generator::Generator,
    guard::{Guard, GuardedBody, GuardedFuture},
    outcome::{Hint, HintSource, Outcome, Scope, Verdict},
    rejected::{Reason, Rejected},
    rejected_response::{RejectedResponse, RejectedResponseLayer},
    retry_budget::{RetryBudget, RetryGrant},
    served::Served,
    usage::Usage,
};
