use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::{
    ConnectionFault,
    answer::stream::{Playback, Step},
    ticket::Ticket,
};

/// The body of an answer: whole, or a stream whose frames, one an event, come as time passes.
///
/// It is `Unpin`, so that tests can read it frame by frame without ceremony; the one timer a
/// stream needs is allocated only when the stream has to wait.
#[must_use]
pub struct SimulatedBody {
    inner: Inner,
    ticket: Option<Ticket>,
}

enum Inner {
    Whole(Bytes),
    Stream(Box<Streaming>),
    Broken,
    Over,
}

struct Streaming {
    playback: Playback,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl SimulatedBody {
    pub(crate) fn whole(body: Bytes) -> Self {
        Self {
            inner: Inner::Whole(body),
            ticket: None,
        }
    }

    pub(crate) fn stream(playback: Playback) -> Self {
        let streaming = Streaming {
            playback,
            sleep: None,
        };
        Self {
            inner: Inner::Stream(Box::new(streaming)),
            ticket: None,
        }
    }

    /// A body that breaks at once.
    pub(crate) fn broken() -> Self {
        Self {
            inner: Inner::Broken,
            ticket: None,
        }
    }

    /// From here on the journal's entry ends with this body.
    pub(crate) fn with(mut self, mut ticket: Ticket) -> Self {
        ticket.in_body(matches!(self.inner, Inner::Whole(_)));
        self.ticket = Some(ticket);
        // Nobody polls a body that says it is over.
        if matches!(&self.inner, Inner::Whole(body) if body.is_empty()) {
            self.complete();
        }
        self
    }

    fn complete(&mut self) {
        self.inner = Inner::Over;
        if let Some(ticket) = self.ticket.take() {
            ticket.complete(Instant::now());
        }
    }

    fn fault(&mut self) -> Poll<Option<Result<Frame<Bytes>, ConnectionFault>>> {
        self.inner = Inner::Over;
        if let Some(ticket) = self.ticket.take() {
            ticket.fault(Instant::now());
        }
        Poll::Ready(Some(Err(ConnectionFault::Cut)))
    }
}

impl Body for SimulatedBody {
    type Data = Bytes;
    type Error = ConnectionFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ConnectionFault>>> {
        let this = &mut *self;
        match &mut this.inner {
            Inner::Over => Poll::Ready(None),
            Inner::Broken => this.fault(),
            Inner::Whole(body) => {
                let body = std::mem::take(body);
                if let Some(ticket) = &mut this.ticket {
                    ticket.content(Instant::now(), None);
                }
                this.complete();
                Poll::Ready(Some(Ok(Frame::data(body))))
            }
            Inner::Stream(stream) => {
                if stream.wait(cx).is_pending() {
                    return Poll::Pending;
                }
                match stream.playback.step() {
                    Step::Event(event, content) => {
                        let (delivered, over) =
                            (stream.playback.delivered(), stream.playback.is_over());
                        if content && let Some(ticket) = &mut this.ticket {
                            ticket.content(Instant::now(), Some(delivered));
                        }
                        if over {
                            this.complete();
                        }
                        Poll::Ready(Some(Ok(Frame::data(event))))
                    }
                    Step::Cut => this.fault(),
                    // Nobody is woken: only dropping the body ends this.
                    Step::Stall => Poll::Pending,
                    Step::End => {
                        this.complete();
                        Poll::Ready(None)
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.inner, Inner::Over)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Whole(body) => {
                SizeHint::with_exact(u64::try_from(body.len()).unwrap_or(u64::MAX))
            }
            Inner::Over => SizeHint::with_exact(0),
            Inner::Stream(_) | Inner::Broken => SizeHint::default(),
        }
    }
}

impl Streaming {
    /// Until the next step is due.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = self.playback.due();
        if due <= Instant::now() {
            return Poll::Ready(());
        }
        match &mut self.sleep {
            Some(sleep) => {
                if sleep.deadline() != due {
                    sleep.as_mut().reset(due);
                }
                sleep.as_mut().poll(cx)
            }
            None => {
                let sleep = self.sleep.insert(Box::pin(tokio::time::sleep_until(due)));
                sleep.as_mut().poll(cx)
            }
        }
    }
}

impl fmt::Debug for SimulatedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.inner {
            Inner::Whole(_) => "whole",
            Inner::Stream(_) => "stream",
            Inner::Broken => "broken",
            Inner::Over => "over",
        };
        f.debug_struct("SimulatedBody")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
