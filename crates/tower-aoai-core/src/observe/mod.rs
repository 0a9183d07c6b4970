//! Watches each attempt and writes down how it went.
//!
//! Whether a call to Azure OpenAI went well is not known from the head of its response. A stream that began with a 200
//! may be a refusal for want of quota, may break off, and tells what it used in its last event, if at all; what an error
//! means often stands in its body alone. Retry, circuit breaker, token bucket, cost and statistics all want to know. If
//! each of them looked for itself, every byte would be parsed five times, and five layers would disagree about a stream
//! whose caller left in the middle.
//!
//! So there is one scanner, and one writer: [`ObserveLayer`], innermost, next to the transport. It writes the
//! [`Attempt`](crate::Attempt) that the layers above have taken from the [`CallContext`](crate::CallContext) before they
//! handed the request down, and they read it:
//!
//! | when | what is written |
//! |---|---|
//! | the inner future is first polled | sent: from here on it costs quota |
//! | the head came | first byte, and the deployment that it names |
//! | an error's head came | its body is read, within bounds, and judged; the verdict comes with the response |
//! | the frame with the first content is handed on | first content: from here on nothing may be tried again |
//! | `usage`, `model`, `service_tier` pass | these |
//! | `[DONE]`, a terminal event, the end, an error | the verdict of [`Classify`](crate::Classify) |
//! | the future or the body is dropped earlier | cancelled, if it was sent |
//!
//! # Holding a stream's head
//!
//! Azure answers some calls above the quota with a 200 and a stream whose second event is an error. A response can only
//! be tried again unseen as long as nobody has it, so a streamed response is held until its first event that is more
//! than preamble (a role, filter results, `response.created`), within bounds ([`ObserveLayer::hold`]). An error before
//! that is judged like an error status: the response is handed on as it came, and whoever finds a verdict with it
//! ([`Attempt::verdict`](crate::Attempt::verdict)) may drop it and try again.
//!
//! # What it needs
//!
//! To stand directly above the transport and its time limits, and once in the way of an attempt: of two, the outer one
//! writes. Any request body; a request without a context gets one from its head. A response body of
//! [`Bytes`](bytes::Bytes) that is `Unpin`, as hyper's is, because it is read while the response is still held; others
//! are boxed first (`http_body_util::BodyExt::boxed`). A compressed body passes unread, and keeps the usage event that
//! was asked for on its caller's behalf; so where a request asks for one, as official clients do (`accept-encoding`), it
//! is made to ask for `identity`. Whoever wants compressed answers from the server decompresses them below this layer, as
//! tower-http's `Decompression` does. A timer of tokio, only while a held response has to be waited for.
//!
//! # Its neighbours
//!
//! tower-http's `trace` and `classify` also judge in two phases, head and end of stream, but by status and gRPC trailers:
//! they do not look into a body, cannot hold a head, and tell callbacks, where here a record travels with the call that
//! a layer above can act upon. Its `on_early_drop` tells that a future or a body was dropped; here a body that is
//! dropped behind `[DONE]` is a success, because official clients stop reading there.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_aoai_core::{CallContext, ObserveLayer, Outcome, Usage};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let transport = service_fn(|_: Request<Full<Bytes>>| async {
//!     let body = r#"{"model":"gpt-4o","usage":{"prompt_tokens":3,"completion_tokens":1}}"#;
//!     let response = Response::builder().header("content-type", "application/json");
//!     response.body(Full::new(Bytes::from(body)))
//! });
//! let service = ObserveLayer::new().layer(transport);
//!
//! let mut request = Request::new(Full::default());
//! let attempt = CallContext::of(&mut request).attempt();
//! let response = service.oneshot(request).await?;
//! assert_eq!(attempt.verdict(), None, "its body is still to come");
//!
//! response.into_body().collect().await?;
//! assert_eq!(attempt.usage(), Some(Usage::new(3, 1)));
//! assert!(attempt.verdict().is_some_and(|verdict| verdict.outcome == Outcome::Success));
//! # Ok(())
//! # }
//! ```

mod ahead;
mod body;
mod future;
mod layer;
mod observer;
mod service;
mod watch;
mod witness;

#[cfg(test)]
mod tests;

pub use self::{body::ObservedBody, future::ResponseFuture, layer::ObserveLayer, observer::Observer, service::Observe};
