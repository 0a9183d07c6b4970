use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;
use tower_aoai_core::{Availability, CallContext, Reason};

use crate::{
    Accounting, Acquire, Ask, Charge, Dimension, Estimate, Forecast, Limits, Local, Prediction, Quota, Store,
    desk::Counts, shared::Shared,
};

/// Shows, and changes, the quota that all services of one layer share; takes from it without HTTP, too.
pub struct TokenBucketHandle<St = Local> {
    shared: Arc<Shared<St>>,
}

/// A quota's state at one instant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenBucketSnapshot {
    /// Calls let through whose bodies have not ended.
    pub in_flight: usize,
    /// How many may be, as limits and what the server bears are now; `usize::MAX` without a limit.
    pub in_flight_limit: usize,
    /// Calls that wait.
    pub queued: usize,
    /// Tokens of the calls in flight.
    pub outstanding_tokens: u64,
    /// Tokens in their window now; 0 without a limit.
    pub tokens_used: u64,
    /// What the window holds; 0 without a limit, of a bucket its capacity.
    pub tokens_limit: u64,
    /// Requests in their window now; 0 without a limit.
    pub requests_used: u64,
    /// What their window holds, which may be shorter than a minute; 0 without a limit.
    pub requests_limit: u64,
    /// How much of the tokens' limit is used, in thousandths: 1,000 unless the server refused what was let through.
    pub share_per_mille: u16,
    /// Tokens that others were seen to use in the last minute, as the quota headers tell.
    pub others_tokens: u64,
    /// The tokens per minute that the server tells, where that is not what is [configured](Limits::tokens_per_minute).
    pub learned_tokens_per_minute: Option<u64>,
    /// The requests per minute that the server tells, where that is not what is configured.
    pub learned_requests_per_minute: Option<u64>,
    /// Until when the server asked not to be asked.
    pub gate: Option<Instant>,
    /// Calls let through, since the layer was made or last reset.
    pub granted: u64,
    /// Calls refused when they came.
    pub denied: u64,
    /// Calls refused while they waited.
    pub shed: u64,
    /// Answers by which the server refused for its quota.
    pub throttled: u64,
    /// How often the use of the tokens rose to the threshold.
    pub near_limit: u64,
    /// How long the calls let through have waited, together.
    pub waited: Duration,
    /// How long one of them has waited at the most.
    pub longest_wait: Duration,
}

/// What would become of a call that comes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Risk {
    /// It would go at once.
    Now,
    /// It would wait.
    Waits {
        /// When it would start if nothing else happens; calls in flight are taken to end in time.
        until: Instant,
        /// What it would wait for, as things are now; `None`: only for those who wait already.
        on: Option<Dimension>,
    },
    /// It would be refused.
    Refused {
        /// Why.
        reason: Reason,
        /// When it would no longer be, if waiting helps.
        until: Option<Instant>,
    },
}

impl TokenBucketHandle {
    pub(crate) fn of(quota: &Quota) -> Self {
        let store = Local::new(quota.desk(Instant::now()));
        Self::new(store, Arc::clone(&quota.estimate), Arc::clone(&quota.accounting))
    }

    /// The state as it is now.
    #[must_use]
    pub fn snapshot(&self) -> TokenBucketSnapshot {
        let now = Instant::now();
        self.shared.store.look(|desk| {
            let (tokens_used, tokens_limit) = desk.ledger.tokens(now).unwrap_or_default();
            let (requests_used, requests_limit) = desk.ledger.requests(now).unwrap_or_default();
            let (learned_tokens_per_minute, learned_requests_per_minute) = desk.ledger.learned();
            let Counts { granted, denied, shed, waited, longest, near_limit, throttled } = desk.counts;
            TokenBucketSnapshot {
                in_flight: desk.ledger.in_flight(),
                in_flight_limit: desk.ledger.places().unwrap_or(usize::MAX),
                queued: desk.queued(),
                outstanding_tokens: u64::try_from(desk.ledger.outstanding()).unwrap_or(u64::MAX),
                tokens_used,
                tokens_limit,
                requests_used,
                requests_limit,
                share_per_mille: (desk.ledger.share() * 1_000.0).round() as u16,
                others_tokens: desk.ledger.others(now),
                learned_tokens_per_minute,
                learned_requests_per_minute,
                gate: desk.ledger.gate(now),
                granted,
                denied,
                shed,
                throttled,
                near_limit,
                waited,
                longest_wait: longest,
            }
        })
    }

    /// What would become of a call of this charge, without a deadline, that comes now.
    #[must_use]
    pub fn risk(&self, charge: Charge) -> Risk {
        let now = Instant::now();
        self.shared.store.look(|desk| desk.risk(now, &Ask::new(charge)))
    }

