use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, response};
use http_body::Body;
use pin_project::pin_project;
use tokio::time::{Sleep, sleep_until};
use tower_aoai_core::{BoxError, CallContext, Error, GuardedBody, Reason, Rejected, Replay, Spare};
use tower_service::Service;

use crate::{
    ResponseBody,
    course::{Course, Next},
    kept::KeptBody,
};

/// The layer's name in a refusal.
const NAME: &str = "fallback";

/// The future of a [`Fallback`](crate::Fallback).
///
/// Dropping it drops the leg under way; no other is entered.
#[pin_project]
pub struct ResponseFuture<S, B, ResB>
where
    S: Service<Request<B>>,
{
    legs: Arc<[S]>,
    #[pin]
    state: State<S, S::Future>,
    /// What goes into the leg that is to be entered.
    request: Option<Request<B>>,
    /// What would go into the next one.
    spare: Option<Spare<B>>,
    /// The last answer of a server, in case that no leg serves the call.
    kept: Option<Box<(response::Parts, KeptBody<ResB>)>>,
    /// Behind what it guards, so that it is dropped after it.
    course: Course,
}

#[pin_project(project = StateProject)]
enum State<S, F> {
    /// Until the leg is ready, or it is too late for it.
    Entering {
        service: Option<S>,
        too_late: Option<Pin<Box<Sleep>>>,
    },
    Calling(#[pin] F),
    Answered,
}

impl<S, F> State<S, F> {
    const fn entering() -> Self {
        Self::Entering { service: None, too_late: None }
    }
}

impl<S, B, ResB> ResponseFuture<S, B, ResB>
where
    S: Service<Request<B>>,
{
    pub(crate) const fn new(legs: Arc<[S]>, request: Request<B>, course: Course) -> Self {
        Self { legs, state: State::entering(), request: Some(request), spare: None, kept: None, course }
    }
}

impl<S, B, ResB> Future for ResponseFuture<S, B, ResB>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
    S::Error: Into<BoxError>,
    B: Replay,
    ResB: Body<Data = Bytes> + Unpin,
    ResB::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<ResB>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(kept) = this.kept {
            kept.1.read_ahead(cx);
        }
        loop {
            let result = match this.state.as_mut().project() {
                StateProject::Entering { service, too_late } => {
                    if service.is_none()
                        && let Some(request) = this.request
                    {
                        CallContext::with(request, |below| this.course.enter(below));
                    }
                    let Some(leg) = this.legs.get(this.course.leg()) else {
                        return Poll::Pending;
                    };
                    let service = service.get_or_insert_with(|| leg.clone());
                    let ready = match service.poll_ready(cx).map_err(Error::flatten) {
                        Poll::Ready(ready) => ready,
                        Poll::Pending => {
                            this.course.waits_for_readiness();
                            let Some(at) = this.course.start_by() else {
                                return Poll::Pending;
                            };
                            ready!(too_late.get_or_insert_with(|| Box::pin(sleep_until(at))).as_mut().poll(cx));
                            Err(Rejected::new(Reason::StartBy, NAME).into())
                        }
                    };
                    let clock = this.course.start();
                    match ready {
                        Ok(()) => {
                            if this.course.has_more() {
                                *this.spare = this.request.as_ref().and_then(Spare::of);
                            }
                            let Some(mut request) = this.request.take() else {
                                return Poll::Pending;
                            };
                            if let Some(now) = clock {
                                CallContext::of(&mut request).set_now(now);
                            }
                            let calling = service.call(request);
                            this.state.set(State::Calling(calling));
                            continue;
                        }
                        // An instance whose readiness failed is of no use any more; another leg's may be.
                        Err(error) => {
                            *this.spare = this.request.take().map(Spare::from);
                            Err(error)
                        }
                    }
                }
                StateProject::Calling(calling) => ready!(calling.poll(cx)).map_err(Error::flatten),
                StateProject::Answered => return Poll::Pending,
            };
            this.state.set(State::Answered);
            let next = this.course.after(&result, this.spare.is_some());
            if next == Next::Leg {
                if let Ok(response) = result {
                    let (head, body) = response.into_parts();
                    let mut body = KeptBody::new(body);
                    body.read_ahead(cx);
                    *this.kept = Some(Box::new((head, body)));
                }
                if let Some(spare) = this.spare.take() {
                    *this.request = Some(spare.into_request(this.course.context()));
                    this.state.set(State::entering());
                }
                continue;
            }
            *this.spare = None;
            let tally = this.course.take_tally();
            return Poll::Ready(match result {
                Ok(response) => Ok(response.map(|body| GuardedBody::new(KeptBody::new(body), tally))),
                Err(error) => match this.kept.take().filter(|_| next == Next::Nobody) {
                    // A server's answer tells more than that nobody was asked.
                    Some(kept) => Ok(Response::from_parts(kept.0, GuardedBody::new(kept.1, tally))),
                    None => Err(this.course.error(error)),
                },
            });
        }
    }
}

impl<S, B, ResB> fmt::Debug for ResponseFuture<S, B, ResB>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("course", &self.course).finish_non_exhaustive()
    }
}
