use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    ConnectionFault, Deployment, HeaderStyle, RetryHints, Scripted, Served, SimulatedBody, SimulatedFuture,
    SimulatorBuilder, TokenIssuer,
    booking::Quota,
    deployment::Quirks,
    quota::QuotaSnapshot,
    scene::Scene,
    state::{Shared, region_key},
};

/// Azure OpenAI in this process: a tower service, and the handle to look behind it.
///
/// Clones are cheap and share everything. It is always ready: what is too much is refused with an
/// answer, as the real service does, not by making the caller wait.
#[derive(Debug, Clone)]
pub struct Simulator {
    pub(crate) shared: Arc<Shared>,
}

impl Simulator {
    /// Starts to put one together.
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder::default()
    }

    /// Dictates the next answers of a deployment. One that was not built may be named too: it
    /// then answers what is dictated, and 404 otherwise.
    #[must_use]
    pub fn script(&self, deployment: &str) -> Script<'_> {
        Script { simulator: self, of: Whose::Deployment(deployment.into()) }
    }

    /// Dictates the next answers of a region's deployments; what is dictated for one by name comes
    /// first. `Sweden Central` and `swedencentral` are the same region.
    #[must_use]
    pub fn script_region(&self, region: &str) -> Script<'_> {
        Script { simulator: self, of: Whose::Region(region_key(region)) }
    }

    /// Dictates the next answers of any deployment; what is dictated for one by name, or for its
    /// region, comes first.
    #[must_use]
    pub fn script_any(&self) -> Script<'_> {
        Script { simulator: self, of: Whose::Any }
    }

    /// What was served so far, in order of arrival.
    #[must_use]
    pub fn journal(&self) -> Vec<Served> {
        self.shared.state.lock().journal.entries().cloned().collect()
    }

    /// Looks at what was served so far without copying it. The simulator serves nobody while
    /// `look` runs, so it must not call the simulator itself.
    pub fn with_journal<T>(&self, look: impl FnOnce(&mut dyn Iterator<Item = &Served>) -> T) -> T {
        look(&mut self.shared.state.lock().journal.entries())
    }

    /// How many entries the journal has forgotten because it was full.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.shared.state.lock().journal.forgotten()
    }

    /// Forgets what was served so far. Numbers go on from where they are.
    pub fn clear_journal(&self) {
        self.shared.state.lock().journal.clear();
    }

    /// Forgets everything that was dictated, for deployments, regions and all.
    pub fn clear_scripts(&self) {
        let mut state = self.shared.state.lock();
        state.scenes.clear();
        state.region_scenes.clear();
        state.any_scene = Scene::default();
    }

    /// Puts everything back as it was built: scripts and journal empty, limits and speeds the
    /// configured ones, quotas unused, their windows counted from now. Requests under way go on.
    pub fn reset(&self) {
        self.clear_scripts();
        let now = Instant::now();
        let mut state = self.shared.state.lock();
        state.journal.clear();
        state.slowness.fill(1.0);
        state.quirks = self.deployments().map(Deployment::quirks).collect();
        for (quota, deployment) in state.quotas.iter_mut().zip(&self.shared.config.deployments) {
            *quota = Quota::of(deployment, now);
        }
    }

    /// The deployments it was built with.
    pub fn deployments(&self) -> impl Iterator<Item = &Deployment> {
        self.shared.config.deployments.iter()
    }

    pub(crate) fn issuer(&self) -> Option<TokenIssuer> {
        self.shared.config.issuer.clone()
    }

    /// A deployment's quota at this instant; `None` if there is no such deployment.
    #[must_use]
    pub fn quota(&self, deployment: &str) -> Option<QuotaSnapshot> {
        let index = self.shared.find(deployment)?;
        let now = Instant::now();
        self.shared.state.lock().quotas.get(index).map(|quota| quota.snapshot(now))
    }

    /// The instant from which windows are counted.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.shared.config.started
    }

    /// Changes a standard deployment's tokens per minute from now on, as Azure does under load.
    /// Whether there was such a deployment.
    #[expect(clippy::must_use_candidate, reason = "called for its effect")]
    pub fn set_tokens_per_minute(&self, deployment: &str, tokens: u64) -> bool {
        self.change(deployment, |quota, now| {
            if let Quota::Standard(quota) = quota {
                quota.set_tokens_per_minute(now, tokens);
                return true;
            }
            false
        })
    }

    /// Changes a standard deployment's requests per minute from now on. Whether there was such a
    /// deployment.
    #[expect(clippy::must_use_candidate, reason = "called for its effect")]
    pub fn set_requests_per_minute(&self, deployment: &str, requests: u64) -> bool {
        self.change(deployment, |quota, now| {
            if let Quota::Standard(quota) = quota {
                quota.set_requests_per_minute(now, requests);
                return true;
            }
            false
        })
    }

    /// Makes a deployment's answers take so many times as long from now on: a brown-out. 1 is the
    /// normal speed. Whether there was such a deployment.
    #[expect(clippy::must_use_candidate, reason = "called for its effect")]
    pub fn slow_down(&self, deployment: &str, factor: f64) -> bool {
        let Some(index) = self.shared.find(deployment) else {
            return false;
        };
        let mut state = self.shared.state.lock();
        state.slowness.get_mut(index).map(|slowness| *slowness = factor.max(0.0)).is_some()
    }

    /// Changes which rate limit headers a standard deployment sends from now on. Whether there
    /// was such a deployment.
    #[expect(clippy::must_use_candidate, reason = "called for its effect")]
    pub fn set_header_style(&self, deployment: &str, style: HeaderStyle) -> bool {
        self.change_quirks(deployment, |quirks| quirks.style = style)
    }

    /// Changes how a standard deployment's refusals say when to come back, from now on. Whether
    /// there was such a deployment.
    #[expect(clippy::must_use_candidate, reason = "called for its effect")]
    pub fn set_retry_hints(&self, deployment: &str, hints: RetryHints) -> bool {
        self.change_quirks(deployment, |quirks| quirks.hints = hints)
    }

    fn change_quirks(&self, deployment: &str, change: impl FnOnce(&mut Quirks)) -> bool {
        let Some(index) = self.shared.find(deployment) else {
            return false;
        };
        let mut state = self.shared.state.lock();
        state.quirks.get_mut(index).map(change).is_some()
    }

    fn change(&self, deployment: &str, change: impl FnOnce(&mut Quota, Instant) -> bool) -> bool {
        let now = Instant::now();
        let Some(index) = self.shared.find(deployment) else {
            return false;
        };
        self.shared.state.lock().quotas.get_mut(index).is_some_and(|quota| change(quota, now))
    }
}

