//! Streamed answers that say what they used.
//!
//! A streamed chat answer tells its usage only if the request says `"stream_options":{"include_usage":true}`; without
//! it there is no number to settle a quota or a price with. This layer says it for callers who did not, and marks the
//! call ([`CallContext::usage_added`](crate::CallContext::usage_added)) so that [`ObserveLayer`](crate::ObserveLayer), below it, takes the extra last
//! event out of the answer again: the caller sees what they asked for.
//!
//! It touches only streamed `chat/completions` and `completions` that do not ask for it already. The other members of
//! their `stream_options` are kept, and every other byte of the body. It leaves alone
//!
//! - responses, which always tell their usage, and embeddings, which are not streamed;
//! - Azure AI inference (`/models/…`), which by default refuses parameters it does not define;
//! - `stream_options` of a wrong type, of which the server should tell the caller itself.
//!
//! # Where it stands
//!
//! Per endpoint, below the choice of one: an endpoint on an old api-version answers the parameter with 400
//! `unknown_parameter`, and gets [`IncludeUsageLayer::off`].
//!
//! # Its neighbours
//!
//! It differs from tower's `MapRequest` in that it is a type with a name, keeps the length and the replay of the body,
//! and tells the layers below what it did. It never waits, reserves nothing, makes no errors of its own and adds no
//! future: readiness, errors and future are those of the inner service.
//!
//! Without [`PrepareLayer`](crate::PrepareLayer) above, it reads the body itself.
//!
//! # Example
//!
//! ```
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_aoai_core::{CallContext, IncludeUsageLayer, RequestBody};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), std::convert::Infallible> {
//! let client = ServiceBuilder::new()
//!     .layer(IncludeUsageLayer::new())
//!     .service(service_fn(|request: Request<RequestBody>| async move {
//!         assert!(request.extensions().get::<CallContext>().unwrap().usage_added());
//!         Ok::<_, std::convert::Infallible>(Response::new(request.into_body().to_bytes()))
//!     }));
//!
//! let request = Request::post("https://r.openai.azure.com/openai/v1/chat/completions")
//!     .body(RequestBody::from(r#"{"stream":true,"messages":[]}"#))
//!     .unwrap();
//! let response = client.oneshot(request).await?;
//! assert_eq!(
//!     response.into_body(),
//!     r#"{"stream_options":{"include_usage":true},"stream":true,"messages":[]}"#
//! );
//! # Ok(())
//! # }
//! ```

mod ask;
mod layer;
mod service;

pub use self::{layer::IncludeUsageLayer, service::IncludeUsage};
