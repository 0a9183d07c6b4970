use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project::pin_project;
use tower_aoai_core::{Error, attempt_timeout::ResponseBody};

/// The body of an answer as it comes from the network.
///
/// Dropped before its end it closes its connection (HTTP/1.1) or resets its stream (HTTP/2).
#[pin_project]
pub struct TransportBody {
    #[pin]
    inner: ResponseBody<Incoming>,
}

impl TransportBody {
    pub(super) const fn new(inner: ResponseBody<Incoming>) -> Self {
        Self { inner }
    }
}

impl Body for TransportBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl fmt::Debug for TransportBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportBody").field("size_hint", &self.size_hint()).finish_non_exhaustive()
    }
}
