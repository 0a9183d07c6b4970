use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::link::Link;
use crate::{ConnectionFault, SimulatedBody};

/// An answer's body on its way to a socket: when it breaks, the connection breaks with it, in the
/// middle of a chunk.
pub(super) struct WireBody {
    inner: SimulatedBody,
    link: Option<Link>,
    fault: Option<Fault>,
}

struct Fault {
    /// Until everything before has been written out.
    sleep: Pin<Box<Sleep>>,
    torn: bool,
}

/// How long what was sent before a cut has to leave the process. A reset may not overtake it.
const FLUSH: Duration = Duration::from_millis(10);

/// What is cut in its middle.
const LAST: &[u8] = b"data: {\"choices\":[{\"content_filter_results\":{\"hate\":{\"filtered\":false,\"severity\":\"safe\"}},\"delta\":{\"content\":\"";

impl WireBody {
    pub(super) fn new(inner: SimulatedBody, link: Option<Link>) -> Self {
        Self { inner, link, fault: None }
    }
}

impl Body for WireBody {
    type Data = Bytes;
    type Error = ConnectionFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ConnectionFault>>> {
        let this = &mut *self;
        if this.fault.is_none() {
            let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
            let (Some(Err(_)), Some(_)) = (&frame, &this.link) else {
                return Poll::Ready(frame);
            };
            this.fault = Some(Fault { sleep: Box::pin(tokio::time::sleep(FLUSH)), torn: false });
        }
        let Some(fault) = &mut this.fault else {
            return Poll::Pending;
        };
        if fault.torn {
            // Nothing more comes: writing what came last ends the connection, and this with it.
            // An error here would end it before that is written.
            return Poll::Pending;
        }
        ready!(fault.sleep.as_mut().poll(cx));
        fault.torn = true;
        if let Some(link) = &this.link {
            link.tear();
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(LAST)))))
    }

    fn is_end_stream(&self) -> bool {
        self.fault.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
