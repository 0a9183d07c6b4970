//! What a request to Azure OpenAI and its answer mean.
#![allow(missing_docs)] // lifted when the crate stands

mod attempt;
mod availability;
mod body;
mod call;
pub mod classify;
mod context;
mod error;
mod generator;
mod outcome;
mod rejected;
mod served;
mod usage;

pub use self::{
    attempt::{Attempt, Progress},
    availability::{Admission, Asked, Availability, Load},
    body::{Replay, RequestBody},
    call::{ApiStyle, Call, Operation, Spans},
    classify::{AzureClassifier, Classify},
    context::CallContext,
    error::{BoxError, Error, Timeout},
    generator::Generator,
    outcome::{Hint, HintSource, Outcome, Scope, Verdict},
    rejected::{Reason, Rejected},
    served::Served,
    usage::Usage,
};
