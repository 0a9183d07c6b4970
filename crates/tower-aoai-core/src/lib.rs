//! What a request to Azure OpenAI and its answer *mean*: the words, bodies and small layers under all other layers of
//! `tower-aoai`. No policy.
//!
//! A 429 is not a 500, a 200 may be a 429, `retry-after-ms: 0` does not mean "now", and what a stream has cost stands in
//! its last event or nowhere. A layer that retries, balances, queues or counts money has to know all of that, and two of
//! them that know it differently are worse than none. So it is said once, here:
//!
//! - what is asked: [`Call`], read in one pass from address and body, with the places of what may be rewritten;
//! - what came of it: [`Outcome`], by [`Classify`] and its default [`AzureClassifier`]; [`Hint`], [`QuotaHeaders`],
//!   [`Usage`];
//! - what travels with a call: [`CallContext`], with an [`Attempt`] for each send, and [`Served`] on the way back;
//! - why there is no answer: the one [`Error`] of every layer, and [`Rejected`] where a layer said no without asking;
//! - bodies: [`RequestBody`], rewritten without a copy, and [`Replay`] for what can be sent again;
//! - what layers are made of: [`GuardedFuture`] and [`GuardedBody`], [`Availability`], [`RetryBudget`], [`Generator`];
//! - six layers that decide nothing but belong to everyone.
//!
//! # The words
//!
//! | word | meaning |
//! |---|---|
//! | call | one request of the caller, from the door to the last byte of the answer |
//! | attempt | one send of a call to one endpoint; what is refused here is no attempt |
//! | endpoint | one deployment behind one address, with one credential and one quota |
//! | leg | one alternative of a fallback, with a stack of its own |
//! | outcome | what the result of an attempt means |
//! | hint | how long the server asks to wait |
//! | deadline | the instant by which the caller wants the whole answer |
//! | start-by | the latest useful start *here*: a layer that waits refuses at or before it |
//! | rejected | refused here, with nothing sent |
//!
//! Words of the wire keep Azure's spelling: deployment, api-version, `retry-after-ms`.
//!
//! # The way of a call
//!
//! ```text
//!    request                                                            response
//!       │                                                                  ▲
//!  RejectedResponse                      a refusal becomes an answer in OpenAI's shape
//!    Prepare     body in memory, Call, CallContext                 Served: who answered
//!    Deadline    one absolute instant for all below              the body ends in time, too
//!       │                                                                  │
//!       ┊        retry, balance, breaker, quota: other crates              ┊
//!       │                                                                  │
//!  IncludeUsage  asks a stream for its usage                               │
//!    Observe     the send is stamped                   verdict, usage, content, end; the
//!       │                                              head of a stream held; what was
//!       │                                              asked for in addition taken out
//! AttemptTimeout first byte, first token, idle, total                      │
//!       ▼                                                                  │
//!   transport    ConnectTimeout goes around its connector                  │
//! ```
//!
//! What goes *down* is a plain value in the [`CallContext`], an extension of the request: what a layer sets is seen
//! below it and nowhere else. What comes *up* is written into one shared record, by one hand, [`ObserveLayer`]; every
//! layer above reads the same verdict.
//!
//! Why in this order:
//!
//! - [`PrepareLayer`] first, for a body that arrives as a stream can be neither read, nor rewritten, nor sent again.
//! - [`DeadlineLayer`] above whoever waits, so that they can refuse what they cannot keep.
//! - [`IncludeUsageLayer`] below the choice of an endpoint, for not every api-version knows the parameter, and above
//!   [`ObserveLayer`], which takes the extra event out again.
//! - [`AttemptTimeoutLayer`] *below* [`ObserveLayer`], so that a limit that ran out is judged like any other failure, and
//!   not taken for a caller who left.
//!
//! Each works alone, too, on any `Service<http::Request<B>>`: a layer that finds no context makes one from the request's
//! head, and says in its documentation what it then cannot know. None boxes a future or a body, spawns, or holds anything
//! that dropping its future or body does not give back.
//!
//! # Example
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_aoai_core::{
//!     AttemptTimeoutLayer, Call, CallContext, DeadlineLayer, Error, IncludeUsageLayer, ObserveLayer, Outcome,
//!     PrepareLayer, RequestBody,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! // What Azure sends above the quota, now and then: a 200.
//! let transport = service_fn(|_: Request<RequestBody>| async {
//!     let events = "data: {\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"Too Many Requests\"}}\n\n";
//!     let response = Response::builder().header("content-type", "text/event-stream").header("retry-after", "7");
//!     Ok::<_, Infallible>(response.body(Full::<Bytes>::from(events)).unwrap())
//! });
//! let service = ServiceBuilder::new()
//!     .layer(PrepareLayer::new())
//!     .layer(DeadlineLayer::new(Duration::from_secs(120)))
//!     .layer(IncludeUsageLayer::new())
//!     .layer(ObserveLayer::new())
//!     .layer(AttemptTimeoutLayer::new().first_byte(Duration::from_secs(60)).idle(Duration::from_secs(30)))
//!     .service(transport);
//!
//! let context = CallContext::new(Call::default(), tokio::time::Instant::now());
//! let request = Request::post("https://r.openai.azure.com/openai/deployments/fast/chat/completions")
//!     .extension(context.clone())
//!     .body(Full::<Bytes>::from(r#"{"messages":[],"stream":true}"#))
//!     .unwrap();
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.status(), 200);
//!
//! let attempts = context.attempts();
//! let Some(Outcome::Throttled { hint: Some(hint), .. }) = attempts[0].verdict().map(|verdict| verdict.outcome) else {
//!     panic!("it was a 429 all the same");
//! };
//! assert_eq!(hint.after, Duration::from_secs(7));
//! # response.into_body().collect().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! No input from outside makes it panic: headers, bodies and streams are read for what they say, and what cannot be read
//! says nothing. Nothing is held without a bound. Keys, prompts and answers are in no `Debug`, no log and no error of
//! this crate. Time is [`tokio::time::Instant`], so that tests can pause it.

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
mod json_object;
mod json_scan;
mod model_name;
mod news;
pub mod observe;
mod outcome;
pub mod prepare;
mod quota_headers;
mod rejected;
pub mod rejected_response;
mod retry_budget;
mod sending;
mod served;
mod spare;
mod sse;
mod standing;
mod stream_event;
mod text;
mod timer;
mod usage;

