//! A call on its way through the cache.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header, response::Parts};
use http_body::Body;
use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::util::Oneshot;
use tower_aoai_core::{BoxError, CallContext, Error};
use tower_service::Service;

use super::{
    AnswerBody, CacheStatus,
    lead::Follower,
    part::{Part, is_kept},
    store::Answer,
};
use crate::gather::{Gather, Gathered};

/// The response header that says where an answer comes from: `hit`, `shared` or `miss`.
pub const CACHE_HEADER: HeaderName = HeaderName::from_static("x-aoai-cache");

const POLLED_AGAIN: &str = "a future was polled after it had answered";

/// The future of a [`Cache`](super::Cache).
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S, B, RB>
where
    S: Service<Request<B>>,
{
    #[pin]
    state: State<S, B, RB>,
    /// `None` where nothing is cached.
    part: Option<Part>,
}

#[pin_project(project = StateProj)]
enum State<S, B, RB>
where
    S: Service<Request<B>>,
{
    Known(Option<Response<AnswerBody<RB>>>),
    Following {
        follower: Follower,
        waiting: Option<(S, Request<B>)>,
        #[pin]
        patience: Sleep,
        deadline: Option<Instant>,
    },
    Sending(#[pin] Oneshot<S, Request<B>>),
    Reading {
        head: Option<Parts>,
        body: Option<RB>,
        gather: Gather,
    },
}

impl<S, B, RB> ResponseFuture<S, B, RB>
where
    S: Service<Request<B>>,
{
    pub(super) fn sending(inner: S, request: Request<B>, part: Option<Part>) -> Self {
        Self { state: State::Sending(Oneshot::new(inner, request)), part }
    }

    pub(super) fn hit(answer: Answer, age: Duration, request: &Request<B>) -> Self {
        let mut response = without_a_send(answer, CacheStatus::Hit, request);
        response.headers_mut().insert(header::AGE, HeaderValue::from(age.as_secs()));
        Self { state: State::Known(Some(response)), part: None }
    }

    pub(super) fn following(inner: S, request: Request<B>, follower: Follower, part: Part, now: Instant) -> Self {
        let deadline = request.extensions().get().and_then(CallContext::deadline);
        let patience = now.checked_add(part.settings.follow_for);
        let until = match (patience, deadline) {
            (Some(patience), Some(deadline)) => patience.min(deadline),
            (one, other) => one.or(other).unwrap_or(now),
        };
        let waiting = Some((inner, request));
        Self { state: State::Following { follower, waiting, patience: sleep_until(until), deadline }, part: Some(part) }
    }
}

/// An answer for which nothing was sent, or not by this call.
fn without_a_send<B, RB>(answer: Answer, status: CacheStatus, request: &Request<B>) -> Response<AnswerBody<RB>> {
    let Answer { status: code, headers, body } = answer;
    let mut response = Response::new(AnswerBody::whole(body));
    *response.status_mut() = code;
    *response.headers_mut() = headers;
    mark(response.headers_mut(), status);
    response.extensions_mut().insert(status);
    if let Some(context) = request.extensions().get::<CallContext>() {
        context.note_served(|served| served.from_cache = true);
        response.extensions_mut().insert(context.served());
    }
    response
}

fn mark(headers: &mut HeaderMap, status: CacheStatus) {
    headers.insert(CACHE_HEADER, HeaderValue::from_static(status.name()));
}

impl<S, B, RB> Future for ResponseFuture<S, B, RB>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    RB: Body<Data = Bytes> + Unpin,
    RB::Error: Into<BoxError>,
{
    type Output = Result<Response<AnswerBody<RB>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match (this.state.as_mut().project(), this.part.as_mut()) {
                (StateProj::Known(response), _) => return Poll::Ready(Ok(response.take().expect(POLLED_AGAIN))),
                (StateProj::Following { follower, waiting, patience, deadline }, Some(part)) => {
                    let news = match follower.poll(cx) {
                        Poll::Ready(news) => news,
                        Poll::Pending => {
                            ready!(patience.poll(cx));
                            None
                        }
                    };
                    let now = Instant::now();
                    let (inner, mut request) = waiting.take().expect(POLLED_AGAIN);
                    match part.hear(news, now, *deadline)? {
                        Some(answer) => State::Known(Some(without_a_send(answer, CacheStatus::Shared, &request))),
                        None => {
                            CallContext::of(&mut request).set_now(now);
                            State::Sending(Oneshot::new(inner, request))
                        }
                    }
                }
                (StateProj::Sending(call), part) => {
                    let answer = ready!(call.poll(cx)).map_err(Error::flatten);
                    let Some(part) = part else {
                        return Poll::Ready(answer.map(|response| response.map(AnswerBody::inner)));
                    };
                    let (mut head, body) = answer.map_err(|error| part.failed(error))?.into_parts();
                    mark(&mut head.headers, CacheStatus::Miss);
                    head.extensions.insert(CacheStatus::Miss);
                    if !is_kept(&head) && !part.shares_failures() {
                        part.unfit();
                        return Poll::Ready(Ok(Response::from_parts(head, AnswerBody::inner(body))));
                    }
                    let gather = Gather::new(part.settings.answer_bytes);
                    State::Reading { head: Some(head), body: Some(body), gather }
                }
                (StateProj::Reading { head, body, gather }, Some(part)) => {
                    let gathered = ready!(gather.poll(Pin::new(body.as_mut().expect(POLLED_AGAIN)), cx));
                    let gathered = gathered.map_err(|error| part.failed(Error::flatten(error)))?;
                    let (head, rest) = (head.take().expect(POLLED_AGAIN), body.take().expect(POLLED_AGAIN));
                    let read = gather.take();
                    let body = match gathered {
                        Gathered::Whole => {
                            part.answered(&head, &read);
                            AnswerBody::whole(read)
                        }
                        Gathered::TooLong => {
                            part.unfit();
                            AnswerBody::begun(read, rest)
                        }
                    };
                    return Poll::Ready(Ok(Response::from_parts(head, body)));
                }
                (StateProj::Following { .. } | StateProj::Reading { .. }, None) => panic!("{POLLED_AGAIN}"),
            };
            this.state.set(next);
        }
    }
}

impl<S, B, RB> fmt::Debug for ResponseFuture<S, B, RB>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Known(_) => "known",
            State::Following { .. } => "following",
            State::Sending(_) => "sending",
            State::Reading { .. } => "reading",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
