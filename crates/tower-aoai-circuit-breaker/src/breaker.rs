//! The circuit: a state machine that is told the time, does nothing by itself, and knows nothing of HTTP.

use std::{mem, time::Duration};

use tokio::time::Instant;
use tower_aoai_core::{Reason, later};

use crate::{
    ChangeReason, CircuitChange, CircuitPolicy, CircuitState, ProbeProof,
    finding::{Counts, Finding},
    policy::HoldThrottled,
    probes::Probes,
    stamp::{Refusal, Role, Stamp},
    window::{Tally, Window, count},
};

/// Closed, open or half-open, and shut by the server's hint or not.
#[derive(Debug)]
pub(crate) struct Breaker {
    policy: CircuitPolicy,
    phase: Phase,
    /// The server asked not to be asked before.
    gate: Option<Instant>,
    /// Of the phase: results of calls that were let through in an earlier one decide nothing.
    generation: u64,
    /// The latest reading: threads read the clock in another order than they come here.
    clock: Instant,
    window: Window,
    consecutive_failures: u32,
    /// How often it opened since the endpoint was last seen to be well.
    breaks: u32,
    /// Until when failures of this generation asked to wait.
    asked: Option<Instant>,
    probes_begun: u64,
    counts: Counts,
    last_change: Option<CircuitChange>,
    /// Changes that nobody was told of.
    news: Vec<CircuitChange>,
}

#[derive(Debug)]
enum Phase {
    Closed,
    Open { until: Option<Instant> },
    HalfOpen(Probes),
}

impl Breaker {
    pub(crate) fn new(policy: CircuitPolicy, now: Instant) -> Self {
        let window = Window::new(now, policy.window);
        Self {
            policy,
            phase: Phase::Closed,
            gate: None,
            generation: 0,
            clock: now,
            window,
            consecutive_failures: 0,
            breaks: 0,
            asked: None,
            probes_begun: 0,
            counts: Counts::default(),
            last_change: None,
            news: Vec::new(),
        }
    }

