//! What is known of one member, shared by all who send there.

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};
use tower_aoai_core::{Admission, Availability, CallContext, Load, Outcome, Rejected};

use crate::{
    Strategy,
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
    /// Counts the resets: what a call tells that began before the last one is forgotten, too.
    generation: u64,
    learned: Learned,
}

/// What the calls tell, as long as it is not forgotten.
#[derive(Debug, Default)]
struct Learned {
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

/// When, and of what size, the call is that looks at a member, and what it looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) now: Instant,
    pub(crate) size: Size,
    /// What this does not go by is left out.
    pub(crate) strategy: Strategy,
}

/// A call's stay at a member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stay {
    pub(crate) began: Instant,
    pub(crate) probe: Option<ProbeId>,
    generation: u64,
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
            generation: 0,
            learned: Learned::default(),
        };
        Arc::new(Self { name, tier, slot, gates, figures: Mutex::new(figures), emptied: Notify::new() })
    }

    /// What it would say to a call that it never lets in.
    pub(crate) fn refusal(&self, context: &CallContext) -> Option<Rejected> {
        self.gates.iter().find_map(|gate| gate.refusal(context))
    }

    pub(crate) fn gates(&self) -> &[Arc<dyn Availability>] {
        &self.gates
    }

    /// The member as a call sees it; `None` if it takes no more calls. Its gates are asked, unless one has `said`
    /// something to the call already.
    pub(crate) fn candidate(
        &self,
        index: usize,
        context: &CallContext,
        view: View,
        past: Past,
        said: Option<Admission>,
    ) -> Option<Candidate> {
        let View { now, size, strategy } = view;
        let (by_finish, by_load) = (strategy == Strategy::ExpectedFinish, strategy == Strategy::LeastInFlight);
        // Foreign code is asked before the lock is taken.
        let asked = said.unwrap_or_else(|| Admission::fold(&self.gates, context, now));
        let asked_load = if by_load { self.load() } else { Load::default() };
        let load = asked_load.in_flight.saturating_add(asked_load.queued);
        let figures = self.figures.lock();
        if figures.is_draining {
            return None;
        }
        let Learned { pace, standing, .. } = &figures.learned;
        Some(Candidate {
            index,
            slot: self.slot,
            tier: self.tier,
            weight: figures.weight,
            admission: held(asked, standing.held_until(now)),
            rotation: standing.rotation(context.call().target(), now),
            past,
            load: load.max(figures.in_flight),
            takes: pace.expected(size),
            doubt: if by_finish { pace.doubt(figures.entered_at, now) } else { 0.0 },
            silent: figures.silent(now).as_secs_f64(),
            risk: standing.risk(now),
        })
    }

    /// The most that any of its gates counts: they count the same calls.
    fn load(&self) -> Load {
        let total = |load: &Load| load.in_flight.saturating_add(load.queued);
        self.gates.iter().map(|gate| gate.load()).max_by_key(total).unwrap_or_default()
    }

    pub(crate) fn enter(&self, now: Instant, deployment: Option<&str>) -> Stay {
        let mut figures = self.figures.lock();
        figures.in_flight += 1;
        figures.entered_at = Some(now);
        let probe = figures.learned.standing.begin_probe(now, deployment);
        Stay { began: now, probe, generation: figures.generation }
    }

    pub(crate) fn count(&self, stay: Stay, count: impl FnOnce(&mut Counts)) {
        if let Some(learned) = self.figures.lock().learned_since(stay) {
            count(&mut learned.counts);
        }
    }

    /// A call's first byte left for the server.
    pub(crate) fn sent(&self, at: Instant) {
        let mut figures = self.figures.lock();
        figures.unanswered += 1;
        figures.silent_since.get_or_insert(at);
    }

    /// A call that was sent waits no longer: it was answered, or its caller left.
    pub(crate) fn waited(&self, answered_at: Option<Instant>) {
        let mut figures = self.figures.lock();
        figures.unanswered -= 1;
        figures.silent_since = answered_at.or(figures.silent_since).filter(|_| figures.unanswered > 0);
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

    /// The probe, if it is one, says nothing.
    pub(crate) fn give_back(&self, now: Instant, stay: Stay) {
        let Some(probe) = stay.probe else {
            return;
        };
        if let Some(learned) = self.figures.lock().learned_since(stay) {
            learned.standing.give_back(now, probe);
        }
    }

    /// What the answer says of the member, and its configuration for this deployment.
    pub(crate) fn judge(&self, now: Instant, stay: Stay, deployment: Option<&Arc<str>>, outcome: Outcome) {
        let mut figures = self.figures.lock();
        let Some(Learned { standing, counts, .. }) = figures.learned_since(stay) else {
            return;
        };
        let hint = outcome.hint().map(|hint| hint.after).filter(|after| !after.is_zero());
        if let Some(until) = hint.and_then(|after| now.checked_add(after)) {
            standing.hold(until);
        }
        let mut is_back = false;
        match outcome {
            Outcome::Success => {
                counts.answered += 1;
                standing.succeeded(stay.began);
                is_back = standing.configured(stay.began, deployment);
            }
            Outcome::Throttled { .. } => {
                counts.throttled += 1;
                if hint.is_none() {
                    standing.failed(now, stay.began, THROTTLE_LASTS);
                }
                is_back = standing.configured(stay.began, deployment);
            }
            Outcome::Transient { .. } | Outcome::Broken => {
                counts.failed += 1;
                standing.failed(now, stay.began, FAILURE_LASTS);
            }
            Outcome::Misconfigured => {
                counts.misconfigured += 1;
                let is_news = standing.misconfigured(now, stay.began, deployment, stay.probe);
                drop(figures);
                if is_news {
                    tracing::warn!(
                        member = &*self.name,
                        deployment = deployment.map(|name| &**name),
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
                deployment = deployment.map(|name| &**name),
                "the endpoint's configuration is right again"
            );
        }
    }

    pub(crate) fn learn(&self, stay: Stay, learn: impl FnOnce(&mut Pace)) {
        if let Some(learned) = self.figures.lock().learned_since(stay) {
            learn(&mut learned.pace);
        }
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
        figures.generation += 1;
        figures.learned = Learned::default();
    }

    pub(crate) fn snapshot(&self, context: &CallContext, now: Instant) -> MemberSnapshot {
        let asked = Admission::fold(&self.gates, context, now);
        let queued = self.load().queued;
        let figures = self.figures.lock();
        let Learned { pace, standing, counts } = &figures.learned;
        MemberSnapshot {
            name: Arc::clone(&self.name),
            tier: self.tier,
            weight: figures.weight,
            is_draining: figures.is_draining,
            admission: held(asked, standing.held_until(now)),
            in_flight: figures.in_flight,
            queued,
            time_to_first_token: pace.first_token(),
            time_per_token: pace.per_token(),
            failing: standing.risk(now),
            out_of_rotation: standing.out_of_rotation().cloned().collect(),
            entered: counts.entered,
            answered: counts.answered,
            failed: counts.failed,
            throttled: counts.throttled,
            misconfigured: counts.misconfigured,
            races_lost: counts.races_lost,
        }
    }
}

impl Figures {
    /// What was learned, for a call to add to; `None` if it began before that was forgotten.
    fn learned_since(&mut self, stay: Stay) -> Option<&mut Learned> {
        (stay.generation == self.generation).then_some(&mut self.learned)
    }

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
