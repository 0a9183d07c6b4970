//! What was done, by time, endpoint and model: a pure state machine in bounded memory.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use http::StatusCode;
use tokio::time::Instant;
use tower_aoai_core::Outcome;
use tower_aoai_cost::Tokens;

use super::{
    activity::{Activity, Outcomes},
    ring::Ring,
    rotating::Rotating,
};
use crate::telemetry::{AttemptRecord, CallEnding, CallRecord};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

/// Minutes and hours that are remembered besides the one under way.
pub(crate) const MINUTES: usize = 90;
pub(crate) const HOURS: usize = 48;

/// Endpoints that are told apart; further ones are [`OTHER`].
pub(crate) const ENDPOINTS: usize = 64;

/// Models whose outputs are told apart; further ones are [`OTHER`].
pub(crate) const MODELS: usize = 16;

/// Where a name is one too many.
pub(crate) const OTHER: &str = "other";

/// Quantiles of times speak of the last 5 to 10 minutes, those of outputs of the last half to whole hour.
const TIMES: Duration = Duration::from_secs(300);
const LENGTHS: Duration = Duration::from_secs(1_800);

/// Counts, rings of minutes and hours, quantiles: some 400 KiB for a stack of ten endpoints, whatever its uptime.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    pub(crate) started: Instant,
    pub(crate) all: Activity,
    pub(crate) minutes: Ring<Activity>,
    pub(crate) hours: Ring<Activity>,
    pub(crate) duration: Rotating,
    pub(crate) first_content: Rotating,
    pub(crate) waits: Rotating,
    endpoints: HashMap<Arc<str>, EndpointMeter>,
    outputs: HashMap<Arc<str>, OutputMeter>,
}

/// One endpoint's.
#[derive(Debug, Clone)]
pub(crate) struct EndpointMeter {
    pub(crate) outcomes: Outcomes,
    /// What a layer below refused, with nothing sent.
    pub(crate) unsent: u64,
    pub(crate) tokens: Tokens,
    pub(crate) first_byte: Rotating,
    pub(crate) duration: Rotating,
    /// Its quota in use, by the minute, as a share.
    pub(crate) peaks: Ring<f64>,
    pub(crate) throttled: Ring<u64>,
    /// The last thing it said of its configuration: that it is wrong, since then, or, by an answer, that it is right.
    pub(crate) misconfigured_since: Option<Instant>,
    /// The deployments for which it has answered well: those that were asked for last.
    served: VecDeque<Arc<str>>,
}

/// Deployments that an endpoint is remembered to have served.
const SERVED: usize = 32;

/// The outputs of one model's answers to calls that said how much they may have.
#[derive(Debug, Clone)]
pub(crate) struct OutputMeter {
    pub(crate) used: Rotating,
    pub(crate) minutes: Ring<Reserved>,
}

/// What was reserved for outputs, and used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reserved {
    pub(crate) calls: u64,
    pub(crate) input: u64,
    pub(crate) reserved: u64,
    pub(crate) used: u64,
    /// Answers as long as they were allowed to be.
    pub(crate) cut: u64,
}

