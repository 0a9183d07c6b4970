use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project::{pin_project, pinned_drop};
use tokio::time::Instant;
use tower_aoai_core::{
    BoxError, CallContext, Error, Outcome, Reason, Rejected, Replay, RetryGrant, Verdict, try_clone_request,
    classify::{ResponseHead, judge_head},
};
use tower_service::Service;

use crate::{
    GiveUp, RetryEvent, RetryPolicy,
    drain::Drain,
    handle::End,
    layer::Shared,
    pause::Pause,
    session::{Failure, Limits, Retry, Session},
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
    has_ended: bool,
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
            has_ended: false,
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
                    // An instance whose readiness failed must not be used again, so this ends the call.
                    if let Err(error) = ready!(this.service.poll_ready(cx)) {
                        this.call.end(End::GaveUp(GiveUp::Final));
                        return Poll::Ready(Err(Error::flatten(error)));
                    }
                    let Some(mut request) = this.request.take() else {
                        return Poll::Pending;
                    };
                    if !this.call.passes_through {
                        if this.call.may_fail_once_more() {
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
                        this.call.has_ended = true;
                        return Poll::Ready(result);
                    }
                    let Some(retry) = this.call.decide(&result) else {
                        return Poll::Ready(result);
                    };
                    let drain = result.ok().map(|response| Drain::new(response.into_body()));
                    let pause = this.call.pause(&retry);
                    *this.request = this.spare.take();
                    this.state.set(State::Waiting { pause, drain });
                }
                StateProject::Waiting { pause, drain } => {
                    if let Some(drain) = drain.as_pin_mut() {
                        // Alongside the wait, which does not depend on it.
                        let _ = drain.poll(cx);
                    }
                    ready!(pause.poll(cx));
                    this.state.set(State::Readying);
                    if let Err(rejected) = this.call.resume() {
                        return Poll::Ready(Err(rejected.into()));
                    }
                }
            }
        }
    }
}

impl Call {
    fn policy(&self) -> &RetryPolicy {
        self.own_policy.as_ref().unwrap_or(&self.shared.policy)
    }

    fn may_fail_once_more(&self) -> bool {
        self.session.may_fail_once_more(self.policy())
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

    /// What comes after a try: `None` if it stands.
    fn decide<ResB>(&mut self, result: &Result<Response<ResB>, Error>) -> Option<Retry> {
        let verdict = match result {
            Err(Error::Rejected(rejected)) if !self.was_sent() => {
                return self.decide_refusal(rejected);
            }
            Err(error) => self.shared.classify.failure(error, self.has_content()),
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
        let failure = Failure::Attempt {
            verdict,
            retry_at: self.context.retry_at(),
        };
        self.settle(failure, now, Some(verdict.outcome))
    }

    fn decide_refusal(&mut self, rejected: &Rejected) -> Option<Retry> {
        self.settle(Failure::Refusal(rejected), Instant::now(), None)
    }

    fn settle(
        &mut self,
        failure: Failure<'_>,
        now: Instant,
        outcome: Option<Outcome>,
    ) -> Option<Retry> {
        let limits = Limits {
            deadline: self.context.deadline(),
            start_by: self.context.start_by(),
        };
        let draw = self.shared.generator.fraction();
        let mut session = self.session;
        let decision = session.after(failure, self.policy(), limits, now, draw);
        self.session = session;
        let decision = decision.and_then(|retry| self.permit(retry, now));
        match decision {
            Ok(retry) => {
                tracing::debug!(
                    attempt = self.session.sends(),
                    outcome = outcome.map(|outcome| outcome.name()),
                    reason = ?retry.reason,
                    delay_ms = u64::try_from(retry.delay.as_millis()).unwrap_or(u64::MAX),
                    "the call is tried again"
                );
                Some(retry)
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

    fn pause(&mut self, retry: &Retry) -> Pause {
        self.shared.handle.retried(retry.reason, retry.delay);
        self.context
            .note_served(|served| served.waited = served.waited.saturating_add(retry.delay));
        let outcome = self
            .context
            .last_attempt()
            .and_then(|attempt| attempt.verdict())
            .map(|verdict| verdict.outcome);
        let hook = self.shared.hook.as_ref();
        let hook =
            hook.map(|hook| hook.call(RetryEvent::new(self.session.sends(), retry, outcome)));
        Pause::until(retry.at, hook)
    }

    /// After the wait: a hook may have made it longer than the call has time.
    fn resume(&mut self) -> Result<(), Rejected> {
        let now = Instant::now();
        self.context.set_now(now);
        if self
            .context
            .deadline()
            .is_some_and(|deadline| now >= deadline)
        {
            self.end(End::GaveUp(GiveUp::Deadline));
            return Err(Rejected::new(Reason::Deadline, NAME));
        }
        Ok(())
    }

    fn judge<ResB>(&self, response: &Response<ResB>) -> Verdict {
        let attempt = self
            .context
            .last_attempt()
            .filter(|attempt| attempt.is_sent());
        match attempt {
            // An observed answer without a verdict is a stream that is well so far.
            Some(attempt) => attempt.verdict().unwrap_or(Outcome::Success.into()),
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
        if !self.has_ended {
            self.has_ended = true;
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
        if matches!(&*this.state, State::Calling(_)) {
            // Nobody can say any more whether the retry was sent: it counts.
            if let Some(grant) = this.call.grant.take() {
                grant.spend();
            }
            if !this.call.passes_through && !this.call.has_ended {
                this.call.session.sent();
            }
        }
        if !this.call.passes_through {
            this.call.end(End::Cancelled);
        }
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
