use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use http::{Request, Response, request::Parts};
use http_body::Body;
use pin_project::pin_project;
use tokio::time::{Instant, Sleep};

use crate::{
    ConnectionFault, SimulatedBody,
    serve::{Serving, Verdict, serve},
    state::Shared,
    ticket::Ticket,
};

/// The answer of a [`Simulator`](crate::Simulator) on its way.
///
/// Nothing happens before it is first polled: then the request sets out, and when it has arrived
/// with its whole body, it is admitted or refused at that instant. Dropping it at any time is
/// recorded as the caller going away.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct SimulatedFuture<B> {
    shared: Arc<Shared>,
    parts: Option<Parts>,
    #[pin]
    body: B,
    received: BytesMut,
    too_large: bool,
    sleep: Option<Pin<Box<Sleep>>>,
    stage: Stage,
}

#[expect(clippy::large_enum_variant, reason = "nearly every request is answered")]
enum Stage {
    Setout,
    Travelling,
    Receiving,
    Answering(Ticket, Verdict),
    Hanging(#[expect(dead_code, reason = "held so that its drop is recorded")] Ticket),
    Over,
}

impl<B> SimulatedFuture<B> {
    pub(crate) fn new(shared: Arc<Shared>, request: Request<B>) -> Self {
        let (parts, body) = request.into_parts();
        Self {
            shared,
            parts: Some(parts),
            body,
            received: BytesMut::new(),
            too_large: false,
            sleep: None,
            stage: Stage::Setout,
        }
    }
}

impl<B: Body> Future for SimulatedFuture<B> {
    type Output = Result<Response<SimulatedBody>, ConnectionFault>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage {
                Stage::Setout => {
                    let delay = this.shared.network_delay();
                    *this.sleep = timer(delay);
                    *this.stage = Stage::Travelling;
                }
                Stage::Travelling => {
                    ready!(poll_timer(this.sleep, cx));
                    *this.stage = Stage::Receiving;
                }
                Stage::Receiving => {
                    let most = this.shared.config.body_limit;
                    let read = receive(this.body.as_mut(), this.received, most, this.too_large, cx);
                    if let Err(fault) = ready!(read) {
                        *this.stage = Stage::Over;
                        return Poll::Ready(Err(fault));
                    }
                    let Some(parts) = this.parts.take() else {
                        return Poll::Pending;
                    };
                    let body = (!*this.too_large).then(|| Bytes::from(std::mem::take(this.received)));
                    let now = Instant::now();
                    let Serving { ticket, wait, verdict } = serve(this.shared, &parts, body, now);
                    *this.sleep = timer(wait);
                    *this.stage = match verdict {
                        Verdict::Hang => Stage::Hanging(ticket),
                        verdict => Stage::Answering(ticket, verdict),
                    };
                }
                Stage::Answering(..) => {
                    ready!(poll_timer(this.sleep, cx));
                    let Stage::Answering(mut ticket, verdict) = std::mem::replace(this.stage, Stage::Over) else {
                        return Poll::Pending;
                    };
                    let now = Instant::now();
                    return Poll::Ready(match verdict {
                        Verdict::Answer(response) => {
                            ticket.head(now);
                            Ok(response.map(|body| body.with(ticket)))
                        }
                        Verdict::Reset | Verdict::Hang => {
                            ticket.fault(now);
                            Err(ConnectionFault::Reset)
                        }
                    });
                }
                // Nobody is woken: only dropping the future ends a hang, and nothing comes after
                // the end.
                Stage::Hanging(_) | Stage::Over => return Poll::Pending,
            }
        }
    }
}

fn timer(wait: Duration) -> Option<Pin<Box<Sleep>>> {
    (!wait.is_zero()).then(|| Box::pin(tokio::time::sleep(wait)))
}

fn poll_timer(sleep: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Poll<()> {
    if let Some(timer) = sleep {
        ready!(timer.as_mut().poll(cx));
        *sleep = None;
    }
    Poll::Ready(())
}

/// Reads the request's body to its end; of one that is too large, only that it is.
fn receive<B: Body>(
    mut body: Pin<&mut B>,
    received: &mut BytesMut,
    most: usize,
    too_large: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Result<(), ConnectionFault>> {
    while !*too_large {
        match ready!(body.as_mut().poll_frame(cx)) {
            None => break,
            Some(Err(_)) => return Poll::Ready(Err(ConnectionFault::RequestBody)),
            Some(Ok(frame)) => {
                let Ok(mut data) = frame.into_data() else {
                    continue;
                };
                while data.has_remaining() {
                    let chunk = data.chunk();
                    if received.len() + chunk.len() > most {
                        *too_large = true;
                        break;
                    }
                    received.extend_from_slice(chunk);
                    let taken = chunk.len();
                    data.advance(taken);
                }
            }
        }
    }
    Poll::Ready(Ok(()))
}

impl<B> fmt::Debug for SimulatedFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Setout => "setout",
            Stage::Travelling => "travelling",
            Stage::Receiving => "receiving",
            Stage::Answering(..) => "answering",
            Stage::Hanging(_) => "hanging",
            Stage::Over => "over",
        };
        f.debug_struct("SimulatedFuture").field("stage", &stage).finish_non_exhaustive()
    }
}
