//! A call on its way through the door.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use pin_project::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::{NAME, collect::Collect};
use crate::{BoxError, Call, CallContext, Error, POLLED_AGAIN, Reason, Rejected, RequestBody};

/// What [`Prepare`](super::Prepare) answers with: collects the body, then calls the inner service.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S, B, F> {
    #[pin]
    state: State<S, B, F>,
}

#[pin_project(project = StateProj)]
enum State<S, B, F> {
    TooLarge {
        limit: usize,
    },
    Collecting {
        #[pin]
        body: Collect<B>,
        head: Request<()>,
        inner: S,
        started: Instant,
        waited: bool,
    },
    Answering {
        #[pin]
        answer: F,
        context: CallContext,
    },
    Done,
}

impl<S, B, F> ResponseFuture<S, B, F> {
    pub(super) fn too_large(limit: usize) -> Self {
        let state = State::TooLarge { limit };
        Self { state }
    }

    pub(super) fn collecting(inner: S, head: Request<()>, body: Collect<B>, started: Instant) -> Self {
        let state = State::Collecting { body, head, inner, started, waited: false };
        Self { state }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B, S::Future>
where
    S: Service<Request<RequestBody>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<R>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let result = loop {
            let next = match state.as_mut().project() {
                StateProj::TooLarge { limit } => {
                    let reason = Reason::BodyTooLarge { limit: *limit };
                    break Err(Rejected::new(reason, NAME).into());
                }
                StateProj::Collecting { body, head, inner, started, waited } => {
                    let Poll::Ready(body) = body.poll(cx) else {
                        *waited = true;
                        return Poll::Pending;
                    };
                    let body = match body {
                        Ok(body) => body,
                        Err(error) => break Err(error),
                    };
                    let now = if *waited { Instant::now() } else { *started };
                    let (request, context) = prepared(mem::take(head), body, *started, now);
                    State::Answering { answer: inner.call(request), context }
                }
                StateProj::Answering { answer, context } => {
                    let result = ready!(answer.poll(cx)).map_err(Error::flatten);
                    break result.map(|response| answered(response, context));
                }
                StateProj::Done => panic!("{POLLED_AGAIN}"),
            };
            state.set(next);
        };
        state.set(State::Done);
        Poll::Ready(result)
    }
}

fn prepared(head: Request<()>, body: Bytes, started: Instant, now: Instant) -> (Request<RequestBody>, CallContext) {
    let (mut head, ()) = head.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::TRANSFER_ENCODING);
    let call = Call::read(&head.uri, &head.headers, &body);
    let mut context = CallContext::enter(head.extensions.remove(), call, started);
    context.set_now(now);
    head.extensions.insert(context.clone());
    (Request::from_parts(head, body.into()), context)
}

fn answered<R>(mut response: Response<R>, context: &CallContext) -> Response<R> {
    response.extensions_mut().get_or_insert_with(|| context.served());
    response
}

impl<S, B, F> fmt::Debug for ResponseFuture<S, B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::TooLarge { .. } => "too large",
            State::Collecting { .. } => "collecting",
            State::Answering { .. } => "answering",
            State::Done => "done",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