    /// Lets a call through, or not.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<Stamp, Refusal> {
        let now = self.tick(now);
        if let Err(refusal) = self.entry(now) {
            return Err(self.refuse(now, refusal));
        }
        if self.gate.is_some() {
            self.change(now, ChangeReason::WaitOver, |breaker| breaker.gate = None);
        }
        if matches!(self.phase, Phase::Open { .. }) {
            self.enter(now, Phase::HalfOpen(Probes::default()), ChangeReason::BreakOver);
        }
        let role = match &mut self.phase {
            Phase::HalfOpen(probes) => {
                self.counts.probes += 1;
                self.probes_begun += 1;
                probes.take(now, self.probes_begun, self.policy.probe_lease);
                Role::Probe(self.probes_begun)
            }
            Phase::Closed | Phase::Open { .. } => Role::Call,
        };
        Ok(Stamp { generation: self.generation, role })
    }

    /// Refuses a call that comes at `now`, though it might be let through: the service below is not ready for it.
    pub(crate) fn refuse_busy(&mut self, now: Instant) -> Refusal {
        let now = self.tick(now);
        let refusal = self.entry(now).err();
        self.refuse(now, refusal.unwrap_or(Refusal { reason: Reason::CircuitOpen, until: Some(now) }))
    }

    /// Counts a refusal, and says to whom it concerns when to ask again.
    fn refuse(&mut self, now: Instant, refusal: Refusal) -> Refusal {
        self.counts.refused += 1;
        match &self.phase {
            Phase::HalfOpen(probes) if refusal.reason == Reason::CircuitOpen => {
                Refusal { until: probes.ask_again_at(now).max(self.gate), ..refusal }
            }
            _ => refusal,
        }
    }

    /// Whether a call that comes at `now` would be let through; where probes are under way, by when at the latest.
    pub(crate) fn entry(&self, now: Instant) -> Result<(), Refusal> {
        let now = now.max(self.clock);
        let refuse = |reason, until| Err(Refusal { reason, until });
        match &self.phase {
            Phase::Open { until: None } => return refuse(Reason::CircuitOpen, None),
            Phase::Open { until: Some(until) } if *until > now => return refuse(Reason::CircuitOpen, Some(*until)),
            Phase::HalfOpen(probes) => {
                if let Some(until) = probes.full_until(now, self.policy.probes) {
                    return refuse(Reason::CircuitOpen, self.gate.max(Some(until)));
                }
            }
            Phase::Closed | Phase::Open { .. } => {}
        }
        match self.gate {
            Some(gate) if gate > now => refuse(Reason::QuotaSpent, Some(gate)),
            _ => Ok(()),
        }
    }

    /// The head of a good answer came, later than the policy allows or not. Under the stamp that is returned the rest of
    /// it goes on.
    pub(crate) fn first_byte(
        &mut self,
        now: Instant,
        stamp: Stamp,
        is_slow: bool,
        draw: impl FnOnce() -> f64,
    ) -> Stamp {
        let now = self.tick(now);
        if stamp.generation != self.generation {
            return stamp;
        }
        match (&mut self.phase, stamp.role) {
            (Phase::Closed, _) => {
                if self.policy.slow.is_some() {
                    let tally = self.window.current(now);
                    count(&mut tally.heads);
                    if is_slow {
                        count(&mut tally.slow);
                        self.open_if_slow(now, draw);
                    }
                }
                stamp
            }
            (Phase::HalfOpen(probes), Role::Probe(probe)) => {
                if is_slow {
                    self.open(now, ChangeReason::ProbeSlow, draw);
                    return stamp;
                }
                if self.policy.probe_proof != ProbeProof::FirstByte {
                    return stamp;
                }
                probes.release(probe);
                if self.succeed(now) { Stamp::closed(self.generation) } else { Stamp { role: Role::Proven, ..stamp } }
            }
            _ => stamp,
        }
    }

    /// A call is over, or what came of it is known.
    pub(crate) fn finish(&mut self, now: Instant, stamp: Stamp, finding: Finding, draw: impl FnOnce() -> f64) {
        let now = self.tick(now);
        self.counts.note(finding);
        if let (Phase::HalfOpen(probes), Role::Probe(probe)) = (&mut self.phase, stamp.role) {
            probes.release(probe);
        }
        if stamp.generation != self.generation {
            self.counts.stale += u64::from(finding != Finding::Neither);
            return;
        }
        match (&mut self.phase, finding) {
            (Phase::Closed, Finding::Healthy) => {
                self.breaks = 0;
                self.consecutive_failures = 0;
                count(&mut self.window.current(now).successes);
            }
            (Phase::Closed, Finding::Unhealthy(until)) => {
                self.asked = self.asked.max(until);
                if self.policy.hold_throttled != HoldThrottled::No {
                    self.shut(now, until, ChangeReason::ServerAskedToWait);
                }
                count(&mut self.consecutive_failures);
                count(&mut self.window.current(now).failures);
                self.open_if_failing(now, draw);
            }
            (Phase::Closed, Finding::Throttled(until)) => match self.policy.hold_throttled {
                HoldThrottled::No => {}
                HoldThrottled::Hinted => self.shut(now, until, ChangeReason::ServerAskedToWait),
                HoldThrottled::Always(time) => {
                    self.shut(now, until.or(Some(later(now, time))), ChangeReason::ServerAskedToWait);
                }
            },
            (Phase::HalfOpen(_), Finding::Healthy) => {
                if stamp.is_probe() && self.succeed(now) {
                    self.breaks = 0;
                }
            }
            (Phase::HalfOpen(_), Finding::Unhealthy(until)) => {
                self.asked = self.asked.max(until);
                self.open(now, ChangeReason::ProbeFailed, draw);
            }
            (Phase::HalfOpen(probes), Finding::Throttled(until)) => {
                probes.successes = 0;
                let until = until.unwrap_or_else(|| later(now, self.policy.break_time));
                self.shut(now, Some(until), ChangeReason::ProbeThrottled);
            }
            (Phase::Open { .. }, _) | (_, Finding::Neither) => {}
        }
    }

    /// Opens it by hand, for so long or until it is reset.
    pub(crate) fn trip(&mut self, now: Instant, time: Option<Duration>) {
        let now = self.tick(now);
        let until = time.map(|time| self.gate.unwrap_or(now).max(later(now, time)));
        self.enter(now, Phase::Open { until }, ChangeReason::Tripped);
    }

    /// As new, but for what it says of its last change.
    pub(crate) fn reset(&mut self, now: Instant) {
        let now = self.tick(now);
        self.enter(now, Phase::Closed, ChangeReason::Reset);
        self.breaks = 0;
        self.counts = Counts::default();
    }

    /// How it stands: what the next call will find, though nothing has changed yet.
    pub(crate) fn state(&self, now: Instant) -> CircuitState {
        let now = now.max(self.clock);
        match self.shown() {
            CircuitState::Open { until: Some(until) } if until <= now => CircuitState::HalfOpen,
            CircuitState::Throttled { until } if until <= now => match self.phase {
                Phase::HalfOpen(_) => CircuitState::HalfOpen,
                Phase::Closed | Phase::Open { .. } => CircuitState::Closed,
            },
            shown => shown,
        }
    }

    /// The generation, where calls go through without being asked for anything.
    pub(crate) const fn open_door(&self) -> Option<u64> {
        match (&self.phase, self.gate) {
            (Phase::Closed, None) => Some(self.generation),
            _ => None,
        }
    }

    /// The changes since this was asked last.
    pub(crate) fn take_news(&mut self) -> Vec<CircuitChange> {
        mem::take(&mut self.news)
    }

    pub(crate) const fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) const fn last_change(&self) -> Option<CircuitChange> {
        self.last_change
    }

    pub(crate) const fn consecutive_failures(&self) -> u32 {
        self.consecutive_failures
    }

    /// What the shares are made of now.
    pub(crate) fn tally(&self, now: Instant) -> Tally {
        self.window.tally(now.max(self.clock))
    }

    /// Probes under way.
    pub(crate) fn probes_under_way(&self, now: Instant) -> usize {
        match &self.phase {
            Phase::HalfOpen(probes) => probes.taken(now.max(self.clock)),
            Phase::Closed | Phase::Open { .. } => 0,
        }
    }

    fn tick(&mut self, now: Instant) -> Instant {
        self.clock = self.clock.max(now);
        self.clock
    }

    fn open_if_failing(&mut self, now: Instant, draw: impl FnOnce() -> f64) {
        let failures = self.consecutive_failures;
        if self.policy.consecutive_failures.is_some_and(|most| failures >= most) {
            return self.open(now, ChangeReason::ConsecutiveFailures(failures), draw);
        }
        let Some(ratio) = self.policy.failure_ratio else { return };
        let tally = self.window.tally(now);
        if reaches(ratio, tally.failures, tally.calls(), self.policy.min_calls) {
            let reason = ChangeReason::FailureRatio { failures: tally.failures, calls: tally.calls() };
            self.open(now, reason, draw);
        }
    }

    fn open_if_slow(&mut self, now: Instant, draw: impl FnOnce() -> f64) {
        let Some(policy) = self.policy.slow else { return };
        let Tally { heads, slow, .. } = self.window.tally(now);
        if reaches(policy.ratio, slow, heads, self.policy.min_calls) {
            self.open(now, ChangeReason::SlowFirstBytes { slow, answers: heads }, draw);
        }
    }

    fn open(&mut self, now: Instant, reason: ChangeReason, draw: impl FnOnce() -> f64) {
        let factor = 1u32.checked_shl(self.breaks).unwrap_or(u32::MAX);
        let longest = self.policy.break_time.saturating_mul(factor).min(self.policy.break_cap);
        // As long as the clock can say, which a fraction of then is, too.
        let longest = later(now, longest).saturating_duration_since(now);
        let time = longest.mul_f64(1.0 - self.policy.jitter * draw().clamp(0.0, 1.0));
        let until = Some(later(now, time)).max(self.asked).max(self.gate);
        self.breaks = self.breaks.saturating_add(1);
        self.counts.opened += 1;
        self.enter(now, Phase::Open { until }, reason);
    }

    /// A probe has succeeded; says whether that closed the circuit.
    fn succeed(&mut self, now: Instant) -> bool {
        let Phase::HalfOpen(probes) = &mut self.phase else { return false };
        count(&mut probes.successes);
        let is_enough = probes.successes >= self.policy.successes_to_close;
        if is_enough {
            self.enter(now, Phase::Closed, ChangeReason::ProbesSucceeded);
        }
        is_enough
    }

    /// Shuts it until then, or until later if it is shut until later already.
    fn shut(&mut self, now: Instant, until: Option<Instant>, reason: ChangeReason) {
        let Some(until) = until.filter(|until| *until > now) else { return };
        if self.gate.is_some() {
            self.gate = self.gate.max(Some(until));
        } else {
            self.change(now, reason, |breaker| breaker.gate = Some(until));
        }
    }

    /// Begins a new generation.
    fn enter(&mut self, now: Instant, phase: Phase, reason: ChangeReason) {
        self.change(now, reason, |breaker| {
            // An open circuit is shut for at least as long as its gate was.
            let holds = matches!(phase, Phase::Closed) && breaker.policy.hold_throttled != HoldThrottled::No;
            if !holds || reason == ChangeReason::Reset {
                breaker.gate = None;
            }
            breaker.phase = phase;
            breaker.generation += 1;
            breaker.window.clear();
            breaker.consecutive_failures = 0;
            breaker.asked = None;
        });
    }

    fn change(&mut self, now: Instant, reason: ChangeReason, change: impl FnOnce(&mut Self)) {
        let from = self.shown();
        change(self);
        let to = self.shown();
        if from != to {
            let sequence = self.last_change.map_or(1, |last| last.sequence + 1);
            let change = CircuitChange { sequence, at: now, from, to, reason };
            self.last_change = Some(change);
            self.news.push(change);
        }
    }

    /// How it stood when it was last changed.
    const fn shown(&self) -> CircuitState {
        match (&self.phase, self.gate) {
            (Phase::Open { until }, _) => CircuitState::Open { until: *until },
            (_, Some(until)) => CircuitState::Throttled { until },
            (Phase::HalfOpen(_), None) => CircuitState::HalfOpen,
            (Phase::Closed, None) => CircuitState::Closed,
        }
    }
}

/// Whether so many of so many are this share, and enough to say so.
fn reaches(ratio: f64, some: u32, all: u32, least: u32) -> bool {
    all >= least && f64::from(some) >= ratio * f64::from(all)
}

#[cfg(test)]
mod tests;
