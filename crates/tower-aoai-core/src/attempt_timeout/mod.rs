//! The time limits of one attempt.
//!
//! A model may think for a minute before its first token, and stream for ten: one limit cannot serve both. So there
//! are four, each off unless set: until the response's head ([`first_byte`](AttemptTimeoutLayer::first_byte)), until
//! the first content of a stream ([`first_token`](AttemptTimeoutLayer::first_token)), for the silence between two frames
//! ([`idle`](AttemptTimeoutLayer::idle)), and for all of it ([`total`](AttemptTimeoutLayer::total)). The time to
//! connect is the connector's business: [`ConnectTimeoutLayer`] wraps that.
//!
//! The layer stands directly above the transport, *below* [`ObserveLayer`](crate::ObserveLayer): a limit that ran out
//! is then an error like any other, judged in one place, and the attempt that it ends is not mistaken for one that its
//! caller gave up. Azure bills what it has begun all the same.
//!
//! The send is the first poll of the future. What has run out is dropped, and then its caller is told. It works on any
//! request; [`first_token`](AttemptTimeoutLayer::first_token) knows more below
//! [`PrepareLayer`](crate::PrepareLayer) and [`ObserveLayer`](crate::ObserveLayer).
//!
//! # Its neighbours
//!
//! `tower::timeout` knows one limit, to the head; tower-http's `TimeoutBody` only the idle one, and its `Timeout`
//! polls the clock before the answer. Here the inner future is polled first: an answer that is there counts.
//!
//! # Example
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use tower_aoai_core::{AttemptTimeoutLayer, Error, Timeout};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let limits = AttemptTimeoutLayer::new().first_byte(Duration::from_secs(60)).idle(Duration::from_secs(30));
//! let mut service = ServiceBuilder::new().layer(limits).service(service_fn(
//!     |_: http::Request<Full<Bytes>>| std::future::pending::<Result<http::Response<Full<Bytes>>, Infallible>>(),
//! ));
//! let error = service.ready().await.unwrap().call(http::Request::default()).await.unwrap_err();
//! assert!(matches!(error, Error::Timeout(Timeout::FirstByte)));
//! # }
//! ```

mod body;
mod connect;
mod future;
mod layer;
mod limits;
mod service;

pub use self::{
    body::ResponseBody,
    connect::{ConnectFuture, ConnectTimeout, ConnectTimeoutLayer},
    future::ResponseFuture,
    layer::AttemptTimeoutLayer,
    service::AttemptTimeout,
};
