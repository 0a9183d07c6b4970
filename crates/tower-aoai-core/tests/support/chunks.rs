//! A caller's body that comes as it is told.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tower_aoai_core::BoxError;

#[derive(Debug)]
pub(crate) enum Step {
    Data(&'static str),
    /// One poll that is not ready and wakes at once.
    Wait,
    Trailers,
    Fail(BoxError),
}

/// `alive` shows whether the body still exists.
pub(crate) struct Chunks {
    steps: VecDeque<Step>,
    at_least: u64,
    pub(crate) alive: Arc<()>,
}

impl Chunks {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), at_least: 0, alive: Arc::new(()) }
    }

    pub(crate) fn at_least(mut self, bytes: u64) -> Self {
        self.at_least = bytes;
        self
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match self.steps.pop_front() {
            None => return Poll::Ready(None),
            Some(Step::Wait) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Step::Fail(error)) => Err(error),
            Some(Step::Data(text)) => Ok(Frame::data(Bytes::from_static(text.as_bytes()))),
            Some(Step::Trailers) => Ok(Frame::trailers(HeaderMap::new())),
        };
        Poll::Ready(Some(frame))
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.at_least);
        hint
    }
}
