//! A call that waits for others, or does not.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::util::Oneshot;
use tower_aoai_core::{BoxError, CallContext, Error, Timeout};
use tower_service::Service;

use super::{
    AnswerBody, MergeHandle, Merged,
    drive::{Answered, Bodies, Driven, Sent, Waiting},
    groups::Place,
};
use crate::answer::again;

const POLLED_AGAIN: &str = "a future was polled after it had answered";

/// The future of a [`MergeEmbeddings`](super::MergeEmbeddings).
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    #[pin]
    state: State<S, B>,
}

#[pin_project(project = StateProj)]
enum State<S, B>
where
    S: Service<Request<B>>,
{
    Waiting {
        // Before the group's future, so that nobody sits where nobody sends.
        seat: Seat,
        driven: Driven,
        own: Option<(S, Request<B>)>,
        handle: MergeHandle,
        #[pin]
        deadline: Option<Sleep>,
    },
    Sending(#[pin] Oneshot<S, Request<B>>),
}

/// A place in a group; given up when it is dropped, if the group was not sent yet.
#[derive(Debug)]
pub(super) struct Seat {
    waiting: Waiting,
    place: Place,
}

impl Seat {
    pub(super) const fn new(waiting: Waiting, place: Place) -> Self {
        Self { waiting, place }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.waiting.lock().leave(self.place);
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn passed(inner: S, request: Request<B>) -> Self {
        Self { state: State::Sending(Oneshot::new(inner, request)) }
    }

    pub(super) fn waiting(
        inner: S,
        request: Request<B>,
        driven: Driven,
        seat: Seat,
        handle: MergeHandle,
        deadline: Option<Instant>,
    ) -> Self {
        let own = Some((inner, request));
        Self { state: State::Waiting { seat, driven, own, handle, deadline: deadline.map(sleep_until) } }
    }
}

impl<S, B, RB> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Output = Result<Response<AnswerBody<RB>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Waiting { seat, driven, own, handle, deadline } => {
                    let Poll::Ready(sent) = Pin::new(driven).poll(cx) else {
                        return match deadline.as_pin_mut() {
                            Some(deadline) => deadline.poll(cx).map(|()| Err(Timeout::Deadline.into())),
                            None => Poll::Pending,
                        };
                    };
                    let (inner, mut request) = own.take().expect(POLLED_AGAIN);
                    match &*sent {
                        Sent::Answered(answered) => {
                            return Poll::Ready(Ok(part(answered, seat.place.seat, &request)));
                        }
                        Sent::Failed(error) => return Poll::Ready(Err(again(error))),
                        Sent::Apart => handle.count(|counts| counts.apart += 1),
                        Sent::Alone => {}
                    }
                    CallContext::of(&mut request).set_now(Instant::now());
                    State::Sending(Oneshot::new(inner, request))
                }
                StateProj::Sending(call) => {
                    let response = ready!(call.poll(cx)).map_err(Error::flatten)?;
                    return Poll::Ready(Ok(response.map(AnswerBody::inner)));
                }
            };
            state.set(next);
        }
    }
}

/// One caller's part of an answer.
fn part<B, RB>(answered: &Answered, seat: u64, request: &Request<B>) -> Response<AnswerBody<RB>> {
    let body = match &answered.bodies {
        Bodies::Same(body) => body.clone(),
        Bodies::Each(bodies) => {
            bodies.iter().find(|(of, _)| *of == seat).map_or_else(Bytes::new, |(_, body)| body.clone())
        }
    };
    let mut response = Response::new(AnswerBody::whole(body));
    *response.status_mut() = answered.status;
    *response.headers_mut() = answered.headers.clone();
    response.extensions_mut().insert(Merged { callers: answered.callers, inputs: answered.inputs });
    response.extensions_mut().insert(answered.served.clone());
    if let Some(context) = request.extensions().get::<CallContext>() {
        context.note_served(|served| *served = answered.served.clone());
    }
    response
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Waiting { .. } => "waiting",
            State::Sending(_) => "sending",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
