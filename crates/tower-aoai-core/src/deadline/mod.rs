//! The total time of a call.
//!
//! [`DeadlineLayer`] turns "at most so long" into one absolute instant at the door, so that everything below (waits for
//! quota, backoff, fallbacks, the stream of the answer) sees the same deadline in the
//! [`CallContext`](crate::CallContext) and can refuse early what it cannot keep. It ends the call itself only where
//! nothing below did.
//!
//! `tower::timeout` measures from its own place in the stack and only until the response's head; tower-http's body
//! timeouts measure per frame. Neither tells the layers below.
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
