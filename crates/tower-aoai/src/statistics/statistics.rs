use std::{
    fmt,
    future::Future,
    sync::{Arc, Weak},
    time::UNIX_EPOCH,
};

use tokio::time::{Instant, MissedTickBehavior};

use super::{
    Alert, Health, Insights, PlannedCall, Settings, StackRisk, StackSnapshot,
    alerts::Alerts,
    handles::StackHandles,
    registry,
    shared::{RECENT, Shared, Told},
    snapshot::{EndpointSnapshot, MILLIS, ModelSnapshot, SpendSnapshot, WindowSnapshot},
};
use crate::telemetry::Recorder;

/// The statistics of one stack; clones show the same. To be kept as long as they are to be told anything.
#[derive(Clone)]
pub struct Statistics {
    shared: Arc<Shared>,
}

/// There is no endpoint of this name with a circuit breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownEndpoint {
    name: Arc<str>,
    known: Vec<Arc<str>>,
}

impl Statistics {
    /// Of a stack, with the default [settings](Settings).
    #[must_use]
    pub fn new(handles: StackHandles) -> Self {
        Self::with(handles, Settings::default())
    }

    /// Of a stack.
    #[must_use]
    pub fn with(handles: StackHandles, settings: Settings) -> Self {
        let now = Instant::now();
        let shared = Arc::new(Shared::new(handles, settings, now));
        registry::enter(&shared);
        // What is counted already is not news.
        shared.look(now);
        Self { shared }
    }

    pub(crate) const fn of(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The stack's name.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        self.shared.name()
    }

    /// What is to be told of every call and attempt: for
    /// [`CallTelemetryLayer`](crate::telemetry::CallTelemetryLayer) and
    /// [`AttemptTelemetryLayer`](crate::telemetry::AttemptTelemetryLayer).
    ///
    /// It does not keep the statistics: once the last of these is dropped, it tells nobody. Else handles, which know their
    /// layers, and layers, which know their recorders, would keep each other for ever.
    #[must_use]
    pub fn recorder(&self) -> Arc<dyn Recorder> {
        Arc::new(Told(Arc::downgrade(&self.shared)))
    }

    /// Takes the handles of a stack that was made anew, under a name of its own or the same. The history stays; of
    /// endpoints that are gone, counts and alerts are over.
    pub fn replace(&self, handles: StackHandles) {
        self.shared.replace(handles, Instant::now());
        self.shared.deliver();
    }

    /// The same, for whom nobody's callback is to run just now: they are for [`deliver`](Self::deliver).
    #[cfg(feature = "stack")]
    pub(crate) fn replace_untold(&self, handles: StackHandles) {
        self.shared.replace(handles, Instant::now());
    }

    /// Tells what is news.
    #[cfg(feature = "stack")]
    pub(crate) fn deliver(&self) {
        self.shared.deliver();
    }

    /// The whole stack as it is now. Asks every handle; calls wait for it no longer than a copy of the counts takes.
    #[must_use]
    pub fn snapshot(&self) -> StackSnapshot {
        let now = Instant::now();
        let (handles, meter) = (self.shared.handles(), self.shared.meter());
        let models: Vec<_> = handles.models.iter().map(ModelSnapshot::take).collect();
        let endpoints = EndpointSnapshot::take_all(&handles, &meter, now);
        let last_5_minutes = meter.last_minutes(now, RECENT);
        let spend = handles.cost.as_ref().map(SpendSnapshot::take);
        let open_alerts = self.shared.open_alerts();
        StackSnapshot {
            name: Arc::clone(&handles.name),
            at: (self.shared.settings.wall_clock)().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            uptime_seconds: now.saturating_duration_since(meter.started).as_secs_f64(),
            health: Health::judge(&models, &endpoints, &last_5_minutes, &open_alerts),
            total: meter.all,
            last_5_minutes,
            duration_seconds: meter.duration.spread(now, MILLIS),
            first_content_seconds: meter.first_content.spread(now, MILLIS),
            waited_seconds: meter.waits.spread(now, MILLIS),
            models,
            endpoints,
            context_window: handles.context_window.as_ref().map(WindowSnapshot::take),
            spend,
            open_alerts,
            alerts_told: self.shared.outlets.told(),
            alerts_lost: self.shared.lost_alerts(),
        }
    }

