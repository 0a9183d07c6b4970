//! What statistics are to tell of, and by which clock.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// What is worth an alert, and by which clock it is told.
///
/// ```
/// use std::time::Duration;
/// use tower_aoai::statistics::{Settings, StackHandles, Statistics};
///
/// let settings = Settings::new().truncated_share(0.05).queue_wait(Duration::from_secs(3));
/// let statistics = Statistics::with(StackHandles::new("assistant"), settings);
/// # let _ = statistics;
/// ```
#[derive(Clone)]
#[must_use = "settings change nothing until statistics have them"]
pub struct Settings {
    pub(crate) truncated_share: f64,
    pub(crate) queue_wait: Duration,
    pub(crate) calm: Duration,
    pub(crate) look_every: Duration,
    pub(crate) wall_clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            truncated_share: 0.2,
            queue_wait: Duration::from_secs(10),
            calm: Duration::from_secs(60),
            look_every: Duration::from_secs(1),
            wall_clock: Arc::new(SystemTime::now),
        }
    }
}

impl Settings {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// From which share of truncated prompts on there is an alert, from 0 to 1. Default 0.2.
    pub const fn truncated_share(mut self, share: f64) -> Self {
        self.truncated_share = share;
        self
    }

    /// From which wait for a quota on there is an alert. Default 10 s.
    pub const fn queue_wait(mut self, wait: Duration) -> Self {
        self.queue_wait = wait;
        self
    }

    /// For how long something has to be well to be over. Default a minute.
    pub const fn calm(mut self, time: Duration) -> Self {
        self.calm = time;
        self
    }

    /// How often what only the handles show is looked at. Default once a second.
    pub const fn look_every(mut self, time: Duration) -> Self {
        self.look_every = time;
        self
    }

    /// Who says what time of day it is. Default: the system's clock. Under paused time see
    /// [`CostLayer::wall_clock`](tower_aoai_cost::CostLayer::wall_clock).
    pub fn wall_clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.wall_clock = Arc::new(clock);
        self
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { truncated_share, queue_wait, calm, look_every, .. } = self;
        f.debug_struct("Settings")
            .field("truncated_share", truncated_share)
            .field("queue_wait", queue_wait)
            .field("calm", calm)
            .field("look_every", look_every)
            .finish_non_exhaustive()
    }
}
