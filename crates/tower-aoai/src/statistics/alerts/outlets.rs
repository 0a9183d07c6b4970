//! Who is told of alerts.

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use tower_aoai_core::{Listener, News};

use super::{Alert, Severity};

/// Alerts that a slow listener does not miss.
pub(crate) const KEPT: usize = 256;

/// Alerts that wait for a callback that does not come back; of more, the oldest are lost.
const WAITING_AT_MOST: usize = 1_024;

/// Callbacks that may be registered.
const CALLBACKS: usize = 16;

type Callback = Arc<dyn Fn(&Alert) + Send + Sync>;

/// The log, the callbacks and the channel. Nobody who tells it anything waits.
pub(crate) struct Outlets {
    callbacks: Mutex<Vec<Callback>>,
    channel: News<Alert>,
    /// What is to be told, in its order.
    outbox: Mutex<VecDeque<Alert>>,
    /// Held by the one who tells.
    telling: Mutex<()>,
    told: AtomicU64,
    lost: AtomicU64,
}

impl Outlets {
    pub(crate) fn new() -> Self {
        Self {
            callbacks: Mutex::default(),
            channel: News::new(KEPT),
            outbox: Mutex::default(),
            telling: Mutex::default(),
            told: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// Whether there was room for it.
    pub(crate) fn add_callback(&self, callback: Callback) -> bool {
        let mut callbacks = self.callbacks.lock();
        let has_room = callbacks.len() < CALLBACKS;
        if has_room {
            callbacks.push(callback);
        }
        has_room
    }

    pub(crate) fn listen(&self) -> Alerts {
        self.channel.listen()
    }

    /// Alerts told so far.
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Relaxed)
    }

    /// Puts it behind those that are to be told. Called where a lock orders them; [`deliver`](Self::deliver) is called
    /// where none is held.
    pub(crate) fn put(&self, alert: Alert) {
        let mut outbox = self.outbox.lock();
        if outbox.len() == WAITING_AT_MOST {
            outbox.pop_front();
            self.lost.fetch_add(1, Relaxed);
        }
        outbox.push_back(alert);
    }

    /// Alerts that nobody was told of, for a callback took too long.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Tells what waits, in its order; returns at once where another thread, or a callback's caller, is at it.
    pub(crate) fn deliver(&self) {
        while !self.outbox.lock().is_empty() {
            let Some(_telling) = self.telling.try_lock() else {
                return;
            };
            loop {
                let next = self.outbox.lock().pop_front();
                let Some(alert) = next else { break };
                self.tell(alert);
            }
        }
    }

    fn tell(&self, alert: Alert) {
        self.told.fetch_add(1, Relaxed);
        log(&alert);
        let callbacks = self.callbacks.lock().clone();
        for callback in callbacks {
            // It may be called where a call is dropped.
            if catch_unwind(AssertUnwindSafe(|| callback(&alert))).is_err() {
                tracing::error!(target: "tower_aoai::alerts", kind = alert.kind.name(), "a callback for alerts panicked");
            }
        }
        self.channel.tell(alert);
    }
}

fn log(alert: &Alert) {
    let Alert { kind, severity, stack, subject, episode, .. } = alert;
    let (kind, severity) = (kind.name(), if alert.is_resolved() { Severity::Info } else { *severity });
    match severity {
        Severity::Info => {
            tracing::info!(target: "tower_aoai::alerts", kind, stack = &**stack, subject = &**subject, episode, "{alert}");
        }
        Severity::Warning => {
            tracing::warn!(target: "tower_aoai::alerts", kind, stack = &**stack, subject = &**subject, episode, "{alert}");
        }
        Severity::Critical => {
            tracing::error!(target: "tower_aoai::alerts", kind, stack = &**stack, subject = &**subject, episode, "{alert}");
        }
    }
}

impl fmt::Debug for Outlets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlets").field("told", &self.told()).finish_non_exhaustive()
    }
}

/// The alerts of a stack, as they come, from when this was made; `None` when the statistics are gone.
///
/// The last 256 wait for a slow listener: it loses the oldest, and how many it [missed](Listener::missed) is counted.
pub type Alerts = Listener<Alert>;
