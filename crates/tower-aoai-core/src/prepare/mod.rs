//! The door: what a caller sends becomes what every layer below can work with.
//!
//! A call to a model is decided by a few fields somewhere in its body, may be sent to several endpoints one after the
//! other, and is rewritten a little for each. A body that arrives as a stream allows none of that. So the outermost
//! layer of a stack takes the body into memory, once and up to a limit, reads those fields in one pass, and hands down
//! a [`RequestBody`](crate::RequestBody) with a [`CallContext`](crate::CallContext) in the request's extensions.
//! The layers below never parse the body again, and never copy it.
//!
//! What happens to a request:
//!
//! - Its body is collected up to [`body_limit`](PrepareLayer::body_limit) bytes. A body in one frame, such as
//!   [`Full`](http_body_util::Full), is taken as it is; one in several frames is copied once. Trailers are dropped:
//!   Azure OpenAI takes none.
//! - A context that the caller put into the extensions stays (its deadline, its start-by, when it began), and learns
//!   what the body says. Where it is that of an earlier call, this one gets a record of its own.
//! - `content-length` and `transfer-encoding` are removed: the body knows its length, which may yet change.
//! - What has no JSON body, or goes to another operation, passes through all the same.
//!
//! The response gets a [`Served`](crate::Served) extension, with what the layers below noted, unless one is there
//! already.
//!
//! # Its neighbours
//!
//! tower-http's `RequestBodyLimit` bounds a body too, but leaves it a stream, which ends in an error when it turns out
//! too long, after the inner service has begun; this layer has the whole body before anything below is called.
//! `MapRequestBody` changes a body's type, but cannot wait for its bytes. tower's `Buffer` buffers requests, not bodies.
//!
//! There is no `off()`: the layer changes the type of the body, so that a stack without it would be another type.
//!
//! # Time and cancellation
//!
//! The clock is read when the call comes through the door, and again if the body had to be waited for. The wait has no
//! limit of its own: where callers are not trusted to finish what they send, put tower-http's `RequestBodyTimeout`
//! outside. The readiness of the inner service is held during it. Dropping the future drops body, inner service
//! and inner future with all they hold; nothing runs on.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_aoai_core::{CallContext, Error, Operation, PrepareLayer, RequestBody, Served};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let client = ServiceBuilder::new()
//!     .layer(PrepareLayer::new().body_limit(1024 * 1024))
//!     .service(service_fn(|request: Request<RequestBody>| async move {
//!         let context = request.extensions().get::<CallContext>().unwrap();
//!         assert_eq!(context.call().operation, Operation::Embeddings);
//!         assert_eq!(context.call().target(), Some("small"));
//!         Ok::<_, Error>(Response::new(request.into_body()))
//!     }));
//!
//! let request = Request::post("https://r.openai.azure.com/openai/v1/embeddings")
//!     .body(Full::new(Bytes::from(r#"{"model":"small","input":"Hello"}"#)))
//!     .unwrap();
//! let response = client.oneshot(request).await?;
//! assert!(response.extensions().get::<Served>().is_some());
//! # Ok(())
//! # }
//! ```

mod collect;
mod future;
mod layer;
mod service;

pub use self::{
    collect::BodyError,
    future::ResponseFuture,
    layer::{DEFAULT_BODY_LIMIT, PrepareLayer},
    service::Prepare,
};

/// The layer's name in a refusal.
const NAME: &str = "door";
