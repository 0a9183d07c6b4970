//! What the statistics of one stack share: the meter, the watch, and who is told.

use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;
use tower_aoai_core::Operation;
use tower_aoai_cost::{CostHandle, Query, Tag};
use tower_aoai_token_bucket::{Charge, Risk, TokenBucketHandle};

use super::{
    Settings,
    activity::share,
    alerts::{CostSight, EndpointSight, Outlets, QuotaSight, Sight, Watch},
    handles::StackHandles,
    meter::{Meter, OTHER},
};
use crate::telemetry::{AttemptRecord, CallRecord, Recorder};

/// Minutes over which what goes on now is judged.
pub(crate) const RECENT: usize = 5;

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    handles: RwLock<Arc<StackHandles>>,
    meter: Mutex<Meter>,
    looker: Mutex<Looker>,
    pub(crate) outlets: Outlets,
    in_flight: AtomicU64,
    /// Futures that look, so that calls need not.
    watchers: AtomicUsize,
}

/// What a look needs of the one before.
struct Looker {
    watch: Watch,
    next: Instant,
    /// Prompts held against a window, and truncated.
    prompts: Option<(u64, u64)>,
    cost_alerts: Option<tower_aoai_cost::Alerts>,
    missed: u64,
}

impl Shared {
    pub(crate) fn new(handles: StackHandles, settings: Settings, now: Instant) -> Self {
        let looker = Looker {
            watch: Watch::new(Arc::clone(&handles.name), settings.clone()),
            next: now,
            prompts: None,
            cost_alerts: handles.cost.as_ref().map(CostHandle::alerts),
            missed: 0,
        };
        Self {
            settings,
            handles: RwLock::new(Arc::new(handles)),
            meter: Mutex::new(Meter::new(now)),
            looker: Mutex::new(looker),
            outlets: Outlets::new(),
            in_flight: AtomicU64::new(0),
            watchers: AtomicUsize::new(0),
        }
    }

    pub(crate) fn name(&self) -> Arc<str> {
        Arc::clone(&self.handles.read().name)
    }

    pub(crate) fn handles(&self) -> Arc<StackHandles> {
        Arc::clone(&self.handles.read())
    }

    /// The meter as it is: a copy, so that no call waits while it is read.
    pub(crate) fn meter(&self) -> Meter {
        self.meter.lock().clone()
    }

    /// Takes the handles of a stack that was made anew; what was counted stays for endpoints that are still there.
    ///
    /// What is news is told by the next to [deliver](Outlets::deliver) it.
    pub(crate) fn replace(&self, handles: StackHandles, now: Instant) {
        self.look_with(now, &mut self.looker.lock());
        let handles = Arc::new(handles);
        {
            let mut looker = self.looker.lock();
            looker.cost_alerts = handles.cost.as_ref().map(CostHandle::alerts);
            looker.prompts = None;
            *self.handles.write() = Arc::clone(&handles);
        }
        let names: Vec<_> = handles.endpoints().iter().map(|endpoint| Arc::clone(&endpoint.name)).collect();
        self.meter.lock().keep_endpoints(|name| name == OTHER || names.iter().any(|known| **known == *name));
        self.look_with(now, &mut self.looker.lock());
    }

    /// Tells what is news.
    pub(crate) fn deliver(&self) {
        self.outlets.deliver();
    }

    /// Looks at the handles, and tells what is news.
    pub(crate) fn look(&self, now: Instant) {
        self.look_with(now, &mut self.looker.lock());
        self.deliver();
    }

    /// The same if it is time to, nobody else does, and nobody is at it.
    fn look_in_passing(&self, now: Instant) {
        if self.watchers.load(Relaxed) > 0 {
            return;
        }
        if let Some(mut looker) = self.looker.try_lock()
            && now >= looker.next
        {
            self.look_with(now, &mut looker);
            drop(looker);
            self.outlets.deliver();
        }
    }

    fn look_with(&self, now: Instant, looker: &mut Looker) {
        looker.next = now + self.settings.look_every;
        let handles = self.handles();
        let mut sight = Sight { crossed: looker.crossed(), ..Sight::default() };
        sight.cost = handles.cost.as_ref().map(see_cost);
        sight.endpoints = see_endpoints(&handles);
        let prompts = handles.context_window.as_ref().map(|window| {
            let counts = window.snapshot();
            (counts.calls, counts.truncated)
        });
        {
            let mut meter = self.meter.lock();
            if let Some((calls, truncated)) = prompts {
                // A reset begins from zero again.
                let (calls_before, truncated_before) = looker
                    .prompts
                    .filter(|(before, _)| *before <= calls)
                    .unwrap_or(if looker.prompts.is_some() { (0, 0) } else { (calls, truncated) });
                meter.prompts(now, calls - calls_before, truncated.saturating_sub(truncated_before));
            }
            looker.prompts = prompts;
            meter.in_flight(now, self.in_flight.load(Relaxed));
            for endpoint in &mut sight.endpoints {
                if let Some(quota) = endpoint.quota {
                    meter.quota_in_use(now, &endpoint.name, quota.used_share);
                }
                let metered = meter.endpoint_named(&endpoint.name);
                endpoint.is_misconfigured |= metered.is_some_and(|metered| metered.misconfigured_since.is_some());
            }
            sight.recent = meter.last_minutes(now, RECENT);
        }
        let at = (self.settings.wall_clock)();
        for alert in looker.watch.look(now, at, &sight) {
            self.outlets.put(alert);
        }
    }

