//! A stack at one instant: the parts of a [`StackSnapshot`].

mod endpoint;
mod table;
mod take;

use std::sync::Arc;

use serde::Serialize;
use tower_aoai_cost::Money;

pub use self::endpoint::{
    BreakerSnapshot, CredentialSnapshot, EndpointSnapshot, MemberSnapshot, OutOfRotation, QuotaSnapshot,
};
pub(crate) use self::take::{MILLIS, short, short_time};
use super::{Activity, Alert, Health, Spread};

/// A whole stack at one instant: what `serde` writes of it is stable, and what `Display` writes is a table for people.
///
/// Times are seconds (`…_seconds`), shares are from 0 to 1 (`…_share`), money is in whole nano-dollars
/// (`…_nano_dollars`) with dollars beside it as text. What a stack does not have is `null`. Counts are since the
/// layers were made or last reset, unless they say otherwise. Names are added to it, none is taken away or changes its
/// meaning.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StackSnapshot {
    /// The stack's name.
    pub name: Arc<str>,
    /// When, in seconds since 1970, by the system's clock.
    pub at: f64,
    /// For how long there have been statistics.
    pub uptime_seconds: f64,
    /// How it does.
    pub health: Health,
    /// What was done since the statistics were made.
    pub total: Activity,
    /// What was done in the last five minutes.
    pub last_5_minutes: Activity,
    /// From the door to the end of good answers, in seconds.
    pub duration_seconds: Option<Spread>,
    /// From the door to the first content of good answers, in seconds.
    pub first_content_seconds: Option<Spread>,
    /// How long calls waited here, in seconds; most often 0.
    pub waited_seconds: Option<Spread>,
    /// What callers ask for, and who serves it.
    pub models: Vec<ModelSnapshot>,
    /// Every endpoint once.
    pub endpoints: Vec<EndpointSnapshot>,
    /// Prompts and their windows.
    pub context_window: Option<WindowSnapshot>,
    /// Money.
    pub spend: Option<SpendSnapshot>,
    /// What was told and is not over, oldest first.
    pub open_alerts: Vec<Alert>,
    /// Alerts told so far, resolved ones included.
    pub alerts_told: u64,
    /// Alerts that were lost: a callback took too long, or there were too many at once.
    pub alerts_lost: u64,
}

/// What serves one name by which callers ask.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ModelSnapshot {
    /// The name.
    pub name: Arc<str>,
    /// Its fallback's counts, where it has one.
    pub fallback: Option<FallbackCounts>,
    /// Its legs, in their order.
    pub legs: Vec<LegSnapshot>,
}

/// What a fallback counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FallbackCounts {
    /// Calls that have ended.
    pub calls: u64,
    /// That a leg has answered.
    pub answered: u64,
    /// That no leg could serve.
    pub failed: u64,
    /// That were dropped before there was an answer.
    pub cancelled: u64,
}

/// One leg.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LegSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// Its endpoints' names.
    pub endpoints: Vec<Arc<str>>,
    /// What the fallback counts of it.
    pub use_by_fallback: Option<LegUse>,
    /// What its retry layer counts.
    pub retries: Option<RetrySnapshot>,
}

/// What became of the calls of one leg.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LegUse {
    /// Calls that were tried in it.
    pub entered: u64,
    /// Calls that it has answered.
    pub answered: u64,
    /// Of these, how many had to wait in it first.
    pub waited: u64,
    /// How long, together.
    pub waited_seconds: f64,
    /// Calls that were not even tried in it, for it was known to be full.
    pub not_asked: u64,
    /// Calls that left it for another one, by cause.
    pub left: LeftBy,
    /// Calls spilled to it from a provisioned leg that it has answered.
    pub spills: u64,
    /// Calls that Azure itself spilled from its deployment.
    pub spilled_by_azure: u64,
    /// What the spills have cost, exact and estimated together.
    pub spill_spend_nano_dollars: u64,
}

