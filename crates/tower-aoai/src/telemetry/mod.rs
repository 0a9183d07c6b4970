//! What became of calls and attempts, for those who watch: records, spans, and a line in the log.
//!
//! A service that calls Azure OpenAI through layers that wait, retry and go elsewhere is well for as long as one looks
//! at it from above, and yet may be waiting for most of its time, or be served by the endpoint that was meant for
//! emergencies. Nobody sees it: a trace of the whole shows one long call, a trace of the transport shows many short ones,
//! and neither shows that they belong together, or why there are so many. Two layers know both sides:
//!
//! - [`CallTelemetryLayer`], at the door, tells of each **call**: how it ended, who served it, what it waited for, what it
//!   used and cost;
//! - [`AttemptTelemetryLayer`], at each endpoint, tells of each **attempt**: what was sent where, why again, what it came
//!   to and how fast.
//!
//! Both tell of it exactly once, when it has ended: with the last byte of its answer, an error, a refusal, or when its
//! future or body is dropped at whatever point.
//!
//! ```
//! use std::sync::{Arc, atomic::{AtomicU32, Ordering::Relaxed}};
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_aoai::core::{Error, ObserveLayer, PrepareLayer, RequestBody};
//! use tower_aoai::telemetry::{
//!     AttemptRecord, AttemptTelemetryLayer, CallEnding, CallRecord, CallTelemetryLayer, Recorder,
//! };
//!
//! #[derive(Debug, Default)]
//! struct Tokens(AtomicU32);
//!
//! impl Recorder for Tokens {
//!     fn call(&self, record: &CallRecord) {
//!         assert_eq!(record.ending, CallEnding::Answered);
//!     }
//!     fn attempt(&self, record: &AttemptRecord) {
//!         assert_eq!(&*record.endpoint, "eastus");
//!         self.0.fetch_add(record.usage.map_or(0, |usage| usage.total() as u32), Relaxed);
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let transport = service_fn(|_: Request<RequestBody>| async {
//!     let answer = r#"{"model":"gpt-4o","usage":{"prompt_tokens":40,"completion_tokens":2}}"#;
//!     Ok::<_, Error>(Response::builder().header("content-type", "application/json").body(Full::<Bytes>::from(answer)).unwrap())
//! });
//! let tokens = Arc::new(Tokens::default());
//! let service = ServiceBuilder::new()
//!     .layer(PrepareLayer::new())
//!     .layer(CallTelemetryLayer::new().recorder(tokens.clone()))
//!     // Retries, quotas, the choice of an endpoint, … stand here.
//!     .layer(AttemptTelemetryLayer::new("eastus").recorder(tokens.clone()))
//!     .layer(ObserveLayer::new())
//!     .service(transport);
//!
//! service.oneshot(Request::new(Full::<Bytes>::default())).await?.into_body().collect().await?;
//! assert_eq!(tokens.0.load(Relaxed), 42);
//! # Ok(())
//! # }
//! ```
//!
//! # Spans
//!
//! A span for each call and, as its child, one for each attempt, both at level INFO. Futures and bodies are polled and
//! dropped inside them. The child knows its parent also where a layer in between lets another task send the request.
//! Names are OpenTelemetry's where its conventions have one (generative AI, still in development there; HTTP), else they
//! begin with `tower_aoai.`; they are stable. What is not known is not recorded.
//!
//! | call: `call`, target `tower_aoai::call` | |
//! |---|---|
//! | `otel.name` | operation and model: `chat gpt-4o` |
//! | `otel.kind` | `client` |
//! | `gen_ai.operation.name` | `chat` (responses, too), `text_completion`, `embeddings`, `other` |
//! | `gen_ai.provider.name` | `azure.ai.openai` |
//! | `openai.api.type` | `chat_completions`, `responses` |
//! | `gen_ai.request.model` | the deployment or model that the caller named |
//! | `gen_ai.request.max_tokens`, `gen_ai.request.stream` | as asked for |
//! | `gen_ai.response.model` | the model that the answer names |
//! | `gen_ai.response.time_to_first_chunk` | of a stream: seconds from the door to the first content |
//! | `gen_ai.usage.input_tokens`, `gen_ai.usage.output_tokens` | as the answer says |
//! | `gen_ai.usage.cache_read.input_tokens`, `gen_ai.usage.cache_creation.input_tokens`, `gen_ai.usage.reasoning.output_tokens` | parts of these |
//! | `http.response.status_code` | the answer's |
//! | `error.type` | of a call that was not answered: [`CallEnding::error_type`] |
//! | `otel.status_code` | `ERROR` then |
//! | `tower_aoai.ending` | [`CallEnding::name`] |
//! | `tower_aoai.endpoint`, `tower_aoai.leg`, `tower_aoai.spilled_from` | who served it: [`Served`](tower_aoai_core::Served) |
//! | `tower_aoai.attempts`, `tower_aoai.retries` | sends, and sends again in the same leg |
//! | `tower_aoai.waited_ms` | milliseconds spent waiting here: for hints, backoff and quota |
//! | `tower_aoai.spend_nano_dollars` | what it cost, where a cost layer counts |
//!
//! | attempt: `attempt`, target `tower_aoai::attempt` | |
//! |---|---|
//! | `otel.name`, `otel.kind` | `attempt eastus`, `client` |
//! | `tower_aoai.endpoint`, `tower_aoai.leg` | where it was sent |
//! | `server.address`, `server.port` | of the request's address, where it has them |
//! | `gen_ai.request.model`, `gen_ai.response.model` | as above |
//! | `http.request.resend_count` | how often the call was sent before, if it was |
//! | `http.response.status_code` | the answer's |
//! | `error.type`, `otel.status_code` | of what failed: [`AttemptRecord::error_type`] |
//! | `tower_aoai.outcome`, `tower_aoai.hint_ms` | what it means, and how long the server asks to wait |
//! | `tower_aoai.is_sent` | false of what was refused or dropped before it was sent |
//! | `tower_aoai.first_byte_ms`, `tower_aoai.first_content_ms` | milliseconds from the send |
//! | `tower_aoai.input_tokens`, `tower_aoai.output_tokens` | what it used; not by `gen_ai.usage`, or whoever adds up spans would count it twice |
//!
//! # Logs
//!
//! One event for each call, target `tower_aoai::call`, inside its span:
//!
//! | level | when |
//! |---|---|
//! | WARN | it failed, timed out, broke off, or was refused by a layer |
//! | INFO | the refusal was for what it asks: a filtered or too long prompt |
//! | INFO | it was answered, but by another leg than the first, or after a [long wait](CallTelemetryLayer::long_wait): `endpoint`, `waited_ms`, and `why` |
//! | DEBUG | it was answered; its caller went away |
//!
//! One for each attempt, target `tower_aoai::attempt`, at level DEBUG: by the
//! [`ObserveLayer`](tower_aoai_core::ObserveLayer) below, or, where there is none, here.
//!
//! **No prompt, no answer, no key** is in a span, an event, a record, or in the `Debug` of anything here; nor are headers,
//! the query of an address, or the words of an error of the transport's. Names are: of endpoints and legs, and of the model
//! and deployment that the caller names and the server answers with.
//!
//! # Metrics
//!
//! A [`Recorder`] may be anybody's. With the feature `metrics` there is one, in the module of that name, for the exporters
//! of the `metrics` facade: Prometheus, OpenTelemetry and others.
//!
//! # What it costs
//!
//! A record is made once, at the end, of what the layers have written into the context: no body is looked at again. Where
//! nobody listens, a span costs the look whether somebody does.
//!
//! # Its neighbours
//!
//! tower-http's `Trace` makes a span for what passes one point of a stack, with hooks for the rest; it does not know calls
//! from attempts, nor what a body means. It goes well around a whole stack: its span becomes the parent of the call's.

mod attempt;
mod call;
mod figures;
mod in_span;
#[cfg(feature = "metrics")]
pub mod metrics;
mod record;
mod semantic;

pub use self::{
    attempt::{AttemptTelemetry, AttemptTelemetryLayer, AttemptWatch},
    call::{CallTelemetry, CallTelemetryLayer, CallWatch},
    in_span::InSpan,
    record::{AttemptRecord, CallEnding, CallRecord, Recorder},
};
