//! Answers kept for those who ask the same again.
//!
//! The same text is embedded again and again, and a chat at temperature 0 is asked twice because two workers had the
//! same thought. Each time it costs tokens, quota and a second. [`CacheLayer`] keeps whole answers for a while, and
//! lets those who ask the same at the same time wait for one send:
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_aoai::{cache::{CacheLayer, CacheStatus}, core::{Error, PrepareLayer, RequestBody, Served}};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Error> {
//! let layer = CacheLayer::new().max_bytes(16 << 20);
//! let handle = layer.handle();
//! let service = ServiceBuilder::new().layer(PrepareLayer::new()).layer(layer).service(service_fn(
//!     |_: Request<RequestBody>| async { Ok::<_, Error>(Response::new(Full::<Bytes>::from(r#"{"data":[]}"#))) },
//! ));
//! for expected in [CacheStatus::Miss, CacheStatus::Hit] {
//!     let request = Request::post("https://r.openai.azure.com/openai/v1/embeddings")
//!         .body(Full::<Bytes>::from(r#"{"model":"small","input":"Hello"}"#))
//!         .unwrap();
//!     let response = service.clone().oneshot(request).await?;
//!     assert_eq!(response.headers()["x-aoai-cache"], expected.name());
//!     assert_eq!(response.extensions().get::<CacheStatus>(), Some(&expected));
//!     assert_eq!(response.extensions().get::<Served>().unwrap().from_cache, expected == CacheStatus::Hit);
//!     assert_eq!(response.into_body().collect().await?.to_bytes(), r#"{"data":[]}"#);
//! }
//! assert_eq!((handle.snapshot().hits, handle.snapshot().misses), (1, 1));
//! # Ok(())
//! # }
//! ```
//!
//! # What is the same
//!
//! Address, headers, tenant and body, to the last byte: what is only *hashed* alike is compared. Whoever carries
//! another key or token, is another [`Tenant`](tower_aoai_core::Tenant), or another agent by the tags of the cost layer or
//! of the context window (features `cost`, `context-window`), has a cache of their own: a stack cuts their prompts and
//! answers apart. Headers that name
//! or trace a single call (`x-ms-client-request-id`, `traceparent`, …) do not count. The model and its deployment are
//! in address or body, as the caller names them.
//!
//! # What is kept
//!
//! | | |
//! |---|---|
//! | asked | embeddings; chats and completions with `temperature` 0; or what [`when`](CacheLayer::when) says. Never streams, and never where the request says `cache-control: no-cache` or `no-store` |
//! | answered | 200, with the whole body, of at most [`max_answer_bytes`](CacheLayer::max_answer_bytes); never a stream |
//! | for | [`ttl`](CacheLayer::ttl), and while there is room within [`max_bytes`](CacheLayer::max_bytes), requests and books included; what was asked for again stays longest |
//!
//! An answer that is kept tells of its body and its `age`; the quota headers and identities of the call that fetched it
//! are not told again. Its `usage` is what that call used.
//!
//! # Single flight
//!
//! Of calls that ask the same at the same time one is sent, and the others *follow*:
//!
//! - it is answered with what is kept: so are they;
//! - its caller goes away: the eldest of those who follow sends in its place, nobody is stranded;
//! - it fails: nothing is kept, and by default each of them sends for itself ([`OnFailure`]);
//! - it takes longer than [`follow_for`](CacheLayer::follow_for): whoever has followed so long sends for itself; at its
//!   own [deadline](tower_aoai_core::CallContext::deadline) a call ends with
//!   [`Timeout::Deadline`](tower_aoai_core::Timeout::Deadline).
//!
//! Nothing is spawned: the call that is sent proceeds with the future of its caller.
//!
//! # Where it stands
//!
//! Below [`PrepareLayer`](tower_aoai_core::PrepareLayer), above whatever reserves money or quota: what is answered here
//! books no spend, no tokens and no attempt. [`Served::from_cache`](tower_aoai_core::Served::from_cache) says so, as do
//! the header [`x-aoai-cache`](CACHE_HEADER) and [`CacheStatus`] in the response's extensions. Without a door above,
//! bodies must be ones that are in memory, as `http_body_util::Full` is.
//!
//! # Its neighbours
//!
//! Azure's own prompt cache makes the beginning of a prompt cheaper and still answers anew; it works below this. HTTP
//! caches do not keep what was POSTed. tower has none.
//!
//! # Why this cache
//!
//! Room and age are those of [`quick_cache`](https://docs.rs/quick_cache), under one short lock with the calls under
//! way, so that between "not kept" and "somebody is asking already" nothing fits. Ages are counted on tokio's clock,
//! which tests can pause.

mod future;
mod handle;
mod key;
mod layer;
mod lead;
mod part;
mod repeatable;
mod service;
mod store;

pub use self::{
    future::{CACHE_HEADER, ResponseFuture},
    handle::{CacheHandle, CacheSnapshot},
    layer::{
        CacheLayer, DEFAULT_FOLLOW_FOR, DEFAULT_MAX_ANSWER_BYTES, DEFAULT_MAX_BYTES, DEFAULT_MAX_FOLLOWERS,
        DEFAULT_TTL, OnFailure,
    },
    repeatable::is_repeatable,
    service::Cache,
};
pub use crate::answer::AnswerBody;

/// Where an answer comes from: an extension of each response to a call that might have been cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheStatus {
    /// From what was kept.
    Hit,
    /// From another's call, which was under way.
    Shared,
    /// From below.
    Miss,
}

impl CacheStatus {
    /// The value of [`CACHE_HEADER`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Shared => "shared",
            Self::Miss => "miss",
        }
    }
}
