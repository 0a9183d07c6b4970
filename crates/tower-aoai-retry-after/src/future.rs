use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project::{pin_project, pinned_drop};
use tokio::time::Instant;
use tower_aoai_core::{
    BoxError, CallContext, Error, Outcome, Reason, Rejected, Replay, RetryGrant, Verdict,
    classify::{ResponseHead, judge_head},
    try_clone_request,
};
use tower_service::Service;

use crate::{
    RetryEvent, RetryPolicy,
    drain::Drain,
    handle::End,
    layer::Shared,
    pause::Pause,
    session::{Failure, GiveUp, Limits, Retry, Session},
};

/// The future of a [`RetryAfter`](crate::RetryAfter).
#[pin_project(PinnedDrop)]
pub struct ResponseFuture<S, B, ResB>
where
    S: Service<Request<B>>,
{
    service: S,
    #[pin]
    state: State<S::Future, ResB>,
    /// What is sent next.
    request: Option<Request<B>>,
    /// What is sent after that, should it come to it.
    spare: Option<Request<B>>,
    call: Call,
}

/// What the call is about, apart from its requests.
struct Call {
    context: CallContext,
    shared: Arc<Shared>,
    own_policy: Option<RetryPolicy>,
    session: Session,
    /// The budget's leave for the retry under way.
    grant: Option<RetryGrant>,
    /// Whether the request has to be sent, once, whatever comes of it, because a layer above owns the retries.
    passes_through: bool,
    is_replayable: bool,
    /// When the wait under way began.
    waits_since: Option<Instant>,
    /// Whether the clock was read before the inner service's readiness had to be waited for.
    is_clock_stale: bool,
    /// Whether the call was counted, or is not to be.
    is_counted: bool,
}

#[pin_project(project = StateProject)]
#[derive(Debug)]
enum State<F, ResB> {
    Readying,
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
    pub(crate) fn new(
        service: S,
        request: Request<B>,
        context: CallContext,
        shared: Arc<Shared>,
        own_policy: Option<RetryPolicy>,
        passes_through: bool,
    ) -> Self {
        let session = Session::new(context.now());
        let call = Call {
            context,
            shared,
            own_policy,
            session,
            grant: None,
            passes_through,
            is_replayable: true,
            waits_since: None,
            is_clock_stale: false,
            is_counted: passes_through,
        };
        Self {
            service,
            state: State::Readying,
            request: Some(request),
            spare: None,
            call,
        }
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
                StateProject::Readying => {
                    match this.service.poll_ready(cx) {
                        Poll::Ready(Ok(())) => {}
                        // An instance whose readiness failed must not be used again, so this ends the call.
                        Poll::Ready(Err(error)) => {
                            this.call.end(End::GaveUp(GiveUp::Final));
                            return Poll::Ready(Err(Error::flatten(error)));
                        }
                        Poll::Pending => {
                            this.call.is_clock_stale = true;
                            return Poll::Pending;
                        }
                    }
                    let Some(mut request) = this.request.take() else {
                        return Poll::Pending;
                    };
                    if !this.call.passes_through {
                        if let Err(late) = this.call.check_start() {
                            return Poll::Ready(Err(late.into()));
                        }
                        if this.call.policy().allows_retries() {
                            *this.spare = try_clone_request(&request);
                            this.call.is_replayable = this.spare.is_some();
                        }
                        this.call.begin_attempt(&mut request);
                    }
                    let future = this.service.call(request);
                    this.state.set(State::Calling(future));
                }
                StateProject::Calling(future) => {
                    let result = ready!(future.poll(cx)).map_err(Error::flatten);
                    if this.call.passes_through {
                        return Poll::Ready(result);
                    }
                    let Some(pause) = this.call.decide(&result) else {
                        return Poll::Ready(result);
                    };
                    let drain = result.ok().map(|response| Drain::new(response.into_body()));
                    *this.request = this.spare.take();
                    this.state.set(State::Waiting { pause, drain });
                }
                StateProject::Waiting { pause, drain } => {
                    if let Some(drain) = drain.as_pin_mut() {
                        // Alongside the wait, which does not depend on it.
                        let _ = drain.poll(cx);
                    }
                    ready!(pause.poll(cx));
                    this.call.resume();
                    this.state.set(State::Readying);
                }
            }
        }
    }
}

impl Call {
    fn policy(&self) -> &RetryPolicy {
        self.own_policy.as_ref().unwrap_or(&self.shared.policy)
    }

    fn limits(&self) -> Limits {
        Limits {
            deadline: self.context.deadline(),
            start_by: self.context.start_by(),
            expected_service: self.policy().expected_service,
        }
    }

    /// Before each attempt: a hook, or the inner service's readiness, may have taken more time than the call has.
    fn check_start(&mut self) -> Result<(), Rejected> {
        if mem::take(&mut self.is_clock_stale) {
            self.context.set_now(Instant::now());
        }
        let Err(why) = self.limits().check(self.context.now()) else {
            return Ok(());
        };
        self.end(End::GaveUp(why));
        let reason = match why {
            GiveUp::StartBy => Reason::StartBy,
            _ => Reason::Deadline,
        };
        Err(Rejected::new(reason, NAME))
    }

    fn begin_attempt<B>(&mut self, request: &mut Request<B>) {
        self.context.begin_attempt();
        let left = self
            .policy()
            .max_attempts
            .saturating_sub(self.session.sends() + 1);
        let mut below = self.context.clone();
        below.set_retries_owned(true);
        below.set_attempts_left(Some(left));
        *CallContext::of(request) = below;
    }

