//! Embedding requests of many callers in one.
//!
//! An index is built by a hundred workers, each of which embeds one text. A deployment counts requests as well as
//! tokens, and each has a round trip: a hundred of them cost a hundred times what one with a hundred inputs does, which
//! Azure takes (2048 at most). [`MergeEmbeddingsLayer`] lets requests that come within a few milliseconds of each other
//! be one, and gives every caller its own vectors:
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_aoai::{core::Error, merge::{MergeEmbeddingsLayer, Merged}};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Error> {
//! let layer = MergeEmbeddingsLayer::new();
//! let handle = layer.handle();
//! let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| async move {
//!     let asked = request.into_body().collect().await.unwrap().to_bytes();
//!     assert_eq!(asked, r#"{"input":["one","two","three"],"model":"small"}"#);
//!     let answer = r#"{"object":"list","data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[2]},
//!         {"index":2,"embedding":[3]}],"usage":{"prompt_tokens":3,"total_tokens":3}}"#;
//!     Ok::<_, Error>(Response::new(Full::<Bytes>::from(answer)))
//! }));
//! let embed = |input: &str| {
//!     let body = format!(r#"{{"model":"small","input":{input}}}"#);
//!     Request::post("https://r.openai.azure.com/openai/v1/embeddings").body(Full::<Bytes>::from(body)).unwrap()
//! };
//! let (one, others) =
//!     tokio::join!(service.clone().oneshot(embed(r#""one""#)), service.clone().oneshot(embed(r#"["two","three"]"#)));
//! let others = others?;
//! assert_eq!(others.extensions().get::<Merged>().unwrap().callers, 2);
//! assert_eq!(
//!     others.into_body().collect().await?.to_bytes(),
//!     r#"{"data":[{"index":0,"embedding":[2]},{"index":1,"embedding":[3]}],"object":"list","usage":{"prompt_tokens":2,"total_tokens":2}}"#
//! );
//! # drop(one?);
//! assert_eq!(handle.snapshot().merged_requests, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Which are merged
//!
//! Those that come within a [`window`](MergeEmbeddingsLayer::window) of the first (5 ms), and agree in everything but
//! their inputs: every other member of the body (`model`, `dimensions`, `encoding_format`, `user`, …), address, headers
//! but for those that name or trace one call, tenant, tag of the context window, and, with the feature `cost`, the tags by which money is booked;
//! [`apart_by`](MergeEmbeddingsLayer::apart_by) sets more of them apart. Texts and arrays of tokens are not mixed: the
//! API does not take both. A request goes before its time is over when it holds as many inputs or tokens as it may.
//!
//! What is no embedding, what cannot be read, and what is as large as a merged request may be goes on as it is.
//!
//! # Who gets what
//!
//! Each caller gets an answer of its own: its vectors, in the order of its inputs, numbered from 0; every whole number
//! in `usage` in proportion to what it sent (bytes of text, or tokens), rounded so that the sum of all is exactly what
//! the server says. Headers, and [`Served`](tower_aoai_core::Served), are those of the merged request; [`Merged`] in
//! the response's extensions tells that it was one.
//!
//! # When it fails
//!
//! | the merged request | its callers |
//! |---|---|
//! | is refused for what one of them may have sent (400, 413, a prompt too long, larger than the quota), here or by the server | each sends its own request: one is refused again, the innocent are answered |
//! | is answered with 200, but not with one vector for each input | the same |
//! | fails otherwise: throttled, 5xx, no connection, a credential | each gets that answer or error: what there was to be retried was, below |
//!
//! # Where it stands
//!
//! Below [`PrepareLayer`](tower_aoai_core::PrepareLayer) and `CacheLayer`, above whatever reserves money or quota: the
//! merged request is one call there, with a context of its own. It has the latest of its callers' deadlines and the
//! most urgent of their [priorities](tower_aoai_core::CallContext::priority); each caller still ends at its own
//! deadline. A caller's own context knows who served it, and no attempts. Without a door above, bodies must be ones
//! that are in memory, as `http_body_util::Full` is.
//!
//! # Time, memory and cancellation
//!
//! Nothing is spawned: the merged request proceeds with whichever of its callers' futures are polled. A caller who goes
//! away before it is sent takes its inputs along; later, its vectors are dropped, and the others get theirs. At most
//! [`max_waiting`](MergeEmbeddingsLayer::max_waiting) requests wait, those beyond are passed on; answers are read into
//! memory up to [`max_answer_bytes`](MergeEmbeddingsLayer::max_answer_bytes). One future is boxed for each merged
//! request.
//!
//! # Its neighbours
//!
//! `tower::buffer` queues requests and sends them one by one. `tower-batch` and its like collect items for a service of
//! batches, in a task of their own; this knows what an embedding request is.

mod asked;
mod drive;
mod future;
mod groups;
mod handle;
mod join;
mod layer;
mod service;
mod split;

pub use self::{
    future::ResponseFuture,
    handle::{MergeCounts, MergeHandle},
    layer::{
        DEFAULT_MAX_ANSWER_BYTES, DEFAULT_MAX_INPUTS, DEFAULT_MAX_TOKENS, DEFAULT_MAX_WAITING, DEFAULT_WINDOW,
        MergeEmbeddingsLayer,
    },
    service::MergeEmbeddings,
};
pub use crate::answer::AnswerBody;

/// The answer is a part of that to a merged request: an extension of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Merged {
    /// How many callers' requests it was made of.
    pub callers: usize,
    /// How many inputs it had in all.
    pub inputs: usize,
}
