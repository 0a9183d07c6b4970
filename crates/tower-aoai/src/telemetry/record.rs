//! What is told of each attempt and each call when it has ended.

use std::{fmt, sync::Arc, time::Duration};

use http::StatusCode;
use tokio::time::Instant;
use tower_aoai_core::{Operation, Outcome, Priority, Reason, Served, Timeout, Usage};

/// Is told of every attempt and every call: what metrics and statistics are made of.
///
/// A call is begun once and told of once, whatever becomes of it, and so is an attempt: what counts up at the one and
/// down at the other counts what is under way. The methods are called from inside `poll` and `Drop`, and on the way of
/// every call: they should take some tens of nanoseconds, and must neither block nor panic.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use tower_aoai::telemetry::{CallEnding, CallRecord, Recorder};
///
/// #[derive(Debug, Default)]
/// struct Answered(AtomicU64);
///
/// impl Recorder for Answered {
///     fn call(&self, record: &CallRecord) {
///         self.0.fetch_add(u64::from(record.ending == CallEnding::Answered), Relaxed);
///     }
/// }
/// ```
pub trait Recorder: fmt::Debug + Send + Sync {
    /// A call came in.
    fn call_began(&self, _operation: Operation) {}

    /// A call has ended.
    fn call(&self, _record: &CallRecord) {}

    /// A request goes down to the endpoint of that name.
    fn attempt_began(&self, _endpoint: &Arc<str>) {}

    /// What went down to an endpoint has ended.
    fn attempt(&self, _record: &AttemptRecord) {}
}

/// What became of one request that went down to one endpoint.
///
/// Its `Debug` holds names, numbers and instants: no key, no prompt, no answer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AttemptRecord {
    /// The endpoint's name, as its [`AttemptTelemetryLayer`](super::AttemptTelemetryLayer) was given it.
    pub endpoint: Arc<str>,
    /// The leg of a fallback that the call was in.
    pub leg: Option<Arc<str>>,
    /// What was asked of the model.
    pub operation: Operation,
    /// The model that the answer names, else what the request named: a deployment or a model.
    pub model: Option<Arc<str>>,
    /// The model that the answer names.
    pub answer_model: Option<Arc<str>>,
    /// The deployment that the answer's `x-ms-deployment-name` names, else the one that the request named.
    pub deployment: Option<Arc<str>>,
    /// What its result means. Without an [`ObserveLayer`](tower_aoai_core::ObserveLayer) below, what the head of the answer
    /// tells, if its body was read to the end; where a layer below [`refused`](Self::refused) it, what that means to the layers above.
    pub outcome: Outcome,
    /// The status of the answer; `None` where none came.
    pub status: Option<StatusCode>,
    /// Why a layer below refused it without sending it.
    pub refused: Option<Reason>,
    /// The time limit that ended it.
    pub timed_out: Option<Timeout>,
    /// Whether it was sent: what was not cost nothing.
    pub is_sent: bool,
    /// Whether the answer was an event stream.
    pub is_streamed: bool,
    /// How often the call had been sent before, to whatever endpoint.
    pub resends: u32,
    /// What the send before it had come to, if there was one and it is known: why the call was sent again.
    pub resent_after: Option<Outcome>,
    /// From the send to the head of the answer.
    pub first_byte: Option<Duration>,
    /// From the send to the first content that was handed on.
    pub first_content: Option<Duration>,
    /// From the send (or, of what was not sent, from when it came down) until the outcome was known.
    pub duration: Duration,
    /// What the answer said it used.
    pub usage: Option<Usage>,
    /// When the outcome was known.
    pub ended: Instant,
}

impl AttemptRecord {
    /// A record of something that was sent to `endpoint` and ended in `outcome`; everything else is unknown, or nothing.
    #[must_use]
    pub fn new(endpoint: impl Into<Arc<str>>, outcome: Outcome, ended: Instant) -> Self {
        Self {
            endpoint: endpoint.into(),
            leg: None,
            operation: Operation::default(),
            model: None,
            answer_model: None,
            deployment: None,
            outcome,
            status: None,
            refused: None,
            timed_out: None,
            is_sent: true,
            is_streamed: false,
            resends: 0,
            resent_after: None,
            first_byte: None,
            first_content: None,
            duration: Duration::ZERO,
            usage: None,
            ended,
        }
    }

    /// What went wrong, in one word of a small fixed set, as OpenTelemetry's `error.type` wants it: the time limit's
    /// [name](Timeout::name), a refusal's [code](Reason::code), else the outcome's [name](Outcome::name); `None` of a
    /// success.
    #[must_use]
    pub fn error_type(&self) -> Option<&'static str> {
        let timeout = self.timed_out.map(Timeout::name);
        let outcome = || (self.outcome != Outcome::Success).then(|| self.outcome.name());
        timeout.or_else(|| self.refused.map(Reason::code)).or_else(outcome)
    }
}

