//! What a person should know, told once when it begins and once when it is over.
//!
//! | [kind](AlertKind) | begins | is over |
//! |---|---|---|
//! | `budget_threshold` | a share of a [budget](tower_aoai_cost::Budget::alert_at) is spent | with the budget's period |
//! | `budget_refusing` | a budget refuses calls | when it has refused none for 5 minutes |
//! | `unknown_price` | calls are made, or refused, whose price is not known | when there were none for an hour |
//! | `breaker_open` | an endpoint's circuit opens | when it has been closed for the calm time |
//! | `truncation` | of at least 20 prompts in 5 minutes a [share](Settings::truncated_share), 20 %, is truncated | when it is below three quarters of that, or there are no prompts |
//! | `queue_wait` | a call that comes now would [wait](Settings::queue_wait) 10 s or longer for a quota | when it would wait less than half of that |
//! | `misconfigured` | an endpoint answers 401, 403, or that there is no such deployment | when it has answered a call |
//! | `quota_lowered` | the server tells a smaller quota than is configured, or, where none is, than it told before | when it tells that again, or it is configured |
//!
//! Between beginning and end lies hysteresis: a figure has to get better than what began it, and stay so for the
//! [calm time](Settings::calm), a minute. So a figure that swings around its threshold is one episode. What begins and is
//! over between two looks is told, too, where it is counted: circuits, refusals, prices.
//!
//! Circuits, quotas and budgets are **looked at** once a second: by [`keep_watch`](Statistics::keep_watch), a future to be
//! spawned, else when calls end, else when [`tick`](Statistics::tick) is called. A look asks every handle, which is some
//! microseconds for each endpoint and some nanoseconds for each row of the cost layer's books.
//!
//! Alerts go to `tracing` (target `tower_aoai::alerts`), to [callbacks](Statistics::on_alert), to
//! [channels](Statistics::alerts), and by a [`Webhook`] to whatever takes JSON. No call ever waits for one of them; what a
//! slow listener loses is counted.
//!
//! [`Settings`]: crate::statistics::Settings
//! [`Settings::truncated_share`]: crate::statistics::Settings::truncated_share

mod alert;
mod episodes;
mod outlets;
mod signals;
mod watch;
mod webhook;

pub use self::{
    alert::{Alert, AlertKind, Figures, Phase, Severity},
    outlets::Alerts,
    webhook::{Webhook, WebhookCounts, WebhookHandle},
};
pub(crate) use self::{
    outlets::Outlets,
    watch::{CostSight, EndpointSight, QuotaSight, Sight, Watch},
};
#[cfg(doc)]
use super::{Settings, Statistics};
