use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project::pin_project;
use tower_aoai_core::{BoxError, CallContext, Error, Outcome, Replay, try_clone_request};
use tower_service::Service;

use crate::Leg;

/// The future of a [`Fallback`](crate::Fallback).
#[pin_project]
pub struct ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    legs: Arc<[Leg<S>]>,
    context: CallContext,
    /// The leg under way.
    leg: usize,
    /// What is sent into the next leg.
    request: Option<Request<B>>,
    /// What is sent into the one after it.
    spare: Option<Request<B>>,
    service: Option<S>,
    #[pin]
    calling: Option<S::Future>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(crate) fn new(legs: Arc<[Leg<S>]>, request: Request<B>, context: CallContext) -> Self {
        Self { legs, context, leg: 0, request: Some(request), spare: None, service: None, calling: None }
    }
}

impl<S, B, ResB> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
    S::Error: Into<BoxError>,
    B: Replay,
{
    type Output = Result<Response<ResB>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if let Some(calling) = this.calling.as_mut().as_pin_mut() {
                let result = ready!(calling.poll(cx)).map_err(Error::flatten);
                this.calling.set(None);
                *this.service = None;
                if !wants_next(&result, this.context) || this.spare.is_none() {
                    return Poll::Ready(result);
                }
                *this.leg += 1;
                *this.request = this.spare.take();
            }
            let Some(leg) = this.legs.get(*this.leg) else {
                return Poll::Pending;
            };
            let service = this.service.get_or_insert_with(|| leg.layer.clone());
            ready!(service.poll_ready(cx)).map_err(Error::flatten)?;
            let Some(mut request) = this.request.take() else {
                return Poll::Pending;
            };
            if this.legs.len() > *this.leg + 1 {
                *this.spare = try_clone_request(&request);
            }
            this.context.note_served(|served| served.leg = Some(Arc::clone(&leg.name)));
            let below = CallContext::of(&mut request);
            below.set_retries_owned(false);
            let future = service.call(request);
            this.calling.set(Some(future));
        }
    }
}

/// Whether another leg may serve what this one could not.
fn wants_next<ResB>(result: &Result<Response<ResB>, Error>, context: &CallContext) -> bool {
    match result {
        Err(error) => error.rejected().is_some(),
        Ok(_) => context
            .last_attempt()
            .and_then(|attempt| attempt.verdict())
            .is_some_and(|verdict| matches!(verdict.outcome, Outcome::Throttled { .. })),
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("leg", &self.leg).finish_non_exhaustive()
    }
}
