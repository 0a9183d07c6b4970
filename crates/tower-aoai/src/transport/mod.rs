//! A pooled HTTP client for the bottom of a stack: hyper and rustls, set up for language models.
//!
//! What a general client gets wrong here: it tries again by itself, so that one call is two on the bill and a quota is
//! overdrawn unseen; and it has one time limit for everything, which is either shorter than an answer takes to think or
//! longer than a dead connection deserves. This one sends each request once, whatever becomes of it, for the retry layer
//! of a stack owns the retries. Its limits are four:
//!
//! | limit | default | what it is for |
//! |---|---|---|
//! | [`connect_timeout`](TransportBuilder::connect_timeout) | 10 s | an address that does not answer: DNS, TCP, proxy and TLS together |
//! | [`first_byte_timeout`](TransportBuilder::first_byte_timeout) | none | a server that has the request and says nothing; long prompts take a minute |
//! | [`idle_timeout`](TransportBuilder::idle_timeout) | none | an answer that falls silent |
//! | [`total_timeout`](TransportBuilder::total_timeout) | none | one attempt as a whole |
//!
//! Those without a default are limits of an attempt, and in a stack [`AttemptTimeoutLayer`](tower_aoai_core::AttemptTimeoutLayer)
//! sets them for each endpoint; here they are for who uses the transport by itself.
//!
//! Connections are kept and shared by all clones, with HTTP/2 where the server offers it (by ALPN) and HTTP/1.1 else,
//! without Nagle's delay. `http://` addresses work too, for tests and for servers in one's own network. A proxy is taken
//! from the environment as curl takes it (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).
//!
//! ```no_run
//! use bytes::Bytes;
//! use http_body_util::{BodyExt, Full};
//! use std::time::Duration;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_aoai::{core::{BoxError, PrepareLayer}, transport::Transport};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let transport = Transport::builder().first_byte_timeout(Duration::from_secs(60)).build()?;
//! let service = ServiceBuilder::new().layer(PrepareLayer::new()).service(transport);
//! let request = http::Request::get("https://r.openai.azure.com/openai/v1/models").body(Full::<Bytes>::default())?;
//! let models = service.oneshot(request).await?.into_body().collect().await?.to_bytes();
//! # let _ = models;
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! [`Error::Timeout`](tower_aoai_core::Error::Timeout) where a limit ran out, the one to connect included;
//! [`Error::Transport`](tower_aoai_core::Error::Transport) with hyper's error for all else. A server may close a kept
//! connection at the very moment a request is sent on it: that is an error like any other, and a retry layer sends again.
//! What the error was, with all that brought it about, is one event of `tracing` at INFO, target `tower_aoai::transport`,
//! with the fields `host` and `error`.
//!
//! # Cancellation
//!
//! Dropping a future or a body before its end closes an HTTP/1.1 connection and resets an HTTP/2 stream; a connection
//! being made is finished by a task and kept for the next call.
//!
//! # Its neighbours
//!
//! `reqwest::Client` is a tower service too, with request and body types of its own. hyper-util's legacy client is what
//! works in here; by itself it tries again what was cancelled, knows no time limit and no proxy.

mod body;
mod builder;
mod certificates;
mod connection;
mod future;
mod invalid;
mod proxy;
mod service;

pub use self::{
    body::TransportBody, builder::TransportBuilder, future::TransportFuture, invalid::InvalidTransport,
    service::Transport,
};