impl<B: Body> Service<Request<B>> for Simulator {
    type Response = Response<SimulatedBody>;
    type Error = ConnectionFault;
    type Future = SimulatedFuture<B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectionFault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> SimulatedFuture<B> {
        SimulatedFuture::new(Arc::clone(&self.shared), request)
    }
}

/// Dictates answers: see [`Simulator::script`].
#[derive(Debug, Clone)]
pub struct Script<'a> {
    simulator: &'a Simulator,
    of: Whose,
}

#[derive(Debug, Clone)]
enum Whose {
    Deployment(Arc<str>),
    Region(String),
    Any,
}

impl Script<'_> {
    /// The next answer that is not dictated yet. After the last of them the deployment answers as
    /// usual.
    #[expect(clippy::return_self_not_must_use, reason = "the answer is dictated by the call")]
    pub fn then(self, scripted: Scripted) -> Self {
        self.scene(|scene| scene.push(scripted));
        self
    }

    /// The same answer so many times.
    #[expect(clippy::return_self_not_must_use, reason = "the answer is dictated by the call")]
    pub fn times(self, count: usize, scripted: &Scripted) -> Self {
        self.scene(|scene| (0..count).for_each(|_| scene.push(scripted.clone())));
        self
    }

    /// Every answer to a request that arrives from one instant until just before the other, where
    /// the queue of [`then`](Self::then) is empty: an outage.
    #[expect(clippy::return_self_not_must_use, reason = "the answer is dictated by the call")]
    pub fn during(self, from: Instant, until: Instant, scripted: Scripted) -> Self {
        self.scene(|scene| scene.during(from, until, scripted));
        self
    }

    /// This share of all answers, at random, where nothing else is dictated: 0.1 is one in ten.
    #[expect(clippy::return_self_not_must_use, reason = "the answer is dictated by the call")]
    pub fn sometimes(self, probability: f64, scripted: Scripted) -> Self {
        self.scene(|scene| scene.sometimes(probability, scripted));
        self
    }

    /// Forgets all that was dictated here.
    pub fn clear(self) {
        self.scene(|scene| *scene = Scene::default());
    }

    /// How many answers of the queue have not been given yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let mut waiting = 0;
        self.scene(|scene| waiting = scene.waiting());
        waiting
    }

    fn scene(&self, change: impl FnOnce(&mut Scene)) {
        let mut state = self.simulator.shared.state.lock();
        match &self.of {
            Whose::Deployment(name) => change(state.scenes.entry(Arc::clone(name)).or_default()),
            Whose::Region(name) => change(state.region_scenes.entry(name.clone()).or_default()),
            Whose::Any => change(&mut state.any_scene),
        }
    }
}