    /// Alerts under way, oldest first.
    pub(crate) fn open_alerts(&self) -> Vec<super::Alert> {
        self.looker.lock().watch.open().cloned().collect()
    }

    /// Alerts that nobody was told of.
    pub(crate) fn lost_alerts(&self) -> u64 {
        let looker = self.looker.lock();
        self.outlets.lost() + looker.watch.untold() + looker.missed
    }

    pub(crate) fn watcher_comes(&self) {
        self.watchers.fetch_add(1, Relaxed);
    }

    pub(crate) fn watcher_goes(&self) {
        self.watchers.fetch_sub(1, Relaxed);
    }
}

impl Looker {
    /// What the cost layer has told since the last look.
    fn crossed(&mut self) -> Vec<tower_aoai_cost::Alert> {
        let mut crossed = Vec::new();
        let Some(alerts) = &mut self.cost_alerts else {
            return crossed;
        };
        let before = alerts.missed();
        loop {
            let next = pin!(alerts.next());
            match next.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(alert)) => crossed.push(alert),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        self.missed += alerts.missed() - before;
        crossed
    }
}

fn see_endpoints(handles: &StackHandles) -> Vec<EndpointSight> {
    let mut endpoints: Vec<_> = handles
        .endpoints()
        .into_iter()
        .map(|endpoint| EndpointSight {
            name: Arc::clone(&endpoint.name),
            breaker: endpoint.breaker.as_ref().map(tower_aoai_circuit_breaker::CircuitBreakerHandle::snapshot),
            quota: endpoint.bucket.as_ref().map(see_quota),
            is_misconfigured: false,
        })
        .collect();
    for leg in handles.models.iter().flat_map(|model| &model.legs) {
        for member in leg.balance.iter().flat_map(|balance| balance.snapshot().members) {
            if let Some(endpoint) = endpoints.iter_mut().find(|endpoint| endpoint.name == member.name) {
                endpoint.is_misconfigured |= !member.out_of_rotation.is_empty();
            }
        }
    }
    endpoints
}

fn see_quota(handle: &TokenBucketHandle) -> QuotaSight {
    let bucket = handle.snapshot();
    let wait = match handle.risk(Charge::tokens(1)) {
        Risk::Waits { until, .. } if bucket.queued > 0 => until.saturating_duration_since(Instant::now()),
        _ => Duration::ZERO,
    };
    QuotaSight {
        used_share: share(bucket.tokens_used, bucket.tokens_limit)
            .max(share(bucket.requests_used, bucket.requests_limit)),
        queued: bucket.queued,
        wait,
        configured_tokens: handle.limits().tokens_per_minute,
        learned_tokens: bucket.learned_tokens_per_minute,
    }
}

fn see_cost(handle: &CostHandle) -> CostSight {
    let cost = handle.snapshot();
    let mut unpriced = Vec::new();
    if cost.total.unpriced.attempts > 0 {
        let lines = handle.by(&[Tag::Model], &Query::total()).into_iter();
        unpriced = lines
            .filter(|line| line.spend.unpriced.attempts > 0)
            .filter_map(|line| Some((Arc::clone(line.values.first()?), line.spend.unpriced.attempts)))
            .collect();
    }
    CostSight { budgets: cost.budgets, refused_unpriced: cost.refused_unpriced, unpriced }
}

/// Tells the statistics, as long as they are there: handles know layers, and these know their recorders.
#[derive(Debug)]
pub(crate) struct Told(pub(crate) Weak<Shared>);

impl Recorder for Told {
    fn call_began(&self, _: Operation) {
        if let Some(shared) = self.0.upgrade() {
            shared.in_flight.fetch_add(1, Relaxed);
        }
    }

    fn call(&self, record: &CallRecord) {
        if let Some(shared) = self.0.upgrade() {
            // One that began before the statistics were there is not counted below zero.
            let _ = shared.in_flight.fetch_update(Relaxed, Relaxed, |calls| calls.checked_sub(1));
            shared.meter.lock().call(record);
            shared.look_in_passing(record.ended);
        }
    }

    fn attempt(&self, record: &AttemptRecord) {
        if let Some(shared) = self.0.upgrade() {
            shared.meter.lock().attempt(record);
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statistics")
            .field("stack", &self.name())
            .field("outlets", &self.outlets)
            .finish_non_exhaustive()
    }
}
