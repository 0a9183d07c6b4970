//! What speaks against a member: failures, a wait that its server asked for, a configuration that is wrong.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

/// For how long a failure speaks against a member, less and less.
pub(crate) const FAILURE_LASTS: Duration = Duration::from_secs(8);

/// The same for an answer that it is throttled and does not say for how long.
pub(crate) const THROTTLE_LASTS: Duration = Duration::from_secs(1);

/// How long a misconfigured member is left alone at first; doubles up to [`LONGEST_REST`].
const REST: Duration = Duration::from_secs(60);

const LONGEST_REST: Duration = Duration::from_secs(600);

/// The deployments that a member may be out of rotation for, and those that it is remembered to have let in.
const TARGETS: usize = 32;

/// Whether a member takes calls for a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rotation {
    In,
    /// It was found misconfigured, and is to be tried again.
    Due,
    Out,
}

/// A deployment for which a member is left alone, because it answered that its configuration is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutOfRotation {
    /// The deployment, as the request names it.
    pub deployment: Option<Arc<str>>,
    /// Since when.
    pub since: Instant,
    /// When one call tries it again.
    pub until: Instant,
}

/// Which probe of a misconfigured member a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProbeId(u64);

#[derive(Debug, Clone)]
struct Rest {
    shown: OutOfRotation,
    length: Duration,
    probe: Option<ProbeId>,
}

#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// The share of calls that fail, as of the last failure.
    failing: f64,
    fades: Option<(Instant, Duration)>,
    /// When the latest call began that came to a good end.
    good_since: Option<Instant>,
    held_until: Option<Instant>,
    resting: Vec<Rest>,
    /// When the latest call for each deployment began that was let in.
    let_in: Vec<(Option<Arc<str>>, Instant)>,
    probes: u64,
}

impl Standing {
    /// How likely the next call fails.
    pub(crate) fn risk(&self, now: Instant) -> f64 {
        let Some((at, lasts)) = self.fades else {
            return 0.0;
        };
        let age = now.saturating_duration_since(at).as_secs_f64() / lasts.as_secs_f64();
        self.failing * (1.0 - age).max(0.0)
    }

    /// A call that began at `began` failed; if a later one went well meanwhile, that is old news.
    pub(crate) fn failed(&mut self, now: Instant, began: Instant, lasts: Duration) {
        if self.good_since.is_some_and(|good| began < good) {
            return;
        }
        let before = self.risk(now);
        let left = self.fades.map_or(Duration::ZERO, |(at, lasts)| (at + lasts).saturating_duration_since(now));
        self.failing = before + (1.0 - before) / 2.0;
        self.fades = Some((now, lasts.max(left)));
    }

    /// A call that began at `began` was answered well.
    pub(crate) fn succeeded(&mut self, began: Instant) {
        self.good_since = Some(self.good_since.map_or(began, |good| good.max(began)));
        if self.fades.is_some_and(|(failed, _)| began >= failed) {
            self.failing /= 2.0;
        }
    }

    /// The server asks to wait; a shorter wait does not shorten a longer one.
    pub(crate) fn hold(&mut self, until: Instant) {
        self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
    }

    pub(crate) fn held_until(&self, now: Instant) -> Option<Instant> {
        self.held_until.filter(|held| *held > now)
    }

    pub(crate) fn rotation(&self, deployment: Option<&str>, now: Instant) -> Rotation {
        match self.rest(deployment) {
            None => Rotation::In,
            Some(rest) if rest.shown.until <= now => Rotation::Due,
            Some(_) => Rotation::Out,
        }
    }

    /// Takes the member out of rotation after a call that began at `began`; whether that is news. Where a later one was
    /// let in meanwhile, it is not.
    ///
    /// A probe that finds it still misconfigured doubles the rest, and is no news. Other calls may have been under way
    /// when the first answer came: they change nothing.
    pub(crate) fn misconfigured(
        &mut self,
        now: Instant,
        began: Instant,
        deployment: Option<&Arc<str>>,
        probe: Option<ProbeId>,
    ) -> bool {
        if self.let_in.iter().any(|(name, latest)| name.as_ref() == deployment && began < *latest) {
            return false;
        }
        if let Some(rest) = self.rest_mut(deployment.map(|name| &**name)) {
            if probe.is_some() && rest.probe == probe {
                rest.length = (rest.length * 2).min(LONGEST_REST);
                rest.shown.until = now + rest.length;
                rest.probe = None;
            }
            return false;
        }
        if self.resting.len() == TARGETS {
            // The next to be tried again anyway.
            let next = (0..TARGETS).min_by_key(|&index| self.resting[index].shown.until).unwrap_or_default();
            self.resting.swap_remove(next);
        }
        let shown = OutOfRotation { deployment: deployment.cloned(), since: now, until: now + REST };
        self.resting.push(Rest { shown, length: REST, probe: None });
        true
    }

    /// A call goes to a member that is due: others stay away for as long as it had rested.
    pub(crate) fn begin_probe(&mut self, now: Instant, deployment: Option<&str>) -> Option<ProbeId> {
        let id = ProbeId(self.probes);
        let rest = self.rest_mut(deployment).filter(|rest| rest.shown.until <= now)?;
        rest.shown.until = now + rest.length;
        rest.probe = Some(id);
        self.probes += 1;
        Some(id)
    }

    /// The probe ended without an answer that says anything: the next call may be one.
    pub(crate) fn give_back(&mut self, now: Instant, probe: ProbeId) {
        if let Some(rest) = self.resting.iter_mut().find(|rest| rest.probe == Some(probe)) {
            rest.shown.until = now;
            rest.probe = None;
        }
    }

    /// A call that began at `began` was let in; whether the member comes back into rotation by that.
    pub(crate) fn configured(&mut self, began: Instant, deployment: Option<&Arc<str>>) -> bool {
        self.note_let_in(began, deployment);
        let before = self.resting.len();
        self.resting.retain(|rest| rest.shown.deployment.as_ref() != deployment || rest.shown.since > began);
        self.resting.len() < before
    }

    fn note_let_in(&mut self, began: Instant, deployment: Option<&Arc<str>>) {
        if let Some((_, latest)) = self.let_in.iter_mut().find(|(name, _)| name.as_ref() == deployment) {
            *latest = began.max(*latest);
            return;
        }
        if self.let_in.len() == TARGETS {
            let oldest = (0..TARGETS).min_by_key(|&index| self.let_in[index].1).unwrap_or_default();
            self.let_in.swap_remove(oldest);
        }
        self.let_in.push((deployment.cloned(), began));
    }

    pub(crate) fn out_of_rotation(&self) -> impl Iterator<Item = &OutOfRotation> {
        self.resting.iter().map(|rest| &rest.shown)
    }

    fn rest(&self, deployment: Option<&str>) -> Option<&Rest> {
        self.resting.iter().find(|rest| rest.shown.deployment.as_deref() == deployment)
    }

    fn rest_mut(&mut self, deployment: Option<&str>) -> Option<&mut Rest> {
        self.resting.iter_mut().find(|rest| rest.shown.deployment.as_deref() == deployment)
    }
}
