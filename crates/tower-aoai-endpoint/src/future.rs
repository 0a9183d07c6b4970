use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use futures_util::future::FutureExt;
use http::{Request, Response, StatusCode};
use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_aoai_core::{BoxError, CallContext, Error, Reason, Rejected, RequestBody};
use tower_service::Service;

use crate::{
    TokenCache,
    handle::Counters,
    layer::{NAME, Settings},
    refresh::Lease,
    token_cache::{Answer, Refreshing},
};

/// The future of an [`Endpoint`](crate::Endpoint).
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    service: S,
    settings: Option<Arc<Settings>>,
    /// Why nothing is sent.
    rejected: Option<Rejected>,
    /// What is sent next, without its credential.
    request: Option<Request<RequestBody>>,
    /// The token for it.
    lease: Option<Lease>,
    /// A token being obtained: waited for where there is no lease, else carried along.
    refreshing: Option<Refreshing>,
    /// Until when a token is waited for.
    timer: Option<Pin<Box<Sleep>>>,
    is_clock_stale: bool,
    step: Step,
    #[pin]
    calling: Option<S::Future>,
    /// The request once more, should its token be refused. Boxed as what follows, for both are rare, and large.
    spare: Option<Box<Request<RequestBody>>>,
    /// The answer that refused the token.
    refusal: Option<Box<S::Response>>,
}

impl<S> ResponseFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    pub(crate) fn new(
        service: S,
        settings: Option<Arc<Settings>>,
        request: Request<RequestBody>,
        rejected: Option<Rejected>,
    ) -> Self {
        Self {
            service,
            settings,
            // Who polls once more after a refusal must not send it as it came.
            request: rejected.is_none().then_some(request),
            rejected,
            lease: None,
            refreshing: None,
            timer: None,
            is_clock_stale: false,
            step: Step::Token,
            calling: None,
            spare: None,
            refusal: None,
        }
    }
}

/// How far a send has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Token,
    Readiness,
    Answer,
}

impl<S, ResB> Future for ResponseFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResB>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<Response<ResB>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(rejected) = this.rejected.take() {
            return Poll::Ready(Err(rejected.into()));
        }
        let settings = this.settings.as_deref();
        let tokens = settings.and_then(|settings| settings.tokens.as_ref());
        loop {
            match (*this.step, this.request.as_mut(), tokens) {
                (Step::Token, Some(request), Some(tokens)) => {
                    let lease = ready!(poll_lease(tokens, CallContext::of(request), this.refreshing, this.timer, cx));
                    let is_other =
                        |lease: &Lease| this.lease.as_ref().is_none_or(|old| old.generation != lease.generation);
                    match (lease, this.refusal.take()) {
                        (Ok(lease), refusal) if is_other(&lease) => {
                            *this.refusal = refusal;
                            *this.lease = Some(lease);
                            *this.step = Step::Readiness;
                        }
                        // No other token came of it: the answer stands.
                        (_, Some(refusal)) => return Poll::Ready(Ok(*refusal)),
                        (Ok(_), None) => return Poll::Pending,
                        (Err(rejected), None) => {
                            count(settings, |counters| &counters.without_token);
                            return Poll::Ready(Err(rejected.into()));
                        }
                    }
                }
                (Step::Token, ..) => *this.step = Step::Readiness,
                (Step::Readiness, Some(request), _) => {
                    carry(this.refreshing, cx);
                    let Poll::Ready(ready) = this.service.poll_ready(cx) else {
                        // A layer that is off keeps no deadline.
                        *this.is_clock_stale = settings.is_some();
                        return Poll::Pending;
                    };
                    let is_stale = std::mem::take(this.is_clock_stale);
                    let checked = ready.map_err(Error::flatten).and_then(|()| {
                        if is_stale { check_start(CallContext::of(request)).map_err(Error::from) } else { Ok(()) }
                    });
                    if is_stale && checked.is_ok() && this.refusal.is_none() {
                        let now = CallContext::of(request).now();
                        if this.lease.take_if(|lease| !lease.token.is_good(now)).is_some() {
                            *this.step = Step::Token;
                            continue;
                        }
                    }
                    match (checked, this.refusal.take()) {
                        (Ok(()), Some(_)) => {
                            CallContext::of(request).restart_attempt();
                            count(settings, |counters| &counters.sent_again);
                        }
                        (Ok(()), None) => *this.spare = tokens.and_then(|tokens| spare(tokens, request)),
                        (Err(_), Some(refusal)) => return Poll::Ready(Ok(*refusal)),
                        (Err(error), None) => return Poll::Ready(Err(error)),
                    }
                    if let Some(Lease { token, .. }) = this.lease {
                        request.headers_mut().insert(token.name(), token.value().clone());
                    }
                    if let Some(request) = this.request.take() {
                        let calling = this.service.call(request);
                        this.calling.set(Some(calling));
                    }
                    *this.step = Step::Answer;
                }
                (Step::Answer, _, _) => {
                    carry(this.refreshing, cx);
                    let Some(calling) = this.calling.as_mut().as_pin_mut() else {
                        return Poll::Pending;
                    };
                    let result = ready!(calling.poll(cx)).map_err(Error::flatten);
                    this.calling.set(None);
                    let is_refused = result.as_ref().is_ok_and(|answer| answer.status() == StatusCode::UNAUTHORIZED);
                    let again = tokens.zip(this.lease.as_ref()).filter(|_| is_refused).and_then(|(tokens, lease)| {
                        let now = Instant::now();
                        // Also where this call is not sent again: the next one is not to be refused for it.
                        let may_do_better = tokens.refused(lease.generation, now);
                        let mut spare = this.spare.take().filter(|_| may_do_better)?;
                        CallContext::of(&mut spare).set_now(now);
                        Some(spare)
                    });
                    let Some(again) = again else {
                        return Poll::Ready(result);
                    };
                    *this.request = Some(*again);
                    *this.refusal = result.ok().map(Box::new);
                    *this.refreshing = None;
                    *this.step = Step::Token;
                }
                (Step::Readiness, None, _) => return Poll::Pending,
            }
        }
    }
}

