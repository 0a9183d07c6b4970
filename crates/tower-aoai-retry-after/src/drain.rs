//! Reading on what nobody wants, so that its connection can be used again.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http_body::Body;
use pin_project::pin_project;

/// An answer larger than this costs more to read to its end than a new connection.
const LIMIT: u64 = 64 * 1024;

/// Reads a body to its end, or gives it up when it fails or is too large.
#[pin_project]
#[derive(Debug)]
pub(crate) struct Drain<B> {
    #[pin]
    body: Option<B>,
    read: u64,
}

impl<B: Body> Drain<B> {
    pub(crate) fn new(body: B) -> Self {
        let worth_it = !body.is_end_stream() && body.size_hint().lower() <= LIMIT;
        Self { body: worth_it.then_some(body), read: 0 }
    }
}

impl<B: Body> Future for Drain<B> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        while let Some(body) = this.body.as_mut().as_pin_mut() {
            match ready!(body.poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // A frame without data counts too, or a body of nothing else would never end.
                    let data = frame.data_ref().map_or(0, |data| data.remaining() as u64);
                    *this.read = this.read.saturating_add(data.max(1));
                    if *this.read > LIMIT {
                        this.body.set(None);
                    }
                }
                Some(Err(_)) | None => this.body.set(None),
            }
        }
        Poll::Ready(())
    }
}
