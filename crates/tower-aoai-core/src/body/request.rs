//! The body of a prepared request.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A request body in memory: cheap to clone, rewritten by span without copying.
#[derive(Debug, Clone, Default)]
pub struct RequestBody {
    source: Bytes,
}

impl From<Bytes> for RequestBody {
    fn from(source: Bytes) -> Self {
        Self { source }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let source = std::mem::take(&mut self.source);
        Poll::Ready((!source.is_empty()).then(|| Ok(Frame::data(source))))
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.source.len() as u64)
    }
}