    /// The wait for the next try; `None` if this one stands.
    fn decide<ResB>(&mut self, result: &Result<Response<ResB>, Error>) -> Option<Pause> {
        let has_content = self.has_content();
        let mut verdict = match result {
            Err(Error::Rejected(rejected)) if !self.was_sent() => {
                return self.settle(Failure::Refusal(rejected), Instant::now(), None);
            }
            Err(error) => self.shared.classify.failure(error, has_content),
            Ok(response) => self.judge(response),
        };
        if let Some(grant) = self.grant.take() {
            grant.spend();
        }
        let now = Instant::now();
        if let Some(attempt) = self.context.last_attempt() {
            attempt.judge_unobserved(now, verdict);
        }
        if verdict.outcome == Outcome::Success {
            self.session.sent();
            if let Some(budget) = &self.shared.budget {
                budget.deposit(now);
            }
            self.end(End::Answered);
            return None;
        }
        if has_content {
            // Whatever the classifier thinks of it: somebody has read the beginning.
            verdict.outcome = Outcome::Broken;
        }
        let failure = Failure::Attempt {
            verdict,
            retry_at: self.context.retry_at(),
        };
        self.settle(failure, now, Some(verdict.outcome))
    }

    fn settle(
        &mut self,
        failure: Failure<'_>,
        now: Instant,
        outcome: Option<Outcome>,
    ) -> Option<Pause> {
        let limits = self.limits();
        let draw = self.shared.generator.fraction();
        let policy = self.own_policy.as_ref().unwrap_or(&self.shared.policy);
        let decision = self.session.after(failure, policy, limits, now, draw);
        match decision.and_then(|retry| self.permit(retry, now)) {
            Ok(retry) => {
                self.waits_since = Some(now);
                tracing::debug!(
                    attempt = self.session.sends(),
                    outcome = outcome.map(|outcome| outcome.name()),
                    reason = ?retry.reason,
                    delay_ms = u64::try_from(retry.delay.as_millis()).unwrap_or(u64::MAX),
                    "the call is tried again"
                );
                Some(self.pause(&retry, outcome))
            }
            Err(why) => {
                let attempts = self.session.sends();
                let outcome = outcome.map(|outcome| outcome.name());
                tracing::debug!(attempts, outcome, ?why, "the call is not tried again");
                self.end(End::GaveUp(why));
                None
            }
        }
    }

    /// The last two conditions, which are not the policy's.
    fn permit(&mut self, retry: Retry, now: Instant) -> Result<Retry, GiveUp> {
        if !self.is_replayable {
            if !self
                .shared
                .warned_unreplayable
                .swap(true, Ordering::Relaxed)
            {
                tracing::warn!(
                    "a request could not be tried again, because its body can be sent only once; said once"
                );
            }
            return Err(GiveUp::Unreplayable);
        }
        if retry.budgeted
            && let Some(budget) = &self.shared.budget
        {
            self.grant = Some(budget.withdraw(now).ok_or(GiveUp::Budget)?);
        }
        Ok(retry)
    }

    fn pause(&self, retry: &Retry, outcome: Option<Outcome>) -> Pause {
        self.shared.handle.retried(retry.reason);
        let event = RetryEvent::new(self.session.sends(), retry, outcome);
        let hook = self.shared.hook.as_ref().map(|hook| hook.call(event));
        Pause::until(retry.at, hook)
    }

    /// After the wait.
    fn resume(&mut self) {
        let now = Instant::now();
        self.context.set_now(now);
        if let Some(since) = self.waits_since.take() {
            let waited = now.saturating_duration_since(since);
            self.shared.handle.waited(waited);
            self.context
                .note_served(|served| served.waited = served.waited.saturating_add(waited));
        }
    }

    fn judge<ResB>(&self, response: &Response<ResB>) -> Verdict {
        let progress = self
            .context
            .last_attempt()
            .map(|attempt| attempt.progress())
            .unwrap_or_default();
        match progress.verdict {
            Some(verdict) => verdict,
            // An observed answer without a verdict is a stream that is well so far.
            None if progress.first_byte.is_some() => Outcome::Success.into(),
            None => {
                let head = ResponseHead {
                    status: response.status(),
                    headers: response.headers(),
                };
                judge_head(&*self.shared.classify, self.context.call(), head)
            }
        }
    }

    fn was_sent(&self) -> bool {
        self.context
            .last_attempt()
            .is_some_and(|attempt| attempt.is_sent())
    }

    fn has_content(&self) -> bool {
        self.context
            .last_attempt()
            .is_some_and(|attempt| attempt.has_content())
    }

    fn end(&mut self, end: End) {
        if !mem::replace(&mut self.is_counted, true) {
            self.shared.handle.ended(end, self.session.sends());
        }
    }
}

const NAME: &str = "retry-after";

#[pinned_drop]
impl<S, B, ResB> PinnedDrop for ResponseFuture<S, B, ResB>
where
    S: Service<Request<B>>,
{
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();
        let call = this.call;
        if matches!(&*this.state, State::Calling(_)) && !call.is_counted {
            // Nobody can say any more whether it was sent: it counts as if it was.
            call.session.sent();
            if let Some(grant) = call.grant.take() {
                grant.spend();
            }
        }
        call.end(End::Cancelled);
    }
}

impl<S, B, ResB> fmt::Debug for ResponseFuture<S, B, ResB>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("session", &self.call.session)
            .finish_non_exhaustive()
    }
}
