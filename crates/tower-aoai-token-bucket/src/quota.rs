use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    Accounting, AzureEstimate, ChargeEstimate, CorrectOnCompletion, Estimate, Limits, Order, WindowModel,
    desk::Desk,
    ledger::{Headers, Ledger, Rules},
    queue::Queue,
};

/// A quota: its limits, how the server counts, and how calls wait for it.
///
/// ```
/// use tower_aoai_token_bucket::{Quota, TokenBucketLayer};
///
/// let quota = Quota::standard(150_000).requests_per_minute(900).queue_limit(500);
/// let layer = TokenBucketLayer::of(quota);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Quota {
    pub(crate) limits: Limits,
    model: WindowModel,
    guard: Duration,
    headers: Headers,
    order: Order,
    queue_limit: usize,
    never_waits: bool,
    near_limit: u8,
    pub(crate) estimate: Arc<dyn Estimate>,
    pub(crate) accounting: Arc<dyn Accounting>,
}

impl Default for Quota {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Quota {
    /// These limits, counted as an Azure standard deployment of which nothing else is known.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            model: WindowModel::default(),
            guard: Duration::from_millis(100),
            headers: Headers::default(),
            order: Order::default(),
            queue_limit: 10_000,
            never_waits: false,
            near_limit: 80,
            estimate: Arc::new(AzureEstimate::default()),
            accounting: Arc::new(ChargeEstimate),
        }
    }

    /// A standard deployment of so many tokens per minute.
    pub fn standard(tokens_per_minute: u64) -> Self {
        Self::new(Limits::new().tokens_per_minute(tokens_per_minute))
    }

    /// A provisioned deployment that works off so many weighted tokens per minute (units times the model's input tokens
    /// per minute and unit), each token of output weighing `output_ratio` of the prompt's.
    pub fn provisioned(tokens_per_minute: u64, output_ratio: u64) -> Self {
        Self::standard(tokens_per_minute)
            .model(WindowModel::utilisation())
            .accounting(CorrectOnCompletion)
            .estimate(AzureEstimate::new().output_ratio(output_ratio))
    }

    /// Requests per minute, in windows of [`Limits::request_window`].
    pub fn requests_per_minute(mut self, requests: u64) -> Self {
        self.limits.requests_per_minute = Some(requests);
        self
    }

    /// How the server counts tokens. Default [`WindowModel::Sliding`].
    pub fn model(mut self, model: WindowModel) -> Self {
        self.model = model;
        self
    }

    /// What becomes of a charge when the real use is known. Default [`ChargeEstimate`].
    pub fn accounting(mut self, accounting: impl Accounting + 'static) -> Self {
        self.accounting = Arc::new(accounting);
        self
    }

    /// How much later than the one before it a request may arrive at the server without breaking a window there. Default
    /// 100 ms, which costs 0.17 % of a minute; more of shorter windows of requests.
    pub fn guard(mut self, guard: Duration) -> Self {
        self.guard = guard;
        self
    }

    /// Takes the limits that the server's headers tell for its own, also above those configured here, or where none are.
    /// Default: what is configured is never exceeded.
    pub fn server_decides(mut self) -> Self {
        self.headers = Headers::Decide;
        self
    }

    /// Learns nothing from the quota headers. Default: a limit that the server tells is obeyed where it is lower, and
    /// what is used by others is booked. For a server whose headers are known to mislead.
    pub fn ignore_headers(mut self) -> Self {
        self.headers = Headers::Ignored;
        self
    }

    /// In which order calls wait. Default [`Order::Fifo`].
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// How many calls may wait; more are refused with
    /// [`Reason::QueueFull`](tower_aoai_core::Reason::QueueFull). Default 10,000.
    pub fn queue_limit(mut self, calls: usize) -> Self {
        self.queue_limit = calls;
        self
    }

    /// Refuses, with [`Reason::QuotaSpent`](tower_aoai_core::Reason::QuotaSpent), what cannot start at once. Default: it
    /// waits.
    pub fn never_wait(mut self) -> Self {
        self.never_waits = true;
        self
    }

    /// At how many percent of the tokens the use is reported, each time it rises to that: by a `tracing` event, and
    /// counted in the snapshot. Default 80.
    pub fn near_limit(mut self, percent: u8) -> Self {
        self.near_limit = percent;
        self
    }

    /// What the server charges for a call. Default [`AzureEstimate`].
    pub fn estimate(mut self, estimate: impl Estimate + 'static) -> Self {
        self.estimate = Arc::new(estimate);
        self
    }

    pub(crate) fn desk(&self, now: Instant) -> Desk {
        let rules = Rules { model: self.model, guard: self.guard, headers: self.headers };
        let ledger = Ledger::new(rules, self.limits, now);
        Desk::new(ledger, Queue::new(self.order, now), self.queue_limit, self.never_waits, self.near_limit, now)
    }
}
