use std::{fmt, sync::Arc, time::Duration};

use http::StatusCode;
use tokio::time::Instant;
use tower_aoai_core::{
    Attempt, AzureClassifier, Call, CallContext, Error, Guard, Outcome, QuotaHeaders, Scope, Timeout, Usage,
    classify::{ResponseHead, judge_head},
    later,
};

use crate::{
    Cause, Ending, Local, Permit, Store,
    shared::{Shape, Shared},
};

/// How long a throttled answer that does not say how long shuts the gate.
const WITHOUT_A_HINT: Duration = Duration::from_secs(1);

/// What a server answers that has too much to do; a quota that is spent is not among it.
const OVERLOAD: [StatusCode; 3] =
    [StatusCode::REQUEST_TIMEOUT, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];

/// A granted charge of one attempt: returned or settled exactly once, when it is dropped.
#[must_use = "a reservation that is dropped is returned"]
pub struct Reservation<St: Store = Local> {
    /// Boxed, for it moves from the future into the body, and that on through every layer above.
    permit: Box<Permit<St>>,
    attempt: Arc<Attempt>,
    shape: Option<Shape>,
    /// The inner service has the request: without an observer, nobody knows whether it was sent.
    is_handed_down: bool,
    is_throttled: bool,
    /// Azure let another deployment serve it: this one has refused it, and charges nothing.
    is_spilled: bool,
    /// It ended as with a server that has too much to do.
    is_overload: bool,
}

impl<St: Store> Reservation<St> {
    pub(crate) fn new(permit: Permit<St>, context: &mut CallContext) -> Self {
        let (shape, attempt) = (permit.shared().map(|shared| shared.shape(context)), context.attempt());
        Self {
            permit: Box::new(permit),
            attempt,
            shape,
            is_handed_down: false,
            is_throttled: false,
            is_spilled: false,
            is_overload: false,
        }
    }

    /// The attempt that it was granted for.
    #[must_use]
    pub fn attempt(&self) -> &Arc<Attempt> {
        &self.attempt
    }

    /// What was granted, and whether it was sent.
    pub fn permit(&self) -> &Permit<St> {
        &self.permit
    }

    pub(crate) const fn hand_down(&mut self) {
        self.is_handed_down = true;
    }

    /// Lets the charge age from the send, once there was one.
    pub(crate) fn stamp(&mut self) {
        if self.permit.is_reserved()
            && let Some(sent) = self.attempt.sent()
        {
            if let Some(shared) = self.permit.shared() {
                shared.note_observed();
            }
            self.permit.sent_at(sent);
        }
    }

    /// What the answer says of the quota, once it is judged.
    fn hear(&mut self, now: Instant) {
        if let Some(verdict) = self.attempt.verdict() {
            self.heed(verdict.outcome, now);
        }
    }

    fn heed(&mut self, outcome: Outcome, now: Instant) {
        match outcome {
            Outcome::Throttled { hint, scope } => {
                let cause = match scope {
                    Scope::Requests | Scope::Capacity => Cause::Quota,
                    _ => Cause::Tokens,
                };
                self.shut(now, hint.map(|hint| hint.after), cause);
            }
            Outcome::Transient { hint: Some(hint) } => self.shut(now, Some(hint.after), Cause::Health),
            _ => {}
        }
        let is_answered = outcome == Outcome::Success && !self.is_spilled;
        self.permit.ended(if is_answered { Ending::Answered } else { Ending::Unknown });
        if matches!(outcome, Outcome::Throttled { scope: Scope::Capacity, .. })
            || (self.is_overload && matches!(outcome, Outcome::Transient { .. }))
        {
            self.permit.ended(Ending::Overloaded);
        }
    }

    fn shut(&mut self, now: Instant, hint: Option<Duration>, cause: Cause) {
        if self.is_throttled {
            return;
        }
        self.is_throttled = true;
        let after = hint.filter(|hint| !hint.is_zero()).unwrap_or(WITHOUT_A_HINT);
        tracing::debug!(
            wait_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            ?cause,
            "the server is not to be asked for a while"
        );
        if let Some(shared) = self.permit.shared() {
            shared.store.shut(later(now, after), cause);
        }
    }
}

impl<St: Store> Guard for Reservation<St> {
    fn head(&mut self, head: ResponseHead<'_>) {
        self.stamp();
        self.is_spilled = head.spilled_from().is_some();
        self.is_overload = OVERLOAD.contains(&head.status);
        // What the head alone says, should nobody below say more.
        self.permit.ended(if self.is_overload {
            Ending::Overloaded
        } else if head.status.is_success() && !self.is_spilled {
            Ending::Answered
        } else {
            Ending::Unknown
        });
        let throttles = matches!(head.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        // Of what was spilled they are another deployment's.
        let headers = (!head.headers.is_empty())
            .then(|| QuotaHeaders::read(head.headers))
            .filter(|told| *told != QuotaHeaders::default())
            .filter(|_| !self.is_spilled);
        if !self.permit.is_reserved() && !throttles && headers.is_none() {
            return;
        }
        let now = Instant::now();
        // Nobody stamped the send: the head is the first that is known of it.
        self.permit.sent_at(now);
        if let Some(headers) = headers {
            self.permit.heard(&headers);
        }
        self.hear(now);
        if throttles && self.attempt.verdict().is_none() {
            // Nobody below judged it. A wait for one request that is too large for good is no gate for the others.
            self.heed(judge_head(&AzureClassifier::default(), &Call::default(), head).outcome, now);
        }
    }

    fn failed(&mut self, error: &Error) {
        // A layer below said no: nothing was sent.
        self.is_handed_down &= error.rejected().is_none();
        if error.timeout().is_some_and(|timeout| timeout != Timeout::Deadline) {
            self.is_overload = true;
            self.permit.ended(Ending::Overloaded);
        }
    }
}

impl<St: Store> Drop for Reservation<St> {
    fn drop(&mut self) {
        self.stamp();
        if self.permit.is_reserved() {
            if !self.is_handed_down || self.permit.shared().is_none_or(Shared::is_observed) {
                return;
            }
            self.permit.sent_at(Instant::now());
        }
        let (progress, usage) = self.attempt.look(|state| (state.progress, state.usage));
        let Some(verdict) = progress.verdict else {
            return;
        };
        self.heed(verdict.outcome, progress.ended.unwrap_or_else(Instant::now));
        let (Some(shared), Some(shape)) = (self.permit.shared(), self.shape) else {
            return;
        };
        if let Some(usage) = &usage {
            shared.learn(&shape, usage);
        }
        let is_refused = matches!(verdict.outcome, Outcome::Throttled { .. } | Outcome::TooLarge);
        if self.is_spilled || is_refused {
            // Where the server corrects; where it does not, a refusal counts like any other call.
            self.permit.used(0);
        } else if let Some(usage) = usage {
            let actual = shared.estimate.actual(&usage);
            self.permit.used(actual);
        } else if shape.is_stream && progress.content_events > 0 {
            let seen = shared.estimate.actual(&Usage::new(shape.prompt, progress.content_events));
            self.permit.seen(seen);
        }
    }
}

impl<St: Store> fmt::Debug for Reservation<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.permit.fmt(f)
    }
}
