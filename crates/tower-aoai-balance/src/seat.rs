//! What is known of one member, shared by all who send there.

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};
use tower_aoai_core::{Admission, Availability, CallContext, Load, Outcome};

use crate::{
    handle::MemberSnapshot,
    pick::{Candidate, FAILURE_LASTS, Pace, Past, ProbeId, Size, Standing, THROTTLE_LASTS},
};

pub(crate) struct Seat {
    pub(crate) name: Arc<str>,
    pub(crate) tier: usize,
    /// Its place in lists; nobody else's as long as it is on the roster.
    pub(crate) slot: usize,
    gates: Vec<Arc<dyn Availability>>,
    figures: Mutex<Figures>,
    emptied: Notify,
}

#[derive(Debug)]
struct Figures {
    weight: u32,
    is_draining: bool,
    in_flight: usize,
    /// Of these, those that were sent and have no answer yet.
    unanswered: usize,
    /// When the last answer came, or the first of those who wait for one began to.
    silent_since: Option<Instant>,
    /// When a call went there last.
    entered_at: Option<Instant>,
    pace: Pace,
    standing: Standing,
    counts: Counts,
}

/// What has happened since the last reset.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) entered: u64,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) throttled: u64,
    pub(crate) misconfigured: u64,
    pub(crate) races_lost: u64,
}

/// When, and of what size, the call is that looks at a member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) now: Instant,
    pub(crate) size: Size,
    /// Whether the loads matter.
    pub(crate) with_load: bool,
}

/// A call's stay at a member, as far as judging it needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stay<'a> {
    pub(crate) began: Instant,
    pub(crate) deployment: Option<&'a Arc<str>>,
    pub(crate) probe: Option<ProbeId>,
}

impl Seat {
    pub(crate) fn new(
        name: Arc<str>,
        tier: usize,
        weight: u32,
        gates: Vec<Arc<dyn Availability>>,
        slot: usize,
    ) -> Arc<Self> {
        let figures = Figures {
            weight,
            is_draining: false,
            in_flight: 0,
            unanswered: 0,
            silent_since: None,
            entered_at: None,
            pace: Pace::default(),
            standing: Standing::default(),
            counts: Counts::default(),
        };
        Arc::new(Self { name, tier, slot, gates, figures: Mutex::new(figures), emptied: Notify::new() })
    }

    pub(crate) fn gates(&self) -> &[Arc<dyn Availability>] {
        &self.gates
    }

    /// The member as a call sees it; `None` if it takes no more calls.
    pub(crate) fn candidate(&self, context: &CallContext, view: View, past: Past) -> Option<Candidate> {
        let View { now, size, with_load } = view;
        // Foreign code is asked before the lock is taken.
        let asked = Admission::fold(&self.gates, context, now);
        let asked_load = if with_load { self.load() } else { Load::default() };
        let load = asked_load.in_flight.saturating_add(asked_load.queued);
        let figures = self.figures.lock();
        let candidate = Candidate {
            slot: self.slot,
            tier: self.tier,
            weight: figures.weight,
            admission: held(asked, figures.standing.held_until(now)),
            rotation: figures.standing.rotation(context.call().target(), now),
            past,
            load: load.max(figures.in_flight),
            takes: figures.pace.expected(size),
            doubt: figures.pace.doubt(figures.entered_at, now),
            silent: figures.silent(now).as_secs_f64(),
            risk: figures.standing.risk(now),
        };
        (!figures.is_draining).then_some(candidate)
    }

    /// The most that any of its gates counts: they count the same calls.
    fn load(&self) -> Load {
        let total = |load: &Load| load.in_flight.saturating_add(load.queued);
        self.gates.iter().map(|gate| gate.load()).max_by_key(total).unwrap_or_default()
    }