/// What became of one call.
///
/// Its `Debug` holds names, numbers and instants: no key, no prompt, no answer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CallRecord {
    /// What was asked of the model.
    pub operation: Operation,
    /// What the request named: a deployment or a model. A caller's word, so it may be anything.
    pub asked: Option<Arc<str>>,
    /// The model that answered, as the answer names it; else what a layer asked for in another's stead, or what was
    /// [`asked`](Self::asked).
    pub model: Option<Arc<str>>,
    /// The model that the answer names.
    pub answer_model: Option<Arc<str>>,
    /// How it ended.
    pub ending: CallEnding,
    /// The status of the answer; `None` where none came.
    pub status: Option<StatusCode>,
    /// Whether the answer was an event stream.
    pub is_streamed: bool,
    /// Who served it, as far as the layers have said: endpoint, leg, spill, the legs that did not serve it.
    pub served: Served,
    /// How often it was sent, in all legs together.
    pub attempts: u32,
    /// Of these, how often it was sent again in the same leg.
    pub retries: u32,
    /// The time spent waiting here: for hints, backoff and quota. A wait counts when it is over, so that of who left during
    /// one it is not told.
    pub waited: Duration,
    /// From the door to the end.
    pub duration: Duration,
    /// From the door to the first content that was handed on.
    pub first_content: Option<Duration>,
    /// From the door to the end of a streamed answer's content: to when an observer knew that the stream had ended well,
    /// which it says behind the last of it. `None` of every other answer.
    pub last_content: Option<Duration>,
    /// How many events of a streamed answer carried content.
    pub content_events: u64,
    /// What the answer said it used.
    pub usage: Option<Usage>,
    /// The most output tokens that were asked for, all [choices](tower_aoai_core::Call::choices) together: what a quota
    /// reserves.
    pub reserved_output: Option<u64>,
    /// What the call has cost with all its attempts, in nano-dollars; `None` where no
    /// cost layer stands in the stack, or the price of an attempt is not known.
    pub spend_nano_dollars: Option<u64>,
    /// The class in which it waited.
    pub priority: Priority,
    /// When it ended.
    pub ended: Instant,
}

impl CallRecord {
    /// A record of a call that ended so; everything else is unknown, or nothing.
    #[must_use]
    pub fn new(ending: CallEnding, ended: Instant) -> Self {
        Self {
            operation: Operation::default(),
            asked: None,
            model: None,
            answer_model: None,
            ending,
            status: None,
            is_streamed: false,
            served: Served::default(),
            attempts: 0,
            retries: 0,
            waited: Duration::ZERO,
            duration: Duration::ZERO,
            first_content: None,
            last_content: None,
            content_events: 0,
            usage: None,
            reserved_output: None,
            spend_nano_dollars: None,
            priority: Priority::default(),
            ended,
        }
    }

    /// How long each event of a streamed answer with content took after the one before it, on average, and how many such
    /// times there were: all but the first. `None` where there were none.
    #[must_use]
    pub fn time_per_chunk(&self) -> Option<(Duration, u64)> {
        let gaps = self.content_events.checked_sub(1).filter(|gaps| *gaps > 0)?;
        let streamed = self.last_content?.checked_sub(self.first_content?)?;
        Some((streamed.div_f64(gaps as f64), gaps))
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallEnding {
    /// With the whole of a good answer.
    Answered,
    /// A layer refused it: the server was not asked, or not asked again.
    Refused {
        /// Why.
        reason: Reason,
        /// Which layer.
        by: &'static str,
    },
    /// With an answer that is none, or without one: what the last attempt means.
    Failed(Outcome),
    /// A time limit ran out, the call's deadline among them, before or in its answer.
    TimedOut(Timeout),
    /// The caller went away before the end.
    Cancelled,
    /// The answer failed after the first content had been handed on.
    BrokenOff,
}

impl CallEnding {
    /// A short name for logs and metrics: `answered`, `refused`, `failed`, `timed_out`, `cancelled`, `broken_off`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused { .. } => "refused",
            Self::Failed(_) => "failed",
            Self::TimedOut(_) => "timed_out",
            Self::Cancelled => "cancelled",
            Self::BrokenOff => "broken_off",
        }
    }

    /// What went wrong, in one word of a small fixed set, as OpenTelemetry's `error.type` wants it: a refusal's
    /// [code](Reason::code), an outcome's [name](Outcome::name), the time limit's, `cancelled` or `broken`; `None` of a
    /// call that was answered.
    #[must_use]
    pub const fn error_type(&self) -> Option<&'static str> {
        match self {
            Self::Answered => None,
            Self::Refused { reason, .. } => Some(reason.code()),
            Self::Failed(outcome) => Some(outcome.name()),
            Self::TimedOut(timeout) => Some(timeout.name()),
            Self::Cancelled => Some(Outcome::Cancelled.name()),
            Self::BrokenOff => Some(Outcome::Broken.name()),
        }
    }

    /// Whether the fault is the caller's own: a filtered or too long prompt, a parameter that does not exist.
    #[must_use]
    pub const fn is_callers_own(&self) -> bool {
        matches!(
            self,
            Self::Failed(Outcome::Refused | Outcome::ContextLength | Outcome::TooLarge)
                | Self::Refused {
                    reason: Reason::BodyTooLarge { .. }
                        | Reason::ContextLength
                        | Reason::TooLarge
                        | Reason::Unsupported,
                    ..
                }
        )
    }
}
