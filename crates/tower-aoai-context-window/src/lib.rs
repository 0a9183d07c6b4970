//! Keeps prompts within their model's context window: counts, refuses, cuts, splits.
//!
//! A prompt that does not fit is a call wasted: the server may charge quota for its 400, and the caller learns only then.
//! A prompt cut in the wrong place is worse: without its instructions, or with the result of a call that nobody made.
//! [`ContextWindowLayer`] stands above any [`tower::Service`](tower_service::Service) that sends [`http::Request`]s to
//! Azure OpenAI, counts tokens as the service does, and makes what is too long fit, or refuses it with nothing sent:
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_aoai_context_window::{ContextUse, ContextWindowLayer, Models, Policy};
//! use tower_aoai_core::{PrepareLayer, RequestBody};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_aoai_core::Error> {
//! // A deployment named `chat`, here with room for very little.
//! let models = Models::built_in()
//!     .with_toml("[[model]]\nname = 'chat'\nlike = 'gpt-4o'\nwindow = 100")
//!     .expect("a valid table");
//! let layer = ContextWindowLayer::new().models(models).policy(Policy::truncate());
//! let handle = layer.handle();
//! let service = ServiceBuilder::new()
//!     .layer(PrepareLayer::new())
//!     .layer(layer)
//!     .service(service_fn(|request: Request<RequestBody>| async {
//!         Ok::<_, Infallible>(Response::new(request.into_body().to_bytes()))
//!     }));
//!
//! let old = "It was a dark and stormy night. ".repeat(20);
//! let chat = format!(
//!     r#"{{"messages":[{{"role":"system","content":"Be brief."}},{{"role":"user","content":"{old}"}},{{"role":"assistant","content":"Yes."}},{{"role":"user","content":"And then?"}}]}}"#
//! );
//! let request = Request::post("https://r.openai.azure.com/openai/deployments/chat/chat/completions")
//!     .body(RequestBody::from(chat))
//!     .unwrap();
//! let response = service.oneshot(request).await?;
//!
//! assert_eq!(response.extensions().get::<ContextUse>().unwrap().dropped, 2);
//! assert_eq!(
//!     response.into_body(),
//!     r#"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"And then?"}]}"#
//! );
//! assert_eq!(handle.snapshot().truncated_share(), 1.0);
//! # Ok(())
//! # }
//! ```
//!
//! # Who counts
//!
//! | | feature | counts | refuses |
//! |---|---|---|---|
//! | `BytePairs` | `bpe` | exactly, by the service's vocabularies; 35 MB of tables, a minute of build | yes |
//! | [`FourBytes`] | | a token for four bytes | never: it is a guess |
//! | your own [`TokenCounter`] | | as it says | if it is [exact](TokenCounter::is_exact) |
//!
//! No token is shorter than a byte. So a body of fewer bytes than the window has tokens fits, whatever is in it, and is let
//! through unread and uncounted: most calls cost nothing here. What is longer is counted; where it would be refused, no
//! further than that.
//!
//! What is documented is counted *for certain*: texts, roles and names of messages, and functions by the rule of OpenAI's
//! cookbook, whose examples are tests. What is documented nowhere (calls of tools and their results' frames, schemas,
//! functions for models that reason, the frame of a response's input) is counted as the text that it is, as a guess; and so is everything for a model
//! whose tokenizer nobody has published, such as gpt-6. Images are estimated. **Only what is certain is ever refused**;
//! what is cut is cut with the guesses added, and with a [margin](Policy::margin).
//!
//! # What becomes of what is too long
//!
//! | [`Policy`] | |
//! |---|---|
//! | [`reject`](Policy::reject) | refused with [`Reason::ContextLength`](tower_aoai_core::Reason::ContextLength); with [`RejectedResponseLayer`](tower_aoai_core::RejectedResponseLayer) above, the caller reads Azure's own `context_length_exceeded` with its numbers |
//! | [`truncate`](Policy::truncate) | the oldest turns are dropped, then the oldest rounds of tools of the last turn, then the longest text is cut, with a marker. What the system and the developer said, the user's last message and the last round stay; a call of a tool and its results stay or go together |
//! | [`let_through`](Policy::let_through) | sent, and told of |
//! | any, with [`clamp_output`](Policy::clamp_output) | the output asked for is lowered to what is left |
//!
//! Changes are made by span: every other byte of the body stays as it was. What was done is told by [`ContextUse`], an
//! extension of request and response, by an event, and by the [handle](ContextWindowHandle). The layers below reserve
//! and charge by what is left ([`CallContext::amend_call`](tower_aoai_core::CallContext::amend_call)).
//!
//! A text that is longer than all that can be split with `Chunker` (feature `chunk`), or cut with [`cut_text`] or
//! [`cut_characters`].
//!
//! # Without a stack
//!
//! As a function from a prompt to one that fits, it is the layer around a service that hands the request's body back, as in the
//! example above: nothing is sent, and [`ContextUse`] says what was done. [`count_prompt`] tells how long a prompt is;
//! `BytePairs` in place of [`FourBytes`] makes that exact.
//!
//! # Which model
//!
//! The deployment of a classic path, else the body's `model`, is looked up in [`Models`]: a dated table, which a file of
//! yours overrides. A deployment that is not called like its model is [named](Models::alias) there. A model that is not
//! known is told of once and let through. A smaller window for each agent or route is set with [`Budgets`].
//!
//! # Alone, or in a stack
//!
//! It goes below [`PrepareLayer`](tower_aoai_core::PrepareLayer) and above whatever reserves or charges. Alone it reads
//! bodies that are in memory, [`RequestBody`](tower_aoai_core::RequestBody) and
//! [`Full<Bytes>`](http_body_util::Full); others it passes on unread, and counts them
//! ([`unread`](ContextWindowSnapshot::unread)). What a layer above has changed in a body is not counted, and a change
//! that would overlap it is not made: the call is let through as it is.
//!
//! What the server keeps of earlier responses (`previous_response_id`) cannot be counted here. Where the request asks the
//! server to cut (`truncation: auto`), nothing is cut or refused.
//!
//! # Time and cancellation
//!
//! Counting takes some 3 ms for 100 KB. Bodies above [16 KiB](ContextWindowLayer::inline_up_to) that have to be counted
//! are counted on tokio's threads for blocking work (feature `rt`, which `bpe` includes); without that feature or
//! outside of a runtime, where the call is made. How many count at once is bounded by the runtime's
//! `max_blocking_threads`. The inner service's readiness is held meanwhile, and the clock is read again afterwards.
//! Dropping the future stops the count at the next text. The tables are loaded by the first call that is counted, which takes some
//! 50 ms, or by [`warm`](ContextWindowLayer::warm).
//!
//! # Its neighbours
//!
//! tower and tower-http bound a body's bytes (`RequestBodyLimit`) and know no tokens. SDKs leave it to the server, whose
//! `truncation: auto` exists for Responses alone and drops from the middle. Token counters tell a number; this layer is what
//! to do about it.

mod body;
mod boundary;
#[cfg(feature = "bpe")]
mod bpe;
mod budget;
#[cfg(feature = "chunk")]
mod chunk;
mod count;
mod counter;
mod cut;
mod fit;
mod future;
mod handle;
mod judge;
mod layer;
mod models;
mod policy;
mod prompt;
mod report;
mod rewrite;
mod service;
mod tools;
mod verdict;
mod weigh;

#[cfg(feature = "bpe")]
pub use self::bpe::BytePairs;
#[cfg(feature = "chunk")]
pub use self::chunk::{Chunker, ChunkerError};
pub use self::{
    budget::{Budgets, ContextTag},
    counter::{FourBytes, TokenCounter, Tokenizer},
    cut::{DEFAULT_MARKER, Keep, cut_characters, cut_text},
    future::ResponseFuture,
    handle::{ContextWindowHandle, ContextWindowSnapshot, TagUse},
    layer::{ContextWindowLayer, DEFAULT_INLINE_UP_TO},
    models::{BUILT_IN, Images, Model, Models, ModelsError},
    policy::Policy,
    report::{ContextUse, Counted},
    service::ContextWindow,
    weigh::{PromptTokens, count_prompt},
};
