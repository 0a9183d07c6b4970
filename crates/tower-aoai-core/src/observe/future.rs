//! From the send to the response.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Response, header::CONTENT_LENGTH, response::Parts};
use http_body::Body;
use pin_project::pin_project;
use tokio::time::{Instant, Sleep};

use super::{
    ObservedBody,
    ahead::{Ahead, Goal},
    watch::{JsonWatch, StreamWatch, Watch},
    witness::Witness,
};
use crate::{
    BoxError, Error, Operation, POLLED_AGAIN,
    classify::{HeadVerdict, ResponseHead},
    duration::later,
    headers,
};

/// The future of [`Observe`](super::Observe).
///
/// Dropped before it was polled it leaves no trace: nothing was sent. Dropped later, the attempt is cancelled.
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F, R> {
    #[pin]
    state: State<F, R>,
    // Behind the inner future, so that it outlives it. Boxed, for it moves from here into the body, and that on through
    // every layer above.
    witness: Option<Box<Witness>>,
}

#[pin_project(project = StateProj)]
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a future is moved once, and boxing would cost every call an allocation")]
enum State<F, R> {
    Calling(#[pin] F),
    Reading {
        ahead: Ahead<R>,
        #[pin]
        timer: Option<Sleep>,
    },
    Done,
}

impl<F, R> ResponseFuture<F, R> {
    pub(super) fn new(inner: F, witness: Option<Box<Witness>>) -> Self {
        Self { state: State::Calling(inner), witness }
    }
}

impl<F, R, E> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<ObservedBody<R>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let result = match this.state.as_mut().project() {
                StateProj::Calling(inner) => {
                    if let Some(witness) = this.witness.as_mut() {
                        witness.sent();
                    }
                    let result = ready!(inner.poll(cx)).map_err(Error::flatten);
                    match begin(result, this.witness.take()) {
                        Begun::Over(result) => result,
                        Begun::Ahead(ahead) => {
                            let timer = None;
                            this.state.set(State::Reading { ahead, timer });
                            continue;
                        }
                    }
                }
                StateProj::Reading { ahead, timer } => ready!(ahead.poll(timer, cx)),
                StateProj::Done => panic!("{POLLED_AGAIN}"),
            };
            this.state.set(State::Done);
            return Poll::Ready(result);
        }
    }
}

type Observed<R> = Response<ObservedBody<R>>;

/// What follows the head.
enum Begun<R> {
    Over(Result<Observed<R>, Error>),
    Ahead(Ahead<R>),
}

fn begin<R>(result: Result<Response<R>, Error>, witness: Option<Box<Witness>>) -> Begun<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    let Some(mut witness) = witness else {
        let unwatched = |body| ObservedBody::new(body, Watch::Off, None);
        return Begun::Over(result.map(|response| response.map(unwatched)));
    };
    let (parts, body) = match result {
        Ok(response) => response.into_parts(),
        Err(error) => {
            let verdict = witness.judge_failure(&error, false);
            witness.end(verdict);
            return Begun::Over(Err(error));
        }
    };
    let now = Instant::now();
    let head = ResponseHead { status: parts.status, headers: &parts.headers };
    match witness.head(now, head) {
        HeadVerdict::Known(verdict) => {
            witness.end(verdict);
            let body = ObservedBody::new(body, Watch::Off, None);
            Begun::Over(Ok(Response::from_parts(parts, body)))
        }
        HeadVerdict::ReadBody => {
            let settings = witness.settings();
            let time = settings.error_for;
            let bytes = if time.is_zero() { 0 } else { settings.error_bytes };
            let body = ObservedBody::new(body, Watch::Off, Some(witness));
            let response = Response::from_parts(parts, body);
            Begun::Ahead(Ahead::new(response, Goal::ErrorBody, later(now, time), bytes))
        }
        HeadVerdict::Open => open(parts, body, witness, now),
    }
}

/// A success so far.
fn open<R>(mut parts: Parts, body: R, mut witness: Box<Witness>, now: Instant) -> Begun<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    let settings = witness.settings();
    let (time, bytes) = (settings.hold_for, settings.hold_bytes);
    let watch = choose(&parts, &witness);
    if watch.strips() {
        parts.headers.remove(CONTENT_LENGTH);
    }
    let may_fail = match &watch {
        Watch::Stream(_) => true,
        // A responses object says itself if it failed.
        Watch::Json(_) => witness.context().call().operation == Operation::Responses,
        Watch::Off | Watch::End { .. } => false,
    };
    if may_fail {
        witness.keep_headers(&parts.headers);
    }
    let mut body = ObservedBody::new(body, watch, Some(witness));
    body.end_if_empty();
    let holds = body.is_preamble() && !time.is_zero() && bytes > 0;
    let response = Response::from_parts(parts, body);
    if holds {
        Begun::Ahead(Ahead::new(response, Goal::Content, later(now, time), bytes))
    } else {
        Begun::Over(Ok(response))
    }
}

/// What a body is watched for, by its type; what is compressed cannot be read.
fn choose(parts: &Parts, witness: &Witness) -> Watch {
    if headers::is_compressed(&parts.headers) {
        Watch::End { content: false }
    } else if headers::is_event_stream(&parts.headers) {
        let strips = witness.context().usage_added();
        Watch::Stream(Box::new(StreamWatch::new(witness.settings().event_bytes, strips)))
    } else if headers::is_json(&parts.headers) {
        Watch::Json(Box::new(JsonWatch::new()))
    } else {
        Watch::End { content: false }
    }
}
