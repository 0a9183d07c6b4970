use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tokio::time::Instant;
use tower_aoai_core::{BoxError, CallContext, Error, Guard, GuardedBody, Reason, Rejected, classify::ResponseHead};
use tower_service::Service;

use crate::{Acquire, Local, Reservation, ResponseBody, Store, desk::NAME};

/// The future of a [`TokenBucket`](crate::TokenBucket).
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S, B, St = Local>
where
    S: Service<Request<B>>,
    St: Store,
{
    service: S,
    request: Option<Request<B>>,
    /// The wait; `None` once it is over.
    acquire: Option<Acquire<St>>,
    /// Whether the inner service was not ready when the call was let through.
    is_clock_stale: bool,
    #[pin]
    calling: Option<S::Future>,
    /// Behind what it guards, so that it is dropped after it.
    reservation: Option<Reservation<St>>,
}

impl<S, B, St> ResponseFuture<S, B, St>
where
    S: Service<Request<B>>,
    St: Store,
{
    pub(crate) const fn new(service: S, request: Request<B>, acquire: Option<Acquire<St>>) -> Self {
        Self { service, request: Some(request), acquire, is_clock_stale: false, calling: None, reservation: None }
    }
}

impl<S, B, St, ResB> Future for ResponseFuture<S, B, St>
where
    St: Store,
    S: Service<Request<B>, Response = Response<ResB>>,
    S::Error: Into<BoxError>,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<ResB, St>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if let Some(calling) = this.calling.as_mut().as_pin_mut() {
                let polled = calling.poll(cx);
                if let Some(reservation) = this.reservation {
                    reservation.stamp();
                }
                let result = ready!(polled).map_err(Error::flatten);
                this.calling.set(None);
                return Poll::Ready(finish(result, this.reservation.take()));
            }
            if let Some(acquire) = this.acquire {
                let admitted = ready!(acquire.poll_at(cx));
                *this.acquire = None;
                let (permit, now) = admitted?;
                if let Some(request) = this.request {
                    let context = CallContext::of(request);
                    context.set_now(now);
                    let waited = permit.waited();
                    if !waited.is_zero() {
                        context.note_served(|served| served.waited = served.waited.saturating_add(waited));
                    }
                    *this.reservation = Some(Reservation::new(permit, context));
                }
            }
            match this.service.poll_ready(cx) {
                Poll::Ready(ready) => ready.map_err(Error::flatten)?,
                Poll::Pending => {
                    *this.is_clock_stale = true;
                    return Poll::Pending;
                }
            }
            let Some(mut request) = this.request.take() else {
                return Poll::Pending;
            };
            if let Some(reservation) = this.reservation {
                if *this.is_clock_stale {
                    check_start(CallContext::of(&mut request))?;
                }
                reservation.hand_down();
            }
            let future = this.service.call(request);
            this.calling.set(Some(future));
        }
    }
}

/// The inner service's readiness may have taken more time than the call has.
fn check_start(context: &mut CallContext) -> Result<(), Rejected> {
    let now = Instant::now();
    context.set_now(now);
    match context.latest_start() {
        Some(latest) if latest <= now => {
            let is_deadline = context.deadline() == Some(latest);
            Err(Rejected::new(if is_deadline { Reason::Deadline } else { Reason::StartBy }, NAME))
        }
        _ => Ok(()),
    }
}

fn finish<ResB, St>(
    result: Result<Response<ResB>, Error>,
    mut reservation: Option<Reservation<St>>,
) -> Result<Response<ResponseBody<ResB, St>>, Error>
where
    St: Store,
    ResB: Body<Data = Bytes>,
{
    match result {
        Ok(response) => {
            if let Some(reservation) = &mut reservation {
                reservation.head(ResponseHead { status: response.status(), headers: response.headers() });
            }
            Ok(response.map(|body| GuardedBody::new(body, reservation)))
        }
        Err(error) => {
            if let Some(reservation) = &mut reservation {
                reservation.failed(&error);
            }
            Err(error)
        }
    }
}

impl<S, B, St> fmt::Debug for ResponseFuture<S, B, St>
where
    S: Service<Request<B>>,
    St: Store,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("acquire", &self.acquire)
            .field("reservation", &self.reservation)
            .finish_non_exhaustive()
    }
}
