//! The total time of a call.
//!
//! [`DeadlineLayer`] turns "at most so long" into one absolute instant near the door, so that everything below (waits for
//! quota, backoff, fallbacks, the stream of the answer) sees the same deadline in the
//! [`CallContext`](crate::CallContext) and can refuse early what it cannot keep. It ends the call itself only where
//! nothing below did. A call that comes at its deadline or later is refused, with nothing sent.
//!
//! The time runs from this layer, whatever came before it; a caller's own deadline stands if it is earlier. An answer
//! that is there at the deadline counts: the inner future, or body, is polled before the clock. When the deadline has
//! passed the inner one is dropped, and then its caller is told. It works on any request, with or without
//! [`PrepareLayer`](crate::PrepareLayer) above.
//!
//! # Its neighbours
//!
//! `tower::timeout` measures from its own place in the stack, only until the response's head, and tells nobody below;
//! tower-http's `timeout` likewise, and its body timeouts measure each frame anew.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use tower_aoai_core::{CallContext, DeadlineLayer, Error};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let mut service = ServiceBuilder::new().layer(DeadlineLayer::new(Duration::from_secs(30))).service(service_fn(
//!     |mut request: http::Request<Full<Bytes>>| async move {
//!         assert!(CallContext::of(&mut request).deadline().is_some());
//!         Ok::<_, Error>(http::Response::new(Full::<Bytes>::default()))
//!     },
//! ));
//! let response = service.ready().await.unwrap().call(http::Request::default()).await.unwrap();
//! assert_eq!(response.status(), 200);
//! # }
//! ```

mod body;
mod future;
mod layer;
mod service;

pub use self::{body::ResponseBody, future::ResponseFuture, layer::DeadlineLayer, service::Deadline};

/// The layer's name in a refusal.
const NAME: &str = "deadline";
