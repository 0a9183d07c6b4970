//! A named position in the stack where a layer of somebody's own may stand.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tower::util::BoxCloneSyncService;
use tower_layer::Layer;
use tower_service::Service;

use super::body::{AnswerBody, erase};
use crate::core::{BoxError, Error, RequestBody};

/// The part of a stack below a position, for the layer that is put there: a service with one type, whatever it is made of.
pub type Below = BoxCloneSyncService<Request<RequestBody>, Response<AnswerBody>, Error>;

/// Makes the service of somebody's own around what is below.
pub(super) type Around = Arc<dyn Fn(Below) -> Below + Send + Sync>;

/// `layer`, as what can be put into a position.
pub(super) fn around<L, B>(layer: L) -> Around
where
    L: Layer<Below> + Send + Sync + 'static,
    L::Service: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request<RequestBody>>>::Error: Into<BoxError>,
    <L::Service as Service<Request<RequestBody>>>::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + Sync + 'static,
    B::Error: Into<BoxError>,
{
    Arc::new(move |below| boxed(layer.layer(below)))
}

fn boxed<S, B>(service: S) -> Below
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + Sync + 'static,
    B::Error: Into<BoxError>,
{
    use tower::ServiceExt;
    BoxCloneSyncService::new(service.map_err(Error::flatten).map_response(|response: Response<B>| response.map(erase)))
}

/// The layer of a position: nothing, unless somebody has put something there.
#[derive(Clone, Default)]
pub(super) struct SlotLayer {
    around: Option<Around>,
}

impl SlotLayer {
    pub(super) const fn new(around: Option<Around>) -> Self {
        Self { around }
    }
}

/// A service with, or without, one of somebody's own around it. Only where there is one it boxes: a future and a body
/// each on the way into it and out of it.
#[derive(Debug, Clone)]
pub(super) enum Slot<S> {
    Empty(S),
    Filled(Below),
}

impl<S, B> Layer<S> for SlotLayer
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + Sync + 'static,
    B::Error: Into<BoxError>,
{
    type Service = Slot<S>;

    fn layer(&self, inner: S) -> Self::Service {
        match &self.around {
            None => Slot::Empty(inner),
            Some(around) => Slot::Filled(around(boxed(inner))),
        }
    }
}

impl<S, B> Service<Request<RequestBody>> for Slot<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<SlotBody<B>>;
    type Error = Error;
    type Future = SlotFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self {
            Self::Empty(inner) => inner.poll_ready(cx).map_err(Error::flatten),
            Self::Filled(own) => own.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        match self {
            Self::Empty(inner) => SlotFuture::Empty(inner.call(request), PhantomData),
            Self::Filled(own) => SlotFuture::Filled(own.call(request)),
        }
    }
}

type Boxed = <Below as Service<Request<RequestBody>>>::Future;

#[pin_project(project = SlotFutureProject)]
pub(super) enum SlotFuture<F, B> {
    Empty(#[pin] F, PhantomData<fn() -> B>),
    Filled(Boxed),
}

impl<F, B, E> Future for SlotFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<SlotBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project() {
            SlotFutureProject::Empty(inner, _) => {
                ready!(inner.poll(cx)).map(|response| response.map(SlotBody::Empty)).map_err(Error::flatten)
            }
            SlotFutureProject::Filled(own) => {
                ready!(own.as_mut().poll(cx)).map(|response| response.map(SlotBody::Filled))
            }
        })
    }
}

#[pin_project(project = SlotBodyProject)]
pub(super) enum SlotBody<B> {
    Empty(#[pin] B),
    Filled(#[pin] AnswerBody),
}

impl<B> Body for SlotBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.project() {
            SlotBodyProject::Empty(inner) => inner.poll_frame(cx).map_err(Error::flatten),
            SlotBodyProject::Filled(own) => own.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty(inner) => inner.is_end_stream(),
            Self::Filled(own) => own.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty(inner) => inner.size_hint(),
            Self::Filled(own) => own.size_hint(),
        }
    }
}

impl fmt::Debug for SlotLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotLayer").field("is_filled", &self.around.is_some()).finish()
    }
}
