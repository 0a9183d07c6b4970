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
use tower_aoai_core::{BoxError, CallContext, Error, GuardedBody, Reason, Rejected, Replay, try_clone_request};
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
    state: State<S, B, S::Future>,
    /// The last answer of a server, in case that no leg serves the call.
    kept: Option<Box<(response::Parts, KeptBody<ResB>)>>,
    /// Behind what it guards, so that it is dropped after it.
    course: Course,
}

#[pin_project(project = StateProject)]
enum State<S, B, F> {
    /// Until the leg is ready, or it is too late for it.
    Entering { service: Option<S>, request: Option<Request<B>>, too_late: Option<Pin<Box<Sleep>>> },
    /// With what would be sent into the next leg.
    Calling {
        #[pin]
        calling: F,
        spare: Option<Request<B>>,
    },
}

impl<S, B, F> State<S, B, F> {
    const fn entering(request: Option<Request<B>>) -> Self {
        Self::Entering { service: None, request, too_late: None }
    }
}

impl<S, B, ResB> ResponseFuture<S, B, ResB>
where
    S: Service<Request<B>>,
{
    pub(crate) const fn new(legs: Arc<[S]>, request: Request<B>, course: Course) -> Self {
        Self { legs, state: State::entering(Some(request)), kept: None, course }
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
            let (result, spare) = match this.state.as_mut().project() {
                StateProject::Entering { service, request, too_late } => {
                    let leg = this.legs.get(this.course.leg()).filter(|_| request.is_some());
                    let Some(leg) = leg else {
                        // Polled after it has answered.
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
                    let Some(mut request) = request.take() else {
                        return Poll::Pending;
                    };
                    this.course.hand_down(&mut request);
                    match ready {
                        Ok(()) => {
                            let spare = if this.course.has_more() { try_clone_request(&request) } else { None };
                            let calling = service.call(request);
                            this.state.set(State::Calling { calling, spare });
                            continue;
                        }
                        // An instance whose readiness failed is of no use any more; another leg's may be.
                        Err(error) => (Err(error), Some(request)),
                    }
                }
                StateProject::Calling { calling, spare } => {
                    let result = ready!(calling.poll(cx)).map_err(Error::flatten);
                    (result, spare.take())
                }
            };
            this.state.set(State::entering(None));
            let result = match this.course.after(&result, spare.is_some()) {
                Next::Stands => result.map(|response| response.map(KeptBody::new)),
                Next::Leg => {
                    if let Ok(response) = result {
                        let (head, body) = response.into_parts();
                        let mut body = KeptBody::new(body);
                        body.read_ahead(cx);
                        *this.kept = Some(Box::new((head, body)));
                    }
                    if let Some(mut request) = spare {
                        this.course.enter(CallContext::of(&mut request));
                        this.state.set(State::entering(Some(request)));
                    }
                    continue;
                }
                Next::Nobody => match (result, this.kept.take()) {
                    (Ok(response), _) => Ok(response.map(KeptBody::new)),
                    // A server's answer tells more than that nobody was asked.
                    (Err(_), Some(kept)) => Ok(Response::from_parts(kept.0, kept.1)),
                    (Err(error), None) => Err(this.course.error(error)),
                },
            };
            let tally = this.course.take_tally();
            return Poll::Ready(result.map(|response| response.map(|body| GuardedBody::new(body, tally))));
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
