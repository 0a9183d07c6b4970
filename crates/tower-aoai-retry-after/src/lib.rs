//! Try a call to Azure OpenAI again when, and only when, the server says so or physics allows.
//!
//! [`RetryAfterLayer`] stands above any [`tower::Service`](tower_service::Service) that sends [`http::Request`]s, and
//! sends a call that failed for a passing reason once more, when it has a chance:
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tokio::time::Instant;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use tower_aoai_retry_after::{RetryAfterLayer, RetryPolicy};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let start = Instant::now();
//! let server = service_fn(move |_: Request<Full<Bytes>>| async move {
//!     let mut answer = Response::new(Full::<Bytes>::default());
//!     if Instant::now() < start + Duration::from_secs(5) {
//!         *answer.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
//!         answer.headers_mut().insert("retry-after", "5".parse().unwrap());
//!     }
//!     Ok::<_, std::convert::Infallible>(answer)
//! });
//!
//! let retry = RetryAfterLayer::new(RetryPolicy::new().max_attempts(3).no_jitter());
//! let handle = retry.handle();
//! let mut service = ServiceBuilder::new().layer(retry).service(server);
//!
//! let answer = service.ready().await.unwrap().call(Request::default()).await.unwrap();
//! assert_eq!(answer.status(), 200);
//! assert_eq!(Instant::now(), start + Duration::from_secs(5));
//! assert_eq!(handle.snapshot().sends, 2);
//! # }
//! ```
//!
//! Code that is no tower stack has the same waits with [`retry`].
//!
//! # Why so
//!
//! **The server's hint is the truth.** A quota's capacity comes back on a schedule that the server knows and a backoff
//! can only guess. So a hint (`retry-after-ms`, `x-ms-retry-after-ms`, `retry-after`, or the message's words) is
//! waited out in full, counted from when the answer was judged; chance only adds to it. A hint of zero says "again" but
//! not when: obeyed to the letter it makes a storm, so it is backed off from.
//!
//! **A hint is never clipped.** Whoever is told "60 s" and comes back after 30 pays with an attempt, and with quota,
//! for an answer that is known already. A wait that fits not the [cap](RetryPolicy::hint_cap), the deadline or the
//! [patience](RetryPolicy::elapsed_limit) ends the call at once, with the server's own answer, its headers and body
//! untouched: the caller still has the hint, and the time to go elsewhere.
//!
//! **Retries have one owner.** Two layers that send three times each send nine times. The outermost retry layer marks
//! the call's [`CallContext`](tower_aoai_core::CallContext), and retry layers below it pass it through. Retries that
//! are hidden elsewhere, in an HTTP client or an SDK, cannot see the mark: switch them off.
//!
//! **Retries have a budget.** A server that fails every call is not helped by four times the load: every retry that
//! the server did not schedule needs a grant of the [`RetryBudget`](tower_aoai_core::RetryBudget), which is a share of
//! what succeeds plus a floor. A throttled call that comes back at the instant it was told needs none.
//!
//! **Nothing is sent twice once somebody has read its answer**: not after the first content, and not if its request's
//! body can be sent only once ([`Replay`](tower_aoai_core::Replay)), which is said once in the log and counted by the
//! [handle](RetryAfterHandle).
//!
//! # What is tried again
//!
//! | outcome | again | when | grant |
//! |---|---|---|---|
//! | [`Throttled`](tower_aoai_core::Outcome::Throttled) with a hint | yes | the hint, plus [jitter](RetryPolicy::hint_jitter) | no |
//! | [`Throttled`](tower_aoai_core::Outcome::Throttled) without one | yes | [backoff](Backoff) | yes |
//! | [`Transient`](tower_aoai_core::Outcome::Transient) | unless [`RetryOn::Throttled`] | hint, else backoff | yes |
//! | either, and a balancer below knows another endpoint | as above | the instant it names | as above |
//! | [`Misconfigured`](tower_aoai_core::Outcome::Misconfigured) or [`TooLarge`](tower_aoai_core::Outcome::TooLarge), and a balancer below knows another endpoint | unless a [predicate](RetryPolicy::retry_if) decides | the instant it names | yes |
//! | refused by a layer below, [with an instant](tower_aoai_core::Rejected::opens_at) | yes, and it is no attempt | that instant | no |
//! | refused by a layer below without one | no | | |
//! | everything else | with `x-should-retry: true`, or a [predicate](RetryPolicy::retry_if) | backoff | yes |
//!
//! Error bodies of up to 64 KiB are read to their end during the wait, so that their connection can be used again.
//!
//! # Recipes
//!
//! | in wide use | here |
//! |---|---|
//! | 5 sends in all; 1, 2, 4, 8, 16 s, each plus up to 1 s | `max_attempts(5)`, `Backoff::exponential(1 s).cap(60 s).jitter(Jitter::Additive(1 s))` |
//! | waits of up to a tenth more, 60 s at most | `Backoff::exponential(1 s).cap(60 s).jitter(Jitter::Proportional(0.1))`, `hint_jitter(0.1)`, `hint_cap(60 s)` |
//! | 3 retries, 1 s to 30 s, doubling | `max_retries(3)`, `Backoff::exponential(1 s).cap(30 s)` |
//! | openai-python's own (2.54 and later) | [`RetryPolicy::openai_python`], and `budget(None)` to have none as it has none |
//! | async-openai's middleware: 3 retries, 0.1 s doubling to 8 s | `max_retries(3)`, `Backoff::exponential(100 ms).jitter(Jitter::None)` |
//! | the same wait each time | `Backoff::constant(2 s)` |
//! | only 429s, nothing that may have been worked on | `retry_on(RetryOn::Throttled)` |
//! | exact waits, for tests | `no_jitter()`, or the same [`seed`](RetryAfterLayer::seed) |
//! | one call that must not wait | [`RetryPolicy::never`] in its request's extensions |
//! | no retries, the same type | [`RetryAfterLayer::off`] |
//!
//! # Alone, or in a stack
//!
//! Without [`PrepareLayer`](tower_aoai_core::PrepareLayer) above, the call's context is made from the request's head:
//! there is no deadline unless [`DeadlineLayer`](tower_aoai_core::DeadlineLayer) sets one, and a hint of zero cannot be
//! corrected by the size of the prompt.
//!
//! Without [`ObserveLayer`](tower_aoai_core::ObserveLayer) below, an answer is judged by its status and headers alone,
//! by the layer's own [classifier](RetryAfterLayer::classify): an account without credit looks like any other 429, a
//! wait that stands only in a message is not seen, a throttle inside a stream that began with a 200 counts as a
//! success, and every attempt counts as sent.
//!
//! A layer that queues or chooses belongs below, a fallback to another model above. The wait holds nothing of the
//! inner service: each attempt takes its readiness anew.
//!
//! # Neighbours
//!
//! `tower::retry` leaves the decision to a `Policy` and waits for whatever future that returns: hints, deadlines,
//! outcomes and body replay are the policy's to know. It forwards the inner service's readiness, where this layer is
//! always ready and holds nothing while it waits; and its `TpsBudget` may be overdrawn by tasks that ask at once. This
//! layer is what such a policy would have to be for one kind of server.
//!
//! SDKs retry by themselves. In front of this layer, say a gateway built on it, set their `max_retries=0`: they would
//! multiply its attempts. openai-python up to 2.40 ignores hints above 60 s and comes back early, openai-node 6
//! sleeps as long as it is told, and comes back after 5 ms where Azure says `retry-after-ms: 0`.

mod backoff;
mod call;
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