    pub(crate) fn enter(&self, now: Instant, deployment: Option<&str>) -> Option<ProbeId> {
        let mut figures = self.figures.lock();
        figures.in_flight += 1;
        figures.entered_at = Some(now);
        figures.standing.begin_probe(now, deployment)
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.figures.lock().counts);
    }

    /// A call's first byte left for the server.
    pub(crate) fn sent(&self, at: Instant) {
        let mut figures = self.figures.lock();
        figures.unanswered += 1;
        figures.silent_since.get_or_insert(at);
    }

    /// A call that was sent waits for its answer no longer.
    pub(crate) fn heard(&self, now: Instant) {
        let mut figures = self.figures.lock();
        figures.unanswered -= 1;
        figures.silent_since = (figures.unanswered > 0).then_some(now);
    }

    /// The call has ended.
    pub(crate) fn leave(&self) {
        let mut figures = self.figures.lock();
        figures.in_flight -= 1;
        if figures.in_flight == 0 {
            drop(figures);
            self.emptied.notify_waiters();
        }
    }

    pub(crate) fn give_back(&self, now: Instant, probe: ProbeId) {
        self.figures.lock().standing.give_back(now, probe);
    }

    /// What the answer says of the member.
    pub(crate) fn judge(&self, now: Instant, stay: Stay<'_>, outcome: Outcome) {
        let mut figures = self.figures.lock();
        let Figures { standing, counts, .. } = &mut *figures;
        let hint = outcome.hint().map(|hint| hint.after).filter(|after| !after.is_zero());
        if let Some(until) = hint.and_then(|after| now.checked_add(after)) {
            standing.hold(until);
        }
        let mut is_back = false;
        match outcome {
            Outcome::Success => {
                counts.answered += 1;
                standing.succeeded(stay.began);
                is_back = standing.configured(stay.began, stay.deployment.map(|name| &**name));
            }
            Outcome::Throttled { .. } => {
                counts.throttled += 1;
                if hint.is_none() {
                    standing.failed(now, stay.began, THROTTLE_LASTS);
                }
                is_back = standing.configured(stay.began, stay.deployment.map(|name| &**name));
            }
            Outcome::Transient { .. } | Outcome::Broken => {
                counts.failed += 1;
                standing.failed(now, stay.began, FAILURE_LASTS);
            }
            Outcome::Misconfigured => {
                counts.misconfigured += 1;
                let is_news = standing.misconfigured(now, stay.deployment, stay.probe);
                drop(figures);
                if is_news {
                    tracing::warn!(
                        member = &*self.name,
                        deployment = stay.deployment.map(|name| &**name),
                        "the endpoint answers that its configuration is wrong (credential, address or deployment): \
                         it is left alone, and tried again in a minute"
                    );
                }
                return;
            }
            _ => {}
        }
        drop(figures);
        if is_back {
            tracing::info!(
                member = &*self.name,
                deployment = stay.deployment.map(|name| &**name),
                "the endpoint's configuration is right again"
            );
        }
    }

    pub(crate) fn learn(&self, learn: impl FnOnce(&mut Pace)) {
        learn(&mut self.figures.lock().pace);
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.figures.lock().in_flight
    }

    pub(crate) fn set_weight(&self, weight: u32) {
        self.figures.lock().weight = weight;
    }

    pub(crate) fn set_draining(&self, is_draining: bool) {
        self.figures.lock().is_draining = is_draining;
    }

    /// Waits until no call is there.
    pub(crate) async fn emptied(&self) {
        loop {
            // Before the look, so that nothing that happens after it is missed.
            let emptied = self.emptied.notified();
            if self.in_flight() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Forgets what was learned and counted; not who is there.
    pub(crate) fn reset(&self) {
        let mut figures = self.figures.lock();
        figures.pace = Pace::default();
        figures.standing = Standing::default();
        figures.counts = Counts::default();
    }

    pub(crate) fn snapshot(&self, context: &CallContext, now: Instant) -> MemberSnapshot {
        let asked = Admission::fold(&self.gates, context, now);
        let queued = self.load().queued;
        let figures = self.figures.lock();
        MemberSnapshot {
            name: Arc::clone(&self.name),
            tier: self.tier,
            weight: figures.weight,
            is_draining: figures.is_draining,
            admission: held(asked, figures.standing.held_until(now)),
            in_flight: figures.in_flight,
            queued,
            time_to_first_token: figures.pace.first_token(),
            time_per_token: figures.pace.per_token(),
            failing: figures.standing.risk(now),
            out_of_rotation: figures.standing.out_of_rotation().cloned().collect(),
            entered: figures.counts.entered,
            answered: figures.counts.answered,
            failed: figures.counts.failed,
            throttled: figures.counts.throttled,
            misconfigured: figures.counts.misconfigured,
            races_lost: figures.counts.races_lost,
        }
    }
}

impl Figures {
    fn silent(&self, now: Instant) -> Duration {
        self.silent_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

/// Nobody below waits for the server's hint to be over, if the gates would let the call start earlier.
fn held(asked: Admission, held_until: Option<Instant>) -> Admission {
    match (asked, held_until) {
        (Admission::At(start), Some(held)) if start < held => Admission::Shut(Some(held)),
        (Admission::Shut(Some(until)), Some(held)) => Admission::Shut(Some(until.max(held))),
        _ => asked,
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat")
            .field("name", &self.name)
            .field("tier", &self.tier)
            .field("figures", &self.figures)
            .finish_non_exhaustive()
    }
}
