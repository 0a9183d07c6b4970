//! The time to connect.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project::pin_project;
use tokio::time::{Sleep, sleep};
use tower_layer::Layer;
use tower_service::Service;

use crate::{BoxError, Error, Timeout};

/// Limits the time that a *connector* takes: any service that makes connections, such as hyper-util's.
///
/// It goes around the connector, not around an HTTP service: a request that waits for its answer has long been
/// connected. Unlike `tower::timeout` it says [`Timeout::Connect`], which [`Error::flatten`] finds again behind what the
/// client makes of it, and its future can be moved, as hyper-util's client asks of a connector's.
///
/// ```
/// use std::{convert::Infallible, future::pending, time::Duration};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_aoai_core::{ConnectTimeoutLayer, Timeout};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let connector = ServiceBuilder::new()
///     .layer(ConnectTimeoutLayer::new(Duration::from_secs(5)))
///     .service(service_fn(|_: &'static str| pending::<Result<(), Infallible>>()));
/// let error = connector.oneshot("10.255.255.1:443").await.unwrap_err();
/// assert_eq!(error.timeout(), Some(Timeout::Connect));
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct ConnectTimeoutLayer {
    limit: Option<Duration>,
}

/// A connector whose time is limited: what [`ConnectTimeoutLayer`] makes.
///
/// # Errors
///
/// [`Timeout::Connect`], and the inner connector's, flattened ([`Error::flatten`]). A client that wraps what its
/// connector says, as hyper-util's does, hides neither.
#[derive(Debug, Clone)]
pub struct ConnectTimeout<S> {
    inner: S,
    limit: Option<Duration>,
}

/// The future of a [`ConnectTimeout`].
///
/// The time runs from the call; when it is over the connection under way is dropped with this future.
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ConnectFuture<F> {
    #[pin]
    inner: F,
    /// Boxed, for hyper-util's client takes only connectors whose futures are `Unpin`.
    timer: Option<Pin<Box<Sleep>>>,
}

impl ConnectTimeoutLayer {
    /// A connection is made within `limit` or fails.
    pub const fn new(limit: Duration) -> Self {
        Self { limit: Some(limit) }
    }

    /// No limit, without changing the stack's type.
    pub const fn off() -> Self {
        Self { limit: None }
    }
}

impl<S> Layer<S> for ConnectTimeoutLayer {
    type Service = ConnectTimeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ConnectTimeout { inner, limit: self.limit }
    }
}

impl<S, T> Service<T> for ConnectTimeout<S>
where
    S: Service<T>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ConnectFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Error::flatten)
    }

    fn call(&mut self, target: T) -> Self::Future {
        ConnectFuture { inner: self.inner.call(target), timer: self.limit.map(|limit| Box::pin(sleep(limit))) }
    }
}

impl<F, T, E> Future for ConnectFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(result) = this.inner.poll(cx) {
            return Poll::Ready(result.map_err(Error::flatten));
        }
        match this.timer {
            Some(timer) => timer.as_mut().poll(cx).map(|()| Err(Timeout::Connect.into())),
            None => Poll::Pending,
        }
    }
}
