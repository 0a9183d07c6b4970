//! Try a call to Azure OpenAI again when, and only when, the server says so or physics allows.
#![allow(missing_docs)]
mod backoff;
mod drain;
mod future;
mod handle;
mod hook;
mod layer;
mod operation;
mod pause;
mod policy;
mod service;
mod session;

pub use self::{
    backoff::{Backoff, Jitter},
    future::ResponseFuture,
    handle::{RetryAfterHandle, RetryCounts},
    hook::RetryEvent,
    layer::RetryAfterLayer,
    operation::{ClassifyError, EveryErrorIsTransient, OperationFuture, RetryOperation, retry},
    policy::{RetryOn, RetryPolicy},
    service::RetryAfter,
    session::RetryReason,
};
