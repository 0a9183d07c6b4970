use std::{fmt, sync::Arc, time::Duration};

use http::StatusCode;
use tokio::time::Instant;
use tower_aoai_core::{
    Attempt, AzureClassifier, Call, Error, Guard, Outcome, QuotaHeaders, Scope, Timeout,
    classify::{ResponseHead, judge_head},
};

use crate::{Ending, Permit, desk::News, window::later};

/// How long a throttled answer that does not say how long shuts the gate.
const WITHOUT_A_HINT: Duration = Duration::from_secs(1);

/// What a server answers that has too much to do; a quota that is spent is not among it.
const OVERLOAD: [StatusCode; 3] =
    [StatusCode::REQUEST_TIMEOUT, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];

/// A granted charge of one attempt: returned or settled exactly once, when it is dropped.
#[must_use = "a reservation that is dropped is returned"]
pub struct Reservation {
    permit: Permit,
    attempt: Arc<Attempt>,
    /// The inner service has the request: without an observer, nobody knows whether it was sent.
    is_handed_down: bool,
    is_throttled: bool,
    /// It ended as with a server that has too much to do.
    is_overload: bool,
}

impl Reservation {
    pub(crate) const fn new(permit: Permit, attempt: Arc<Attempt>) -> Self {
        Self { permit, attempt, is_handed_down: false, is_throttled: false, is_overload: false }
    }

    /// The attempt that it was granted for.
    #[must_use]
    pub fn attempt(&self) -> &Arc<Attempt> {
        &self.attempt
    }

    /// What was granted, and whether it was sent.
    pub const fn permit(&self) -> &Permit {
        &self.permit
    }

    pub(crate) const fn hand_down(&mut self) {
        self.is_handed_down = true;
    }

    /// Lets the charge age from the send, once there was one.
    pub(crate) fn stamp(&mut self) {
        if self.permit.is_reserved()
            && let Some(sent) = self.attempt.progress().sent
        {
            self.permit.shared().note_observed();
            self.permit.sent_at(sent, sent);
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
                let news = match scope {
                    Scope::Requests | Scope::Capacity => News::Quota,
                    _ => News::Tokens,
                };
                self.shut(now, hint.map(|hint| hint.after), news);
            }
            Outcome::Transient { hint: Some(hint) } => self.shut(now, Some(hint.after), News::Health),
            _ => {}
        }
        self.permit.ended(if outcome == Outcome::Success { Ending::Answered } else { Ending::Unknown });
        if matches!(outcome, Outcome::Throttled { scope: Scope::Capacity, .. })
            || (self.is_overload && matches!(outcome, Outcome::Transient { .. }))
        {
            self.permit.ended(Ending::Overloaded);
        }
    }

    fn shut(&mut self, now: Instant, hint: Option<Duration>, news: News) {
        if self.is_throttled {
            return;
        }
        self.is_throttled = true;
        let after = hint.filter(|hint| !hint.is_zero()).unwrap_or(WITHOUT_A_HINT);
        tracing::debug!(
            wait_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            ?news,
            "the server is not to be asked for a while"
        );
        self.permit.shared().change(|desk, wakes| desk.shut_until(now, later(now, after), news, wakes));
    }
}

impl Guard for Reservation {
    fn head(&mut self, head: ResponseHead<'_>) {
        self.stamp();
        self.is_overload = OVERLOAD.contains(&head.status);
        // What the head alone says, should nobody below say more.
        self.permit.ended(if self.is_overload {
            Ending::Overloaded
        } else if head.status.is_success() {
            Ending::Answered
        } else {
            Ending::Unknown
        });
        let throttles = matches!(head.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let headers = (!head.headers.is_empty())
            .then(|| QuotaHeaders::read(head.headers))
            .filter(|told| *told != QuotaHeaders::default());
        if !self.permit.is_reserved() && !throttles && headers.is_none() {
            return;
        }
        let now = Instant::now();
        // Nobody stamped the send: the head is the first that is known of it.
        self.permit.sent_at(now, now);
        if let Some(headers) = headers {
            self.permit.heard(now, &headers);
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

impl Drop for Reservation {
    fn drop(&mut self) {
        self.stamp();
        let now = Instant::now();
        if self.permit.is_reserved() {
            if self.is_handed_down && !self.permit.shared().is_observed() {
                self.permit.sent_at(now, now);
            } else {
                self.permit.end(now);
                return;
            }
        }
        self.hear(now);
        if let Some(usage) = self.attempt.usage() {
            let actual = self.permit.shared().estimate.actual(&usage);
            self.permit.used(actual);
        }
        self.permit.end(now);
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.permit.fmt(f)
    }
}