/// A token that is good, waited for where there is none, until the call must have started.
fn poll_lease(
    tokens: &TokenCache,
    context: &mut CallContext,
    refreshing: &mut Option<Refreshing>,
    timer: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> Poll<Result<Lease, Rejected>> {
    loop {
        if let Some(waited_for) = refreshing {
            if waited_for.poll_unpin(cx).is_pending() {
                let Some(latest) = context.latest_start() else {
                    return Poll::Pending;
                };
                let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(latest)));
                ready!(timer.as_mut().poll(cx));
                return Poll::Ready(Err(too_late(context)));
            }
            *refreshing = None;
            check_start(context)?;
        }
        match tokens.ask(context.now()) {
            Answer::Have(lease, ahead) => {
                *refreshing = ahead;
                return Poll::Ready(Ok(lease));
            }
            Answer::Wait(one) => *refreshing = Some(one),
            Answer::Refused(rejected) => return Poll::Ready(Err(rejected)),
        }
    }
}

/// Drives a token along that is being obtained ahead.
fn carry(refreshing: &mut Option<Refreshing>, cx: &mut Context<'_>) {
    if refreshing.as_mut().is_some_and(|one| one.poll_unpin(cx).is_ready()) {
        *refreshing = None;
    }
}

/// The request once more, if its token may be replaced by another one and the call may be sent twice.
fn spare(tokens: &TokenCache, request: &mut Request<RequestBody>) -> Option<Box<Request<RequestBody>>> {
    let context = CallContext::of(request);
    if !tokens.can_change() || context.attempts_left() == Some(0) {
        return None;
    }
    // The one that both sends belong to.
    context.attempt();
    Some(Box::new(request.clone()))
}

/// What was waited for may have taken more time than the call has.
fn check_start(context: &mut CallContext) -> Result<(), Rejected> {
    let now = Instant::now();
    context.set_now(now);
    if context.latest_start().is_some_and(|latest| latest <= now) { Err(too_late(context)) } else { Ok(()) }
}

fn too_late(context: &CallContext) -> Rejected {
    let is_deadline = context.deadline().is_some() && context.deadline() == context.latest_start();
    Rejected::new(if is_deadline { Reason::Deadline } else { Reason::StartBy }, NAME)
}

fn count(settings: Option<&Settings>, which: impl FnOnce(&Counters) -> &AtomicU64) {
    if let Some(settings) = settings {
        which(&settings.counters).fetch_add(1, Relaxed);
    }
}

impl<S> fmt::Debug for ResponseFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("step", &self.step)
            .field("is_again", &self.refusal.is_some())
            .finish_non_exhaustive()
    }
}
