//! Refusals as responses.
//!
//! Our layers refuse with [`Error::Rejected`](crate::Error::Rejected). A caller that speaks HTTP, such as an official
//! SDK behind a gateway, wants an answer instead: [`RejectedResponseLayer`] gives it one in OpenAI's shape, with the
//! status of the [`Reason`](crate::Reason), `retry-after-ms` and `retry-after` where waiting helps, and
//! `x-should-retry: false` where it does not.
//!
//! axum's `HandleErrorLayer` makes a response of every error; this one makes it of those it knows, and leaves the body
//! unboxed.
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

mod answer;
mod future;

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

pub use self::{answer::ResponseBody, future::ResponseFuture};
use crate::{BoxError, Error};

/// Answers what the layers below refused; see the [module](crate::rejected_response).
#[derive(Debug, Clone, Copy, Default)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct RejectedResponseLayer {
    every_error: bool,
}

/// The service of a [`RejectedResponseLayer`].
#[derive(Debug, Clone)]
pub struct RejectedResponse<S> {
    inner: S,
    every_error: bool,
}

impl RejectedResponseLayer {
    /// Refusals become responses; time limits and transport errors stay errors.
    pub const fn new() -> Self {
        Self { every_error: false }
    }

    /// Every error becomes a response: 504 for time limits, 502 for transport errors.
    pub const fn every_error(mut self) -> Self {
        self.every_error = true;
        self
    }
}

impl<S> Layer<S> for RejectedResponseLayer {
    type Service = RejectedResponse<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RejectedResponse { inner, every_error: self.every_error }
    }
}

impl<S, B, ResB> Service<Request<B>> for RejectedResponse<S>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    S::Error: Into<BoxError>,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<ResB>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    /// Forwards the inner service's readiness; its errors stay errors, for there is no request yet to answer.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Error::flatten)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResponseFuture::new(self.inner.call(request), self.every_error)
    }
}
