//! Many requests through one service, as a stream of their results.
//!
//! Who has a hundred thousand prompts wants to keep a quota busy, not to exceed it, to see how far things are, and not
//! to lose the day's work to the one prompt that the content filter refuses. [`batch`] sends requests through any
//! [`tower::Service`](tower_service::Service), so many at a time, and hands on every result with the request's index:
//!
//! ```
//! use bytes::Bytes;
//! use futures_util::StreamExt;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::service_fn;
//! use tower_aoai::batch::batch;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let service = service_fn(|request: Request<Full<Bytes>>| async move {
//!     if request.uri().path() == "/2" { Err("reset") } else { Ok(Response::new(request.into_body())) }
//! });
//! let requests = (0..5).map(|n| Request::post(format!("/{n}")).body(Full::<Bytes>::default()).unwrap());
//!
//! let mut results = batch(service, requests).concurrency(3).ordered().run();
//! let handle = results.handle();
//! while let Some((index, result)) = results.next().await {
//!     assert_eq!(result.is_err(), index == 2);
//! }
//! let progress = handle.snapshot();
//! assert_eq!((progress.answered, progress.failed, progress.total), (4, 1, Some(5)));
//! # }
//! ```
//!
//! # How fast
//!
//! | | |
//! |---|---|
//! | [`concurrency`](BatchBuilder::concurrency) | so many at a time, the next one as soon as one has ended; the default, with [`DEFAULT_CONCURRENCY`] |
//! | [`groups`](BatchBuilder::groups) | so many, then, when all of them have ended, a pause |
//!
//! Behind a `TokenBucketLayer` the pace is the bucket's affair, and the
//! concurrency only has to be large enough that somebody always waits there. The pauses are for services without one.
//! For a queue of the stack, each request says that it is batch work: its
//! [`priority`](tower_aoai_core::CallContext::priority) is [`BATCH_PRIORITY`], and, with the feature `fallback`, its
//! patience is unlimited, unless the request says something else itself.
//!
//! # When a slot is free again
//!
//! When the service has answered, which is at the **head** of the response: then the caller decides what becomes of the
//! body, and nothing is held in memory. Who hands bodies on unread has more of them open than slots. With
//! [`collect_bodies`](BatchBuilder::collect_bodies) the slot is free when the body has **ended**, and the results have
//! [`Bytes`](bytes::Bytes) for bodies, up to a limit each: what most want whose answers are not streamed.
//!
//! # What fails
//!
//! A request, never the batch. Each has a result of its own, and the others go on, unless
//! [`stop_after`](BatchBuilder::stop_after) says otherwise. A response with a status other than 2xx is counted as
//! failed and handed on as the response that it is.
//!
//! # Time, memory and cancellation
//!
//! Nothing is spawned: the batch proceeds while its stream is polled, and only then, on the task that polls it. Who
//! works long on each result does that elsewhere. Requests are taken from their iterator or stream when there is room
//! for them: at most one is read ahead. In order of the requests, at most twice as many as are sent at a time are begun
//! ahead of the first that has not ended, and their results kept. Dropping the stream drops what is in flight; nothing
//! runs on.
//!
//! # Its neighbours
//!
//! `tower::ServiceExt::call_all` sends as many as the service is ready for, ends at the first error, and numbers
//! nothing. `StreamExt::buffered` and `buffer_unordered` limit futures, but know neither readiness nor pauses, and tell
//! of no progress. Azure's own batch API is cheaper and answers within a day; this is for answers within minutes.

mod builder;
mod collect_bodies;
mod order;
mod pace;
mod progress;
mod requests;
mod stream;

pub use self::{
    builder::{BATCH_PRIORITY, BatchBuilder, DEFAULT_CONCURRENCY, batch, batch_stream},
    collect_bodies::{BodyLimitExceeded, CollectBodies, CollectBodiesFuture},
    progress::{BatchHandle, Progress},
    requests::FromIter,
    stream::Batch,
};