    /// How the stack does: for a health endpoint.
    #[must_use]
    pub fn health(&self) -> Health {
        self.snapshot().health
    }

    /// What the last minutes and hours tell.
    #[must_use]
    pub fn insights(&self) -> Insights {
        let now = Instant::now();
        let (handles, meter) = (self.shared.handles(), self.shared.meter());
        let endpoints = EndpointSnapshot::take_all(&handles, &meter, now);
        Insights::of(&handles, &meter, &endpoints, now)
    }

    /// What would become of a call that came now: of the model that it names, else of the first one.
    ///
    /// Nothing is reserved. Enforced budgets are asked by the call's [tags](PlannedCall::tags).
    #[must_use]
    pub fn risk(&self, planned: &PlannedCall) -> StackRisk {
        StackRisk::of(&self.shared.handles(), planned, Instant::now())
    }

    /// Closes the circuit of one endpoint, so that it is sent calls again.
    ///
    /// # Errors
    /// [`UnknownEndpoint`] if there is no endpoint of this name, or it has no circuit breaker.
    pub fn reset_breaker(&self, endpoint: &str) -> Result<(), UnknownEndpoint> {
        let handles = self.shared.handles();
        let breakers =
            || handles.endpoints().into_iter().filter_map(|known| Some((&known.name, known.breaker.as_ref()?)));
        match breakers().find(|(name, _)| ***name == *endpoint) {
            Some((_, breaker)) => {
                breaker.reset();
                Ok(())
            }
            None => Err(UnknownEndpoint {
                name: endpoint.into(),
                known: breakers().map(|(name, _)| Arc::clone(name)).collect(),
            }),
        }
    }

    /// Closes the circuits of all endpoints, those tripped by hand, too, so that they are sent calls again.
    pub fn reset_breakers(&self) {
        let handles = self.shared.handles();
        for breaker in handles.endpoints().into_iter().filter_map(|endpoint| endpoint.breaker.as_ref()) {
            breaker.reset();
        }
    }

    /// The alerts from now on. The last 256 wait for a slow listener; [`Alerts::missed`] counts those lost.
    #[must_use]
    pub fn alerts(&self) -> Alerts {
        self.shared.outlets.listen()
    }

    /// Calls this with every alert from now on, where the look is made: it must not block, or later alerts wait; and it must
    /// not hold these statistics, or they are never let go. At most 16 can be told; `false` if there are as many already.
    pub fn on_alert(&self, callback: impl Fn(&Alert) + Send + Sync + 'static) -> bool {
        self.shared.outlets.add_callback(Arc::new(callback))
    }

    /// Looks at the circuits, quotas and budgets, and tells what is news. Only needed where nobody
    /// [keeps watch](Self::keep_watch) and no calls end.
    pub fn tick(&self, now: Instant) {
        self.shared.look(now);
    }

    /// Looks once a second ([`Settings::look_every`]), so that alerts come in time and calls need not look; to be
    /// spawned. Ends when the statistics are gone: it does not keep them.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the looking to the calls that end.
    pub fn keep_watch(&self) -> impl Future<Output = ()> + Send + use<> {
        let every = self.shared.settings.look_every;
        let watcher = Watcher::of(&self.shared);
        async move {
            let mut ticks = tokio::time::interval(every.max(std::time::Duration::from_millis(1)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let now = ticks.tick().await;
                let Some(shared) = watcher.shared.upgrade() else { break };
                shared.look(now);
            }
        }
    }
}

/// Somebody who looks, as long as it is there.
struct Watcher {
    shared: Weak<Shared>,
}

impl Watcher {
    fn of(shared: &Arc<Shared>) -> Self {
        shared.watcher_comes();
        Self { shared: Arc::downgrade(shared) }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.watcher_goes();
        }
    }
}

impl UnknownEndpoint {
    /// The name that was asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for UnknownEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no endpoint named {:?} has a circuit breaker; there are: {}", self.name, self.known.join(", "))
    }
}

impl std::error::Error for UnknownEndpoint {}

impl fmt::Debug for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}
