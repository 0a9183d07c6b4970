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
    /// Whether the inner service was not ready when the call was let through.
    is_clock_stale: bool,
    #[pin]
    call: Call<Request<B>, S::Future>,
    /// Behind what it guards, so that it is dropped after it.
    quota: Held<St>,
}

/// Never both: what is not moved for nothing may as well share its room.
#[pin_project(project = CallProj, project_replace = CallOwned)]
enum Call<R, F> {
    Waits(R),
    Runs(#[pin] F),
    Over,
}

enum Held<St: Store> {
    Nothing,
    Waits(Acquire<St>),
    Granted(Reservation<St>),
}

impl<St: Store> Held<St> {
    fn take(&mut self) -> Option<Reservation<St>> {
        match std::mem::replace(self, Self::Nothing) {
            Self::Granted(reservation) => Some(reservation),
            _ => None,
        }
    }
}

impl<S, B, St> ResponseFuture<S, B, St>
where
    S: Service<Request<B>>,
    St: Store,
{
    pub(crate) fn new(service: S, request: Request<B>, acquire: Option<Acquire<St>>) -> Self {
        let quota = acquire.map_or(Held::Nothing, Held::Waits);
        Self { service, is_clock_stale: false, call: Call::Waits(request), quota }
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
            let request = match this.call.as_mut().project() {
                CallProj::Waits(request) => request,
                CallProj::Runs(running) => {
                    let polled = running.poll(cx);
                    if let Held::Granted(reservation) = this.quota {
                        reservation.stamp();
                    }
                    let result = ready!(polled).map_err(Error::flatten);
                    this.call.set(Call::Over);
                    return Poll::Ready(finish(result, this.quota.take()));
                }
                CallProj::Over => return Poll::Pending,
            };
            if let Held::Waits(acquire) = this.quota {
                let admitted = ready!(acquire.poll_at(cx));
                *this.quota = Held::Nothing;
                let (permit, now) = admitted?;
                let reservation = CallContext::with(request, |context| {
                    context.set_now(now);
                    let waited = permit.waited();
                    if !waited.is_zero() {
                        context.note_served(|served| served.waited = served.waited.saturating_add(waited));
                    }
                    Reservation::new(permit, context)
                });
                *this.quota = Held::Granted(reservation);
            }
            match this.service.poll_ready(cx) {
                Poll::Ready(ready) => ready.map_err(Error::flatten)?,
                Poll::Pending => {
                    *this.is_clock_stale = true;
                    return Poll::Pending;
                }
            }
            if let Held::Granted(reservation) = this.quota {
                if *this.is_clock_stale {
                    check_start(CallContext::of(request))?;
                }
                reservation.hand_down();
            }
            if let CallOwned::Waits(request) = this.call.as_mut().project_replace(Call::Over) {
                let running = this.service.call(request);
                this.call.set(Call::Runs(running));
            }
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
        let mut shown = f.debug_struct("ResponseFuture");
        match &self.quota {
            Held::Nothing => &mut shown,
            Held::Waits(acquire) => shown.field("acquire", acquire),
            Held::Granted(reservation) => shown.field("reservation", reservation),
        }
        .finish_non_exhaustive()
    }
}