pub use self::{
    attempt::{Attempt, AttemptState, Progress},
    attempt_timeout::{AttemptTimeout, AttemptTimeoutLayer, ConnectTimeout, ConnectTimeoutLayer},
    availability::{Admission, Asked, Availability, Load},
    body::{EditError, Replay, ReplayWith, RequestBody, replay_with, try_clone_request},
    call::{Address, ApiStyle, Call, Operation, Spans},
    classify::{AzureClassifier, Classify},
    context::CallContext,
    deadline::{Deadline, DeadlineLayer},
    duration::{later, parse_duration},
    error::{BoxError, Error, Timeout},
    generator::Generator,
    guard::{Guard, GuardedBody, GuardedFuture},
    include_usage::{IncludeUsage, IncludeUsageLayer},
    model_name::model_names,
    news::{Listener, News},
    observe::{Observe, ObserveLayer, ObservedBody, Observer},
    outcome::{Hint, HintSource, Outcome, Scope, Verdict},
    prepare::{Prepare, PrepareLayer},
    quota_headers::{QuotaHeaders, QuotaWindow},
    rejected::{ContextLength, Reason, Rejected},
    rejected_response::{RejectedResponse, RejectedResponseLayer},
    retry_budget::{RetryBudget, RetryGrant},
    sending::Sending,
    served::{FailedLeg, LegFailure, Served},
    spare::Spare,
    standing::{Priority, Tenant},
    usage::Usage,
};

/// What a future of ours says that is polled after it has answered.
const POLLED_AGAIN: &str = "a future was polled after it had answered";
