//! What is going on, and what of it is to be told: a state machine that is shown what the handles say.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;
use tower_aoai_circuit_breaker::CircuitSnapshot;
use tower_aoai_cost::BudgetStatus;

use super::{
    Alert, AlertKind, Figures, Phase, Severity,
    episodes::{Episodes, Level, Turn},
};
use crate::statistics::{Settings, activity::Activity, snapshot::short_time};

/// What was seen in one look.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    pub(crate) endpoints: Vec<EndpointSight>,
    /// What was done in the last five minutes.
    pub(crate) recent: Activity,
    pub(crate) cost: Option<CostSight>,
    /// What the cost layer told since the last look.
    pub(crate) crossed: Vec<tower_aoai_cost::Alert>,
}

#[derive(Debug)]
pub(crate) struct EndpointSight {
    pub(crate) name: Arc<str>,
    pub(crate) breaker: Option<CircuitSnapshot>,
    pub(crate) quota: Option<QuotaSight>,
    pub(crate) is_misconfigured: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct QuotaSight {
    pub(crate) used_share: f64,
    pub(crate) queued: usize,
    /// How long a small call that comes now would wait.
    pub(crate) wait: Duration,
    pub(crate) configured_tokens: Option<u64>,
    pub(crate) learned_tokens: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct CostSight {
    pub(crate) budgets: Vec<BudgetStatus>,
    pub(crate) refused_unpriced: u64,
    /// Models with attempts whose price is not known, and how many.
    pub(crate) unpriced: Vec<(Arc<str>, u64)>,
}

/// The episodes under way, and the counts of the last look.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(super) settings: Settings,
    stack: Arc<str>,
    episodes: Episodes<Key>,
    open: BTreeMap<u64, Alert>,
    /// Of this look.
    seen: HashSet<Key>,
    told: Vec<Alert>,
    pub(super) last: LastLook,
}

/// Counts as they were.
#[derive(Debug, Default)]
pub(super) struct LastLook {
    pub(super) opened: HashMap<Arc<str>, u64>,
    pub(super) largest_learned: HashMap<Arc<str>, u64>,
    pub(super) refused: HashMap<String, u64>,
    pub(super) unpriced: HashMap<Arc<str>, u64>,
    pub(super) refused_unpriced: u64,
    /// Thresholds under way, by their ids: budget, value and share.
    pub(super) thresholds: HashMap<String, Threshold>,
    pub(super) is_first: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Threshold {
    pub(super) alert: tower_aoai_cost::Alert,
    pub(super) per_mille: u32,
}

/// Of an episode.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    kind: AlertKind,
    id: String,
}

/// How something is, and what is to be told if that is news.
pub(super) struct Signal<'a> {
    pub(super) kind: AlertKind,
    pub(super) subject: &'a Arc<str>,
    /// Tells episodes of one subject apart; most often the subject.
    pub(super) id: String,
    pub(super) level: Level,
    pub(super) severity: Severity,
    pub(super) calm: Duration,
    pub(super) words: &'a dyn Fn() -> String,
    pub(super) figures: &'a dyn Fn() -> Figures,
}

impl Watch {
    pub(crate) fn new(stack: Arc<str>, settings: Settings) -> Self {
        Self {
            settings,
            stack,
            episodes: Episodes::new(),
            open: BTreeMap::new(),
            seen: HashSet::new(),
            told: Vec::new(),
            last: LastLook { is_first: true, ..LastLook::default() },
        }
    }

    /// What is news, in order.
    pub(crate) fn look(&mut self, now: Instant, at: SystemTime, sight: &Sight) -> Vec<Alert> {
        self.signals(now, at, sight);
        self.end_what_is_gone(now, at);
        self.last.is_first = false;
        self.seen.clear();
        std::mem::take(&mut self.told)
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = &Alert> {
        self.open.values()
    }

    /// Beginnings that were not told, for too many were under way.
    pub(crate) const fn untold(&self) -> u64 {
        self.episodes.untold()
    }

    pub(super) fn signal(&mut self, now: Instant, at: SystemTime, signal: Signal<'_>) {
        let Signal { kind, subject, id, level, severity, calm, words, figures } = signal;
        let key = Key { kind, id };
        if level == Level::Good && !self.episodes.is_open(&key) {
            return;
        }
        self.seen.insert(key.clone());
        match self.episodes.note(now, key, level, calm) {
            Some(Turn::Begins(episode)) => {
                let alert = Alert {
                    kind,
                    phase: Phase::Raised,
                    severity,
                    stack: Arc::clone(&self.stack),
                    subject: Arc::clone(subject),
                    episode,
                    words: words(),
                    figures: figures(),
                    at,
                };
                self.open.insert(episode, alert.clone());
                self.told.push(alert);
            }
            Some(Turn::Ends(episode)) => self.end(episode, at),
            None => {}
        }
    }

    /// What is under way and was not spoken of: its endpoint is gone, or its period over.
    fn end_what_is_gone(&mut self, now: Instant, at: SystemTime) {
        let gone: Vec<Key> = self.episodes.keys().filter(|key| !self.seen.contains(*key)).cloned().collect();
        for key in gone {
            if let Some(Turn::Ends(episode)) = self.episodes.note(now, key, Level::Good, Duration::ZERO) {
                self.end(episode, at);
            }
        }
        debug_assert_eq!(self.episodes.len(), self.open.len(), "each open episode has its alert");
    }

    fn end(&mut self, episode: u64, at: SystemTime) {
        if let Some(began) = self.open.remove(&episode) {
            let lasted = at.duration_since(began.at).unwrap_or_default();
            let mut figures = began.figures;
            figures.insert("lasted_seconds", lasted.as_secs_f64());
            let words = format!("over after {}: {}", short_time(lasted), began.words);
            self.told.push(Alert { phase: Phase::Resolved, words, figures, at, ..began });
        }
    }
}
