use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, response};
use http_body::Body;
use pin_project::pin_project;
use tower_aoai_core::{BoxError, Error, GuardedBody, Replay, try_clone_request};
use tower_service::Service;

use crate::{
    ResponseBody,
    course::{Course, Next},
    kept::KeptBody,
    tally::Tally,
};

/// The future of a [`Fallback`](crate::Fallback).
///
/// Dropping it drops the leg under way; no other is entered.
#[pin_project]
pub struct ResponseFuture<S, B, ResB>
where
    S: Service<Request<B>>,
{
    legs: Arc<[S]>,
    /// What is sent into the next leg.
    request: Option<Request<B>>,
    /// What is sent into the one after it.
    spare: Option<Request<B>>,
    service: Option<S>,
    #[pin]
    calling: Option<S::Future>,
    /// The last answer of a server, in case that no leg serves the call.
    kept: Option<Box<(response::Parts, KeptBody<ResB>)>>,
    /// Behind what it guards, so that it is dropped after it.
    course: Course,
}

impl<S, B, ResB> ResponseFuture<S, B, ResB>
where
    S: Service<Request<B>>,
{
    pub(crate) const fn new(legs: Arc<[S]>, request: Request<B>, tally: Tally) -> Self {
        let course = Course::new(tally);
        Self { legs, request: Some(request), spare: None, service: None, calling: None, kept: None, course }
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
            let polled = match this.calling.as_mut().as_pin_mut() {
                Some(calling) => calling.poll(cx).map_err(Error::flatten),
                None => {
                    if this.service.is_none() {
                        this.course.choose();
                        *this.service = this.legs.get(this.course.leg()).cloned();
                    }
                    let Some(service) = this.service.as_mut().filter(|_| this.request.is_some()) else {
                        // Polled after it has answered.
                        return Poll::Pending;
                    };
                    match service.poll_ready(cx) {
                        Poll::Pending => {
                            this.course.waits_for_readiness();
                            return Poll::Pending;
                        }
                        Poll::Ready(ready) => {
                            if let Some(mut request) = this.request.take() {
                                *this.spare = this.course.has_more().then(|| try_clone_request(&request)).flatten();
                                this.course.enter(&mut request);
                                if ready.is_ok() {
                                    this.calling.set(Some(service.call(request)));
                                }
                            }
                            match ready {
                                Ok(()) => continue,
                                // An instance whose readiness failed is of no use any more; another leg's may be.
                                Err(error) => Poll::Ready(Err(Error::flatten(error))),
                            }
                        }
                    }
                }
            };
            let Poll::Ready(result) = polled else {
                return Poll::Pending;
            };
            this.calling.set(None);
            *this.service = None;
            let next = this.course.after(&result, this.spare.is_some());
            let result = match next {
                Next::Stands => result.map(|response| response.map(KeptBody::new)),
                Next::Leg => {
                    *this.request = this.spare.take();
                    if let Ok(response) = result {
                        let (head, body) = response.into_parts();
                        let mut body = KeptBody::new(body);
                        body.read_ahead(cx);
                        *this.kept = Some(Box::new((head, body)));
                    }
                    continue;
                }
                Next::Nobody => match result {
                    Ok(response) => Ok(response.map(KeptBody::new)),
                    // A server's answer tells more than that nobody was asked.
                    Err(error) => match this.kept.take() {
                        Some(kept) => Ok(Response::from_parts(kept.0, kept.1)),
                        None => Err(this.course.error(error)),
                    },
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
