use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tower_aoai_core::{BoxError, Error};

use crate::KeptBody;

/// The body of an [`ErrorShape`](super::ErrorShape): the inner service's, or the error in its new shape.
///
/// Errors are the inner body's, flattened.
#[derive(Debug)]
#[must_use = "a body does nothing unless polled"]
pub struct ResponseBody<B> {
    kind: Kind<B>,
}

#[derive(Debug)]
enum Kind<B> {
    Inner(KeptBody<B>),
    Shaped(Full<Bytes>),
}

impl<B> ResponseBody<B> {
    pub(super) const fn inner(body: KeptBody<B>) -> Self {
        Self { kind: Kind::Inner(body) }
    }

    pub(super) fn shaped(error: Vec<u8>) -> Self {
        Self { kind: Kind::Shaped(Full::from(error)) }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut self.kind {
            Kind::Inner(body) => Pin::new(body).poll_frame(cx),
            Kind::Shaped(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner(body) => body.is_end_stream(),
            Kind::Shaped(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner(body) => body.size_hint(),
            Kind::Shaped(body) => body.size_hint(),
        }
    }
}
