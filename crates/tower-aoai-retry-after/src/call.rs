//! What the retries of a call decide, apart from its requests and futures.

use std::{
    fmt, mem,
    sync::{Arc, atomic::Ordering},
};

use http::{Request, Response};
use tokio::time::Instant;
use tower_aoai_core::{
    CallContext, Error, Outcome, Progress, Reason, Rejected, Replay, RetryGrant, Spare, Verdict,
    classify::{ResponseHead, judge_head},
};

use crate::{
    RetryEvent, RetryPolicy,
    handle::End,
    layer::Shared,
    pause::Pause,
    session::{Failure, GiveUp, Limits, Retry, Session},
};

const NAME: &str = "retry-after";

/// One call whose retries this layer owns: its context, its policy, and how far it has come.
pub(crate) struct Call {
    context: CallContext,
    shared: Arc<Shared>,
    /// Rare, and large.
    own_policy: Option<Box<RetryPolicy>>,
    session: Session,
    /// The budget's leave for the retry under way.
    grant: Option<RetryGrant>,
    is_replayable: bool,
    /// When the wait under way began.
    waits_since: Option<Instant>,
    /// Whether the clock was read before the inner service's readiness had to be waited for.
    is_clock_stale: bool,
    /// Whether the call was counted.
    is_counted: bool,
}

impl Call {
    pub(crate) fn new(context: CallContext, shared: Arc<Shared>, own_policy: Option<Box<RetryPolicy>>) -> Self {
        Self {
            session: Session::new(context.now()),
            context,
            shared,
            own_policy,
            grant: None,
            is_replayable: true,
            waits_since: None,
            is_clock_stale: false,
            is_counted: false,
        }
    }

    fn policy(&self) -> &RetryPolicy {
        self.own_policy.as_deref().unwrap_or(&self.shared.policy)
    }

    fn limits(&self) -> Limits {
        Limits {
            deadline: self.context.deadline(),
            start_by: self.context.start_by(),
            expected_service: self.policy().expected_service,
        }
    }

    /// The inner service is not ready: what the clock said last will not be true when it is.
    pub(crate) const fn waits_for_readiness(&mut self) {
        self.is_clock_stale = true;
    }

    /// The inner service failed to get ready.
    pub(crate) fn never_got_ready(&mut self) {
        self.end(End::GaveUp(GiveUp::Final));
    }

    /// Before each send: writes the attempt into the request, and keeps what would be sent again, should it be needed.
    pub(crate) fn begin<B: Replay>(&mut self, request: &mut Request<B>) -> Result<Option<Spare<B>>, Rejected> {
        self.check_start()?;
        let spare = if self.policy().allows_retries() {
            let spare = Spare::of(request);
            self.is_replayable = spare.is_some();
            spare
        } else {
            None
        };
        let sends = self.session.sends().saturating_add(1);
        let left = self.policy().max_attempts.saturating_sub(sends);
        CallContext::with(request, |below| {
            below.begin_attempt();
            below.set_now(self.context.now());
            below.set_retries_owned(true);
            below.set_attempts_left(Some(left));
        });
        Ok(spare)
    }

    /// The request once more, for the next send.
    pub(crate) fn again<B>(&self, spare: Spare<B>) -> Request<B> {
        spare.into_request(self.context.clone())
    }

    /// A hook, or the inner service's readiness, may have taken more time than the call has.
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

    /// The wait for the next try; `None` if this one stands.
    pub(crate) fn decide<ResB>(&mut self, result: &Result<Response<ResB>, Error>) -> Option<Pause> {
        let attempt = self.context.last_attempt();
        let progress = attempt.as_ref().map(|attempt| attempt.progress()).unwrap_or_default();
        let has_content = progress.first_content.is_some();
        let mut verdict = match result {
            Err(Error::Rejected(rejected)) if progress.sent.is_none() => {
                return self.settle(Failure::Refusal(rejected), Instant::now(), None);
            }
            Err(error) => self.shared.classify.failure(error, has_content),
            Ok(response) => self.judge(response, &progress),
        };
        // For a success it is as good as now when an observer saw its head.
        let seen = progress.first_byte.filter(|_| verdict.outcome == Outcome::Success);
        let now = seen.unwrap_or_else(Instant::now);
        self.session.sent_below(progress.restarts);
        if let Some(grant) = self.grant.take() {
            grant.spend(now);
        }
        if let Some(attempt) = attempt {
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
        let failure = Failure::Attempt { verdict, retry_at: self.context.retry_at() };
        self.settle(failure, now, Some(verdict.outcome))
    }

    fn settle(&mut self, failure: Failure<'_>, now: Instant, outcome: Option<Outcome>) -> Option<Pause> {
        let limits = self.limits();
        let draw = self.shared.generator.fraction();
        let policy = self.own_policy.as_deref().unwrap_or(&self.shared.policy);
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
            if !self.shared.warned_unreplayable.swap(true, Ordering::Relaxed) {
                tracing::warn!("a request could not be tried again, because its body can be sent only once; said once");
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
    pub(crate) fn resume(&mut self) {
        let now = Instant::now();
        self.context.set_now(now);
        if let Some(since) = self.waits_since.take() {
            let waited = now.saturating_duration_since(since);
            self.shared.handle.waited(waited);
            self.context.note_served(|served| served.waited = served.waited.saturating_add(waited));
        }
    }

    fn judge<ResB>(&self, response: &Response<ResB>, progress: &Progress) -> Verdict {
        match progress.verdict {
            Some(verdict) => verdict,
            // An observed answer without a verdict is a stream that is well so far.
            None if progress.first_byte.is_some() => Outcome::Success.into(),
            None => {
                let head = ResponseHead { status: response.status(), headers: response.headers() };
                judge_head(&*self.shared.classify, self.context.call(), head)
            }
        }
    }

    /// The future is dropped, perhaps with an attempt under way.
    pub(crate) fn dropped(&mut self, is_calling: bool) {
        if is_calling && !self.is_counted {
            // Nobody can say any more whether it was sent: it counts as if it was.
            self.session.sent();
            if let Some(grant) = self.grant.take() {
                grant.spend(Instant::now());
            }
        }
        self.end(End::Cancelled);
    }

    fn end(&mut self, end: End) {
        if !mem::replace(&mut self.is_counted, true) {
            self.shared.handle.ended(end, self.session.sends());
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.session.fmt(f)
    }
}