    /// What will be used and wanted so much later, if calls go on to come as they did in the last 30 s.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tower_aoai_token_bucket::{Charge, Quota, TokenBucketLayer};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), tower_aoai_core::Rejected> {
    /// let limiter = TokenBucketLayer::of(Quota::standard(60_000)).handle();
    /// for _ in 0..10 {
    ///     tokio::time::advance(Duration::from_secs(1)).await;
    ///     limiter.acquire(Charge::tokens(2_000)).await?.sent();
    /// }
    /// // 20,000 are in the window, and 20,000 more will come.
    /// let soon = limiter.forecast(Duration::from_secs(10));
    /// assert_eq!((soon.tokens_wanted, soon.tokens_limit), (40_000, 60_000));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn forecast(&self, within: Duration) -> Forecast {
        let now = Instant::now();
        self.shared.store.look(|desk| desk.forecast(now, within))
    }

    /// Other limits from now on, for calls that wait, too. What was let through stays counted.
    ///
    /// Those who wait for more than there will ever be are refused. A limit that was `None` begins with nothing used.
    pub fn set_limits(&self, limits: Limits) {
        let now = Instant::now();
        self.shared.store.change(|desk, wakes| desk.set_limits(now, limits, wakes));
    }

    /// The limits as they are configured; what the server tells of them is in the [snapshot](Self::snapshot).
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.shared.store.look(|desk| desk.ledger.configured())
    }

    /// Starts counting calls and waits anew. What is used of the quota, and a gate, stay: the server forgets nothing.
    pub fn reset(&self) {
        self.shared.store.change(|desk, _| desk.counts = Counts::default());
    }
}

impl<St> TokenBucketHandle<St> {
    pub(crate) fn new(store: St, estimate: Arc<dyn Estimate>, accounting: Arc<dyn Accounting>) -> Self {
        Self { shared: Arc::new(Shared::new(store, estimate, accounting)) }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared<St>> {
        &self.shared
    }

    /// Where the quota is kept.
    #[must_use]
    pub fn store(&self) -> &St {
        &self.shared.store
    }

    /// What a call is charged here, as the layer would charge it: for [`risk`](TokenBucketHandle::risk).
    #[must_use]
    pub fn charge(&self, call: &CallContext) -> Charge {
        self.shared.ask(call).charge
    }

    /// How long the answer to a call will be, by the answers to calls like it: of the same
    /// [tenant](CallContext::tenant), with a prompt of about the same size, limited or not. What is not known of these is
    /// taken from all calls, and from what it asks for; `None` while nothing is known, for want of answers or of an
    /// [`ObserveLayer`](tower_aoai_core::ObserveLayer) below.
    #[must_use]
    pub fn predict(&self, call: &CallContext) -> Option<Prediction> {
        self.shared.predict(call)
    }
}

impl<St: Store> TokenBucketHandle<St> {
    /// Waits for a charge in the same queue as the layer's calls.
    ///
    /// ```
    /// use tower_aoai_token_bucket::{Charge, Quota, TokenBucketLayer};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), tower_aoai_core::Rejected> {
    /// let limiter = TokenBucketLayer::of(Quota::standard(1_000)).handle();
    /// let mut permit = limiter.acquire(Charge::tokens(600)).await?;
    /// permit.sent();
    /// drop(permit);
    /// // There are 400 left: the next one waits for the first to be a minute old.
    /// let permit = limiter.acquire(Charge::tokens(600)).await?;
    /// assert!(permit.waited().as_secs() >= 60);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Reason::TooLarge`] if it can never fit; [`Reason::QueueFull`]; [`Reason::QuotaSpent`] where the quota
    /// [never waits](Quota::never_wait); [`Reason::StartBy`] if it has a [start-by](Acquire::start_by) that cannot be
    /// kept. All but the first tell from when on it would be let through.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the queue; what was granted and not yet taken goes back.
    pub fn acquire(&self, charge: Charge) -> Acquire<St> {
        Acquire::new(Arc::clone(&self.shared), Ask::new(charge))
    }

    pub(crate) fn availability(&self) -> Arc<dyn Availability> {
        Arc::<Shared<St>>::clone(&self.shared)
    }
}

impl<St> Clone for TokenBucketHandle<St> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl Default for TokenBucketHandle {
    /// Of a quota without limits.
    fn default() -> Self {
        Self::of(&Quota::default())
    }
}

impl<St: fmt::Debug> fmt::Debug for TokenBucketHandle<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenBucketHandle").field(&self.shared.store).finish()
    }
}
