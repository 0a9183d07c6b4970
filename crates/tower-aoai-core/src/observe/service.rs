//! The service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    Request, Response,
    header::{ACCEPT_ENCODING, HeaderValue},
};
use http_body::Body;
use tower_service::Service;

use super::{ObservedBody, ResponseFuture, layer::Settings, witness::Witness};
use crate::{BoxError, CallContext, Error};

/// A service whose attempts are observed: what [`ObserveLayer`](super::ObserveLayer) makes.
///
/// Readiness is the inner service's own; nothing is reserved, so a clone needs no care beyond the inner one's.
#[derive(Debug, Clone)]
pub struct Observe<S> {
    inner: S,
    settings: Option<Arc<Settings>>,
}

impl<S> Observe<S> {
    pub(super) fn new(inner: S, settings: Option<Arc<Settings>>) -> Self {
        Self { inner, settings }
    }
}

impl<S, B, R> Service<Request<B>> for Observe<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Response = Response<ObservedBody<R>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Error::flatten)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if self.settings.is_some() {
            ask_uncompressed(&mut request);
        }
        let witness = self.settings.as_ref().and_then(|settings| {
            CallContext::with(&mut request, |context| {
                let attempt = context.observe_attempt()?;
                Some(Box::new(Witness::new(attempt, context.clone(), Arc::clone(settings))))
            })
        });
        ResponseFuture::new(self.inner.call(request), witness)
    }
}

/// Nothing can be read in an answer that is compressed.
fn ask_uncompressed<B>(request: &mut Request<B>) {
    if request.headers().contains_key(ACCEPT_ENCODING) {
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
}