impl Meter {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            started: now,
            all: Activity::default(),
            minutes: Ring::new(now, MINUTE, MINUTES + 1),
            hours: Ring::new(now, HOUR, HOURS + 1),
            duration: Rotating::new(TIMES),
            first_content: Rotating::new(TIMES),
            waits: Rotating::new(TIMES),
            endpoints: HashMap::new(),
            outputs: HashMap::new(),
        }
    }

    pub(crate) fn call(&mut self, call: &CallRecord) {
        let now = call.ended;
        self.each_period(now, |activity| activity.note(call));
        if call.ending != CallEnding::Cancelled {
            self.waits.record_time(now, call.waited);
        }
        if call.ending == CallEnding::Answered {
            self.duration.record_time(now, call.duration);
            if let Some(first) = call.first_content {
                self.first_content.record_time(now, first);
            }
        }
        if let Some((usage, reserved)) = call.usage.zip(call.reserved_output) {
            let name = call.model.clone().unwrap_or_else(|| OTHER.into());
            let outputs = named(&mut self.outputs, name, MODELS, || OutputMeter::new(now));
            outputs.used.record(now, usage.output);
            let of_minute = outputs.minutes.at(now);
            of_minute.calls += 1;
            of_minute.input = of_minute.input.saturating_add(usage.input);
            of_minute.reserved = of_minute.reserved.saturating_add(reserved);
            of_minute.used = of_minute.used.saturating_add(usage.output);
            of_minute.cut += u64::from(usage.output >= reserved);
        }
    }

    pub(crate) fn attempt(&mut self, attempt: &AttemptRecord) {
        let now = attempt.ended;
        self.each_period(now, |activity| activity.note_attempt(attempt));
        let endpoint = self.endpoint(now, &attempt.endpoint);
        if !attempt.is_sent {
            endpoint.unsent += 1;
            return;
        }
        endpoint.outcomes.count(attempt.outcome);
        if let Some(usage) = attempt.usage {
            endpoint.tokens += usage.into();
        }
        match attempt.outcome {
            Outcome::Success => {
                endpoint.duration.record_time(now, attempt.duration);
                if let Some(first) = attempt.first_byte {
                    endpoint.first_byte.record_time(now, first);
                }
                endpoint.misconfigured_since = None;
                endpoint.note_served(attempt.deployment.as_ref());
            }
            Outcome::Throttled { .. } => *endpoint.throttled.at(now) += 1,
            Outcome::Misconfigured if endpoint.is_at_fault(attempt) => {
                endpoint.misconfigured_since.get_or_insert(now);
            }
            _ => {}
        }
    }

    /// What was seen of an endpoint's quota.
    pub(crate) fn quota_in_use(&mut self, now: Instant, endpoint: &Arc<str>, share: f64) {
        let peak = self.endpoint(now, endpoint).peaks.at(now);
        *peak = peak.max(share);
        self.each_period(now, |activity| activity.peak_quota = activity.peak_quota.max(share));
    }

    pub(crate) fn in_flight(&mut self, now: Instant, calls: u64) {
        self.each_period(now, |activity| activity.peak_in_flight = activity.peak_in_flight.max(calls));
    }

    /// What was held against a window since the last time.
    pub(crate) fn prompts(&mut self, now: Instant, measured: u64, truncated: u64) {
        self.each_period(now, |activity| {
            activity.measured += measured;
            activity.truncated += truncated;
        });
    }

    /// The last so many minutes together, the one under way included.
    pub(crate) fn last_minutes(&self, now: Instant, minutes: usize) -> Activity {
        sum(self.minutes.last(now, minutes))
    }

    pub(crate) fn endpoint_named(&self, name: &str) -> Option<&EndpointMeter> {
        self.endpoints.get(name)
    }

    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (&Arc<str>, &EndpointMeter)> {
        self.endpoints.iter()
    }

    pub(crate) fn outputs(&self) -> impl Iterator<Item = (&Arc<str>, &OutputMeter)> {
        self.outputs.iter()
    }

    /// Forgets endpoints that are not there any more, so that names that come and go find room.
    pub(crate) fn keep_endpoints(&mut self, is_there: impl Fn(&str) -> bool) {
        self.endpoints.retain(|name, _| is_there(name));
    }

    fn endpoint(&mut self, now: Instant, name: &Arc<str>) -> &mut EndpointMeter {
        named(&mut self.endpoints, Arc::clone(name), ENDPOINTS, || EndpointMeter::new(now))
    }

    fn each_period(&mut self, now: Instant, note: impl Fn(&mut Activity)) {
        note(&mut self.all);
        note(self.minutes.at(now));
        note(self.hours.at(now));
    }
}

pub(crate) fn sum(activities: impl Iterator<Item = Activity>) -> Activity {
    activities.fold(Activity::default(), |mut sum, activity| {
        sum += activity;
        sum
    })
}

impl EndpointMeter {
    fn new(now: Instant) -> Self {
        Self {
            outcomes: Outcomes::default(),
            unsent: 0,
            tokens: Tokens::default(),
            first_byte: Rotating::new(TIMES),
            duration: Rotating::new(TIMES),
            peaks: Ring::new(now, MINUTE, 60),
            throttled: Ring::new(now, MINUTE, 60),
            misconfigured_since: None,
            served: VecDeque::new(),
        }
    }

    fn note_served(&mut self, deployment: Option<&Arc<str>>) {
        if let Some(deployment) = deployment.filter(|deployment| !self.served.contains(deployment)) {
            if self.served.len() == SERVED {
                self.served.pop_front();
            }
            self.served.push_back(Arc::clone(deployment));
        }
    }

