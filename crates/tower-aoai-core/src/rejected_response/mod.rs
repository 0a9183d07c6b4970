//! Refusals as responses.
//!
//! Our layers refuse with [`Error::Rejected`](crate::Error::Rejected). A caller that speaks HTTP, such as an official
//! SDK behind a gateway, wants an answer instead: [`RejectedResponseLayer`] gives it one in OpenAI's shape, with the
//! status of the [`Reason`](crate::Reason), `retry-after-ms` and `retry-after` where waiting helps (rounded up, so that
//! who obeys comes back no earlier), and `x-should-retry: false`, which OpenAI's SDKs obey, where it does not. A deadline
//! that passed is such a case, be it a refusal or a time limit. What a transport's error says stays here.
//!
//! It goes outermost, above [`PrepareLayer`](crate::PrepareLayer), and works on any request. It never waits; dropping its
//! future drops the inner one.
//!
//! # Its neighbours
//!
//! axum's `HandleErrorLayer` makes a response of every error and leaves to a function which; this one knows ours, and
//! leaves the body unboxed. tower's `MapErr` can change an error, but not make it an answer.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use tower_aoai_core::{Error, Reason, Rejected, RejectedResponseLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let mut service = ServiceBuilder::new().layer(RejectedResponseLayer::new()).service(service_fn(
//!     |_: http::Request<Full<Bytes>>| async {
//!         Err::<http::Response<Full<Bytes>>, _>(Error::from(Rejected::new(Reason::QueueFull, "token bucket")))
//!     },
//! ));
//! let response = service.ready().await.unwrap().call(http::Request::default()).await.unwrap();
//! assert_eq!(response.status(), 429);
//! # }
//! ```

mod body;
mod future;
mod layer;
mod service;

pub use self::{
    body::{ResponseBody, error_type},
    future::ResponseFuture,
    layer::RejectedResponseLayer,
    service::RejectedResponse,
};
