use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project::{pin_project, pinned_drop};
use tower_aoai_core::{BoxError, Error, Replay, Spare};
use tower_service::Service;

use crate::{call::Call, drain::Drain, pause::Pause};

/// The future of a [`RetryAfter`](crate::RetryAfter).
#[pin_project(PinnedDrop)]
pub struct ResponseFuture<S, B, ResB>
where
    S: Service<Request<B>>,
{
    service: S,
    #[pin]
    state: State<B, S::Future, ResB>,
    /// What is sent after that, should it come to it.
    spare: Option<Spare<B>>,
    /// Whose retries this layer owns; `None` if it passes through.
    call: Option<Call>,
}

#[pin_project(project = StateProject)]
#[derive(Debug)]
enum State<B, F, ResB> {
    /// With what is sent next; `None` where there is nothing any more.
    Readying(Option<Request<B>>),
    Calling(#[pin] F),
    Waiting {
        #[pin]
        pause: Pause,
        #[pin]
        drain: Option<Drain<ResB>>,
    },
}

impl<S, B, ResB> ResponseFuture<S, B, ResB>
where
    S: Service<Request<B>>,
{
    pub(crate) const fn new(service: S, request: Request<B>, call: Option<Call>) -> Self {
        Self { service, state: State::Readying(Some(request)), spare: None, call }
    }
}

impl<S, B, ResB> Future for ResponseFuture<S, B, ResB>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    S::Error: Into<BoxError>,
    B: Replay,
    ResB: Body,
{
    type Output = Result<Response<ResB>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProject::Readying(request) => {
                    match this.service.poll_ready(cx) {
                        Poll::Ready(Ok(())) => {}
                        // An instance whose readiness failed must not be used again, so this ends the call.
                        Poll::Ready(Err(error)) => {
                            if let Some(call) = this.call {
                                call.never_got_ready();
                            }
                            return Poll::Ready(Err(Error::flatten(error)));
                        }
                        Poll::Pending => {
                            if let Some(call) = this.call {
                                call.waits_for_readiness();
                            }
                            return Poll::Pending;
                        }
                    }
                    let Some(mut request) = request.take() else {
                        return Poll::Pending;
                    };
                    if let Some(call) = this.call {
                        match call.begin(&mut request) {
                            Ok(spare) => *this.spare = spare,
                            Err(late) => return Poll::Ready(Err(late.into())),
                        }
                    }
                    let future = this.service.call(request);
                    this.state.set(State::Calling(future));
                }
                StateProject::Calling(future) => {
                    let result = ready!(future.poll(cx)).map_err(Error::flatten);
                    let pause = this.call.as_mut().and_then(|call| call.decide(&result));
                    let Some(pause) = pause else {
                        return Poll::Ready(result);
                    };
                    let drain = result.ok().map(|response| Drain::new(response.into_body()));
                    this.state.set(State::Waiting { pause, drain });
                }
                StateProject::Waiting { pause, drain } => {
                    if let Some(drain) = drain.as_pin_mut() {
                        // Alongside the wait, which does not depend on it.
                        let _ = drain.poll(cx);
                    }
                    ready!(pause.poll(cx));
                    if let Some(call) = this.call {
                        call.resume();
                    }
                    let again = this.call.as_ref().zip(this.spare.take()).map(|(call, spare)| call.again(spare));
                    this.state.set(State::Readying(again));
                }
            }
        }
    }
}

#[pinned_drop]
impl<S, B, ResB> PinnedDrop for ResponseFuture<S, B, ResB>
where
    S: Service<Request<B>>,
{
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();
        if let Some(call) = this.call {
            call.dropped(matches!(&*this.state, State::Calling(_)));
        }
    }
}

impl<S, B, ResB> fmt::Debug for ResponseFuture<S, B, ResB>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("call", &self.call).finish_non_exhaustive()
    }
}
