//! What is told.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, Serializer};

/// Something that a person should know, or that it is over.
///
/// As JSON, which is what a [webhook](crate::statistics::alerts::Webhook) sends:
///
/// ```json
/// {"kind":"breaker_open","phase":"raised","severity":"warning","stack":"assistant","subject":"eastus","episode":3,
///  "words":"eastus is left alone: 5 failures without a success","figures":{"opened":1.0},"at":1795125600.25}
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Alert {
    /// What it is about.
    pub kind: AlertKind,
    /// Whether it begins or is over.
    pub phase: Phase,
    /// How urgent it is; of what is over, how urgent it was.
    pub severity: Severity,
    /// The stack's name.
    pub stack: Arc<str>,
    /// Which endpoint, budget or model.
    pub subject: Arc<str>,
    /// The number of the episode, from 1, in this stack: the one that begins and the one that ends it have the same.
    pub episode: u64,
    /// What has happened, for people.
    pub words: String,
    /// The figures behind it. Times in seconds, shares from 0 to 1, money in dollars.
    pub figures: Figures,
    /// When, by the system's clock; as JSON in seconds since 1970.
    #[serde(serialize_with = "unix_seconds")]
    pub at: SystemTime,
}

/// Figures by name.
pub type Figures = BTreeMap<&'static str, f64>;

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AlertKind {
    /// A share of a budget is spent. Over when its period is.
    BudgetThreshold,
    /// A budget refuses calls. Over when its period is, or when there is room again.
    BudgetRefusing,
    /// Calls are made whose price is not known. Over when there were none for an hour.
    UnknownPrice,
    /// An endpoint is unhealthy and is left alone. Over when it answers again.
    BreakerOpen,
    /// Too large a share of the prompts is truncated.
    Truncation,
    /// Calls wait too long before a quota.
    QueueWait,
    /// An endpoint answers that key, deployment or network rules are wrong. Over when it answers a call.
    Misconfigured,
    /// The server grants a smaller quota than is configured, or than it granted before.
    QuotaLowered,
}

/// Whether something begins or is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It begins. Told once in an episode.
    Raised,
    /// It is over. Told once in an episode.
    Resolved,
}

/// How urgent it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// Good to know.
    Info,
    /// Someone should look.
    Warning,
    /// Calls fail, or are about to.
    Critical,
}

impl AlertKind {
    /// A short name for logs and metrics: `budget_threshold`, `breaker_open`, …
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BudgetThreshold => "budget_threshold",
            Self::BudgetRefusing => "budget_refusing",
            Self::UnknownPrice => "unknown_price",
            Self::BreakerOpen => "breaker_open",
            Self::Truncation => "truncation",
            Self::QueueWait => "queue_wait",
            Self::Misconfigured => "misconfigured",
            Self::QuotaLowered => "quota_lowered",
        }
    }
}

impl Severity {
    /// `info`, `warning` or `critical`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl Alert {
    /// Whether it is over.
    #[must_use]
    pub fn is_resolved(&self) -> bool {
        self.phase == Phase::Resolved
    }
}

/// `warning breaker_open: eastus is left alone: 5 failures without a success`.
impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lead = if self.is_resolved() { "resolved" } else { self.severity.name() };
        write!(f, "{lead} {}: {}", self.kind.name(), self.words)
    }
}

fn unix_seconds<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64())
}
