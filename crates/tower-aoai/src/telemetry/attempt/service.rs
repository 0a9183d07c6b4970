use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_aoai_core::{BoxError, CallContext, Error, GuardedBody, GuardedFuture};
use tower_service::Service;
use tracing::Span;

use super::{AttemptWatch, layer::Settings, span};
use crate::telemetry::InSpan;

/// A service that tells of its attempts: what
/// [`AttemptTelemetryLayer`](crate::telemetry::AttemptTelemetryLayer) makes.
///
/// Readiness is the inner service's own; nothing is reserved, so a clone needs no care beyond the inner one's.
#[derive(Debug, Clone)]
pub struct AttemptTelemetry<S> {
    inner: S,
    settings: Option<Arc<Settings>>,
}

impl<S> AttemptTelemetry<S> {
    pub(super) const fn new(inner: S, settings: Option<Arc<Settings>>) -> Self {
        Self { inner, settings }
    }
}

impl<S, B, R> Service<Request<B>> for AttemptTelemetry<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    type Response = Response<GuardedBody<InSpan<R>, AttemptWatch>>;
    type Error = Error;
    type Future = GuardedFuture<InSpan<S::Future>, AttemptWatch>;

    /// Forwards the inner service's readiness.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Error::flatten)
    }

    /// Begins the attempt; it ends when its outcome is known: with the head of an error, the last byte of an answer, an
    /// error, or when future or body are dropped.
    ///
    /// # Errors
    ///
    /// The inner service's, [flattened](Error::flatten); none of its own.
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(settings) = &self.settings else {
            return GuardedFuture::new(InSpan::new(self.inner.call(request), Span::none()), None);
        };
        let mut watch = AttemptWatch::new(Arc::clone(settings), CallContext::of(&mut request));
        let span = span::begin(&settings.endpoint, watch.resends(), &request);
        watch.enter(span.clone());
        let inner = span.in_scope(|| self.inner.call(request));
        GuardedFuture::new(InSpan::new(inner, span), Some(watch))
    }
}
