//! One shape of errors, whoever answers: the top of a leg to another provider.

mod body;
mod future;
mod reshape;

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_aoai_core::{BoxError, Error};
use tower_layer::Layer;
use tower_service::Service;

pub use self::{body::ResponseBody, future::ResponseFuture};

/// Gives every error answer the shape that OpenAI's client libraries read:
/// `{"error":{"message":…,"type":…,"param":…,"code":…}}`.
///
/// What has that shape already passes through by the byte, and so does every answer that is no error. Of others the
/// message is found where providers put it (`error` as text, `message`, `detail`, `title`, or plain text); status and
/// headers stay, but for the length and type of the body. An error answer is read as a whole for this, up to 64 KiB,
/// for as long as it takes: time limits belong below. A longer one passes through, and so does a compressed one.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Full};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_aoai_core::Error;
/// use tower_aoai_fallback::ErrorShapeLayer;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let client = service_fn(|_: Request<()>| async {
///     let response = Response::builder().status(422).body(Full::<Bytes>::from(r#"{"detail":"unknown field"}"#));
///     Ok::<_, Error>(response.unwrap())
/// });
/// let response = ServiceBuilder::new().layer(ErrorShapeLayer::new()).service(client).oneshot(Request::new(())).await?;
/// assert_eq!(
///     response.into_body().collect().await?.to_bytes(),
///     r#"{"error":{"code":"422","message":"unknown field","param":null,"type":"invalid_request_error"}}"#
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct ErrorShapeLayer {
    is_off: bool,
}

/// The service of an [`ErrorShapeLayer`].
#[derive(Debug, Clone, Copy)]
pub struct ErrorShape<S> {
    inner: S,
    is_off: bool,
}

impl ErrorShapeLayer {
    /// Shapes errors.
    pub const fn new() -> Self {
        Self { is_off: false }
    }

    /// Leaves every answer as it is, without changing the stack's type.
    pub const fn off() -> Self {
        Self { is_off: true }
    }
}

impl Default for ErrorShapeLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for ErrorShapeLayer {
    type Service = ErrorShape<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ErrorShape { inner, is_off: self.is_off }
    }
}

impl<S, B, ResB> Service<Request<B>> for ErrorShape<S>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    S::Error: Into<BoxError>,
    ResB: Body<Data = Bytes> + Unpin,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<ResB>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future, ResB>;

    /// Forwards the inner service's readiness.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Error::flatten)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResponseFuture::new(self.inner.call(request), self.is_off)
    }
}