    /// Whether an answer that the configuration is wrong speaks of the endpoint's own. A deployment that is not there, of
    /// an endpoint that serves others, is one that a caller has named: whoever writes a name wrong harms nobody else.
    fn is_at_fault(&self, attempt: &AttemptRecord) -> bool {
        let is_missing = attempt.status == Some(StatusCode::NOT_FOUND);
        let is_known = attempt.deployment.as_ref().is_none_or(|deployment| self.served.contains(deployment));
        !is_missing || is_known || self.served.is_empty()
    }
}

impl OutputMeter {
    fn new(now: Instant) -> Self {
        Self { used: Rotating::new(LENGTHS), minutes: Ring::new(now, MINUTE, 60) }
    }
}

/// The value of that name, or of [`OTHER`] if there is no room for one more.
fn named<T>(all: &mut HashMap<Arc<str>, T>, name: Arc<str>, most: usize, new: impl FnOnce() -> T) -> &mut T {
    let is_one_too_many = all.len() >= most && !all.contains_key(&name);
    all.entry(if is_one_too_many { OTHER.into() } else { name }).or_insert_with(new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tower_aoai_core::{Reason, Timeout, Usage};

    use super::*;

    fn endings() -> [CallEnding; 8] {
        [
            CallEnding::Answered,
            CallEnding::Refused { reason: Reason::QuotaSpent, by: "token bucket" },
            CallEnding::Refused { reason: Reason::ContextLength, by: "context window" },
            CallEnding::Failed(Outcome::Transient { hint: None }),
            CallEnding::Failed(Outcome::Refused),
            CallEnding::TimedOut(Timeout::Deadline),
            CallEnding::Cancelled,
            CallEnding::BrokenOff,
        ]
    }

    #[test]
    fn names_beyond_the_bound_share_one_place() {
        let now = Instant::now();
        let mut meter = Meter::new(now);
        for number in 0..10_000 {
            meter.attempt(&AttemptRecord::new(format!("endpoint {number}"), Outcome::Success, now));
            let mut call = CallRecord::new(CallEnding::Answered, now);
            (call.model, call.usage) = (Some(format!("model {number}").into()), Some(Usage::new(10, 20)));
            call.reserved_output = Some(100);
            meter.call(&call);
        }
        assert_eq!((meter.endpoints.len(), meter.outputs.len()), (ENDPOINTS + 1, MODELS + 1));
        let other = meter.endpoint_named(OTHER).expect("the rest");
        assert_eq!(other.outcomes.success, 10_000 - ENDPOINTS as u64);
        assert_eq!(meter.all.calls, 10_000);
    }

    #[test]
    fn what_was_not_sent_is_no_attempt() {
        let now = Instant::now();
        let mut meter = Meter::new(now);
        let mut refused = AttemptRecord::new("eastus", Outcome::Refused, now);
        refused.is_sent = false;
        meter.attempt(&refused);
        let eastus = meter.endpoint_named("eastus").expect("known");
        assert_eq!((eastus.outcomes.total(), eastus.unsent), (0, 1));
    }

    proptest! {
        #[test]
        fn each_call_is_in_one_column_and_minutes_and_hours_add_up(
            calls in prop::collection::vec((0u64..5_000, 0usize..8, 0u64..5_000), 0..200),
        ) {
            let start = Instant::now();
            let mut meter = Meter::new(start);
            for (seconds, ending, millis) in &calls {
                let mut call = CallRecord::new(endings()[*ending], start + Duration::from_secs(*seconds));
                call.waited = Duration::from_millis(*millis);
                meter.call(&call);
            }
            let end = start + Duration::from_secs(5_000);
            let Activity { calls: all, answered, callers_own, refused, failed, timed_out, cancelled, broken_off, .. } =
                meter.all;
            prop_assert_eq!(all, calls.len() as u64);
            prop_assert_eq!(all, answered + callers_own + refused + failed + timed_out + cancelled + broken_off);
            for parts in [sum(meter.minutes.last(end, MINUTES)), sum(meter.hours.last(end, HOURS))] {
                prop_assert!((parts.waited_seconds - meter.all.waited_seconds).abs() < 1e-6);
                prop_assert_eq!(Activity { waited_seconds: 0.0, ..parts }, Activity { waited_seconds: 0.0, ..meter.all });
            }
        }
    }
}