/// Why calls left a leg.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LeftBy {
    /// The server's hint ends later than they would wait.
    pub hint: u64,
    /// The queue is longer than they would wait.
    pub queue: u64,
    /// Their deadlines.
    pub deadline: u64,
    /// Waiting on would have been dearer.
    pub price: u64,
    /// Its endpoints are ill.
    pub outage: u64,
    /// They are too large for it.
    pub size: u64,
    /// Whatever else.
    pub other: u64,
}

/// What a retry layer counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RetrySnapshot {
    /// Calls that have ended.
    pub calls: u64,
    /// Sends of those.
    pub sends: u64,
    /// Calls that ended well.
    pub answered: u64,
    /// Calls dropped by their callers.
    pub cancelled: u64,
    /// Retries that waited for a server's hint.
    pub by_hint: u64,
    /// Retries that waited for a backoff.
    pub by_backoff: u64,
    /// Retries that a balancer sent elsewhere.
    pub elsewhere: u64,
    /// Waits for a layer below that had refused.
    pub refusals_waited: u64,
    /// Calls given up: not to be tried again.
    pub gave_up_final: u64,
    /// Calls given up: tried as often as allowed.
    pub gave_up_attempts: u64,
    /// Calls given up: the wait would have missed deadline, start-by, or patience.
    pub gave_up_time: u64,
    /// Calls given up: asked to wait longer than the cap.
    pub gave_up_hint_cap: u64,
    /// Calls given up: the retry budget was spent.
    pub gave_up_budget: u64,
    /// Calls given up: their body could be sent only once.
    pub gave_up_unreplayable: u64,
    /// Time spent waiting between attempts.
    pub waited_seconds: f64,
}

/// Prompts and their windows.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WindowSnapshot {
    /// Calls that were held against a window.
    pub calls: u64,
    /// Of these, refused.
    pub refused: u64,
    /// Of these, sent on with something of their prompt missing.
    pub truncated: u64,
    /// The share of these.
    pub truncated_share: f64,
    /// Of these, sent on with less output asked for.
    pub clamped: u64,
    /// Calls to models that are not known.
    pub unknown_models: u64,
    /// The longest prompt, in tokens.
    pub peak_prompt: u64,
    /// The most of its window that a prompt had.
    pub peak_share: f64,
}

/// What was spent. See [`Spend`](tower_aoai_cost::Spend) for the columns.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SpendSnapshot {
    /// Where the server said how much it used.
    pub exact_nano_dollars: u64,
    /// Where it did not.
    pub estimated_nano_dollars: u64,
    /// Both together, in dollars.
    pub cost: String,
    /// Attempts that provisioned deployments served.
    pub provisioned_attempts: u64,
    /// Attempts whose price nobody knows.
    pub unpriced_attempts: u64,
    /// Attempts that cost nothing.
    pub free_attempts: u64,
    /// Calls refused for a budget.
    pub refused: u64,
    /// The budgets.
    pub budgets: Vec<BudgetSnapshot>,
}

/// A budget in its period.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BudgetSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// The value of the tag whose sum it is, where each has its own.
    pub value: Option<Arc<str>>,
    /// Of which hour, day or month.
    pub period: String,
    /// What may be spent.
    pub limit_nano_dollars: u64,
    /// What was.
    pub spent_nano_dollars: u64,
    /// What calls under way have reserved.
    pub reserved_nano_dollars: u64,
    /// Spent and limit, in dollars.
    pub words: String,
    /// The share that is spent.
    pub spent_share: f64,
    /// Calls that were refused.
    pub refused: u64,
    /// When it is renewed, in seconds since 1970.
    pub renewed_at: Option<f64>,
}

impl StackSnapshot {
    /// The endpoint of that name.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Option<&EndpointSnapshot> {
        self.endpoints.iter().find(|endpoint| *endpoint.name == *name)
    }
}

/// What is spent of a budget, as a share.
pub(crate) fn spent_share(spent: Money, limit: Money) -> f64 {
    super::activity::share(spent.as_nano_dollars(), limit.as_nano_dollars())
}
