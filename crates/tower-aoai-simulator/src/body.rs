use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::{
    ConnectionFault,
    answer::stream::{Playback, Step},
    latency::later,
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
    drip: Option<Drip>,
}

/// A slow line: what there is goes out a few bytes at a time.
struct Drip {
    bytes: usize,
    gap: Duration,
    next: Instant,
    rest: Bytes,
}

impl SimulatedBody {
    pub(crate) fn whole(body: Bytes) -> Self {
        Self { inner: Inner::Whole(body), ticket: None }
    }

    pub(crate) fn stream(playback: Playback) -> Self {
        let streaming = Streaming { playback, sleep: None, drip: None };
        Self { inner: Inner::Stream(Box::new(streaming)), ticket: None }
    }

    /// So many bytes at a time, with `gap` between, from `start` on. A whole answer becomes a
    /// stream by that.
    pub(crate) fn drip(mut self, bytes: usize, gap: Duration, start: Instant) -> Self {
        if let Inner::Whole(body) = &mut self.inner {
            let playback = Playback::raw([std::mem::take(body)], start);
            self = Self::stream(playback);
        }
        if let Inner::Stream(stream) = &mut self.inner {
            stream.drip = Some(Drip { bytes: bytes.max(1), gap, next: start, rest: Bytes::new() });
        }
        self
    }

    /// A body that breaks at once.
    pub(crate) fn broken() -> Self {
        Self { inner: Inner::Broken, ticket: None }
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
                if let Some(drop) = stream.next_drop() {
                    if stream.is_over() {
                        this.complete();
                    }
                    return Poll::Ready(Some(Ok(Frame::data(drop))));
                }
                match stream.playback.step() {
                    Step::Event(event, content) => {
                        let event = stream.begin(event);
                        let (delivered, over) = (stream.playback.delivered(), stream.is_over());
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
            Inner::Whole(body) => SizeHint::with_exact(u64::try_from(body.len()).unwrap_or(u64::MAX)),
            Inner::Over => SizeHint::with_exact(0),
            Inner::Stream(_) | Inner::Broken => SizeHint::default(),
        }
    }
}

impl Streaming {
    /// More of the event that has begun, if not all of it has gone out.
    fn next_drop(&mut self) -> Option<Bytes> {
        let drip = self.drip.as_mut().filter(|drip| !drip.rest.is_empty())?;
        drip.next = later(drip.next.max(Instant::now()), drip.gap);
        let some = drip.bytes.min(drip.rest.len());
        Some(drip.rest.split_to(some))
    }

    /// As much of an event as goes out at once.
    fn begin(&mut self, event: Bytes) -> Bytes {
        let Some(drip) = &mut self.drip else {
            return event;
        };
        drip.rest = event;
        self.next_drop().unwrap_or_default()
    }

    fn is_over(&self) -> bool {
        let dripping = self.drip.as_ref().is_some_and(|drip| !drip.rest.is_empty());
        !dripping && self.playback.is_over()
    }

    /// Until the next step is due.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut due = self.playback.due();
        if let Some(drip) = &self.drip {
            // What is begun goes on, whether or not the next event is due.
            due = if drip.rest.is_empty() { due.max(drip.next) } else { drip.next };
        }
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
        f.debug_struct("SimulatedBody").field("state", &state).finish_non_exhaustive()
    }
}
