//! A body into memory, up to a limit.

use std::{
    error::Error as StdError,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body::Body;
use pin_project::pin_project;

use super::NAME;
use crate::{BoxError, Error, Reason, Rejected};

/// The body of the caller's own request failed before its end: the caller went away, or sent what cannot be read.
///
/// Nothing was sent to the server, so trying again below the door would change nothing. It stands inside an
/// [`Error::Transport`], its source being what the body said.
#[derive(Debug)]
pub struct BodyError {
    source: BoxError,
}

/// Collects a body.
#[pin_project]
pub(super) struct Collect<B> {
    #[pin]
    body: B,
    limit: usize,
    /// The only frame so far, as it came.
    first: Bytes,
    /// All frames, once there is a second one.
    all: BytesMut,
}

/// The most that is set aside because a body announces it, before it comes.
const RESERVED: usize = 1024 * 1024;

impl<B> Collect<B> {
    pub(super) fn new(body: B, limit: usize) -> Self {
        Self { body, limit, first: Bytes::new(), all: BytesMut::new() }
    }
}

impl<B> Collect<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        let mut this = self.project();
        while let Some(frame) = ready!(this.body.as_mut().poll_frame(cx)) {
            let frame = frame.map_err(BodyError::error)?;
            let Ok(mut data) = frame.into_data() else {
                continue;
            };
            let more = data.remaining();
            let held = this.first.len().max(this.all.len());
            if more > this.limit.saturating_sub(held) {
                let reason = Reason::BodyTooLarge { limit: *this.limit };
                return Poll::Ready(Err(Rejected::new(reason, NAME).into()));
            }
            if held == 0 {
                *this.first = data.copy_to_bytes(more);
            } else {
                if this.all.is_empty() {
                    let announced = usize::try_from(this.body.size_hint().lower());
                    let announced = announced.unwrap_or(usize::MAX).min(RESERVED);
                    this.all.reserve(held + more + announced);
                    this.all.put_slice(this.first);
                }
                this.all.put(data);
            }
        }
        let body = if this.all.is_empty() { std::mem::take(this.first) } else { std::mem::take(this.all).freeze() };
        Poll::Ready(Ok(body))
    }
}

impl BodyError {
    /// An error of ours, such as a time limit, stays what it is.
    fn error(error: impl Into<BoxError>) -> Error {
        match Error::flatten(error) {
            Error::Transport(source) => Error::Transport(Box::new(Self { source })),
            ours => ours,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body of the caller's request failed before its end")
    }
}

impl StdError for BodyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}
