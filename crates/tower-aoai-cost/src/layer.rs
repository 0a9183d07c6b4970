use std::{io, sync::Arc, time::SystemTime};

use http::{HeaderName, Request};
use tower_aoai_core::{Call, Reason, Rejected};
use tower_layer::Layer;

use crate::{
    Alert, Budget, Cost, CostGateLayer, CostHandle, CostLog, DeploymentType, Prices, Rates, ServiceTier, Tag, Tags,
    assess::Assessor,
    books::{BY, Books},
    period::WallClock,
};

/// Turns usage into money, and keeps budgets; see the [crate's page](crate).
///
/// The books are shared by every service this layer makes, by its clones and by its handles; a clone that is changed
/// afterwards still shares them.
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct CostLayer {
    books: Arc<Books>,
    settings: Arc<Settings>,
    is_off: bool,
}

/// What becomes of calls whose price is not known. None of them is ever taken for free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnknownPrice {
    /// They are let through, told of, and booked as [unpriced](crate::Spend::unpriced), with their tokens. Where a budget is
    /// enforced for them, they are refused all the same: nobody could say whether it holds.
    #[default]
    Warn,
    /// They are refused with [`Reason::BudgetSpent`](tower_aoai_core::Reason::BudgetSpent), with nothing sent. What only
    /// the answer shows, that it is of a model without a price, is booked as unpriced.
    Refuse,
    /// They are booked at these rates, as estimates.
    Assume(Rates),
}

/// How calls are assessed.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    prices: Arc<Prices>,
    unknown: UnknownPrice,
    usual_type: DeploymentType,
    usual_tier: ServiceTier,
    pub(crate) attempts: u32,
    headers: Vec<(Tag, HeaderName)>,
}

impl CostLayer {
    /// Books by the [built-in prices](Prices::built_in), without a budget.
    pub fn new() -> Self {
        let settings = Settings {
            prices: Arc::default(),
            unknown: UnknownPrice::default(),
            usual_type: DeploymentType::default(),
            usual_tier: ServiceTier::default(),
            attempts: 1,
            headers: Vec::new(),
        };
        Self { books: Books::new(), settings: Arc::new(settings), is_off: false }
    }

    /// Books nothing and refuses nothing: for a stack whose type must not change.
    pub fn off() -> Self {
        Self { is_off: true, ..Self::new() }
    }

    /// What tokens cost. Default: [`Prices::built_in`].
    pub fn prices(self, prices: Prices) -> Self {
        self.with(|settings| settings.prices = Arc::new(prices))
    }

    /// What becomes of calls whose price is not known. Default: [`UnknownPrice::Warn`].
    pub fn unknown_price(self, unknown: UnknownPrice) -> Self {
        self.with(|settings| settings.unknown = unknown)
    }

    /// How deployments are billed that are [not named](Prices::deployment). Default: [`DeploymentType::Global`].
    pub fn deployment_type(self, kind: DeploymentType) -> Self {
        self.with(|settings| settings.usual_type = kind)
    }

    /// The service tier of answers that name none, and of what is reserved. Default: [`ServiceTier::Default`].
    pub fn service_tier(self, tier: ServiceTier) -> Self {
        self.with(|settings| settings.usual_tier = tier)
    }

    /// For how many attempts that may be billed the worst case is reserved, where a budget is enforced. Default 1, at
    /// least 1.
    ///
    /// A call that is tried again may be billed twice. Either this is as large as the attempts of the layers below, or
    /// a [gate](Self::gate) stands below them, which reserves for each further attempt when it is about to be sent.
    pub fn attempts(self, attempts: u32) -> Self {
        self.with(|settings| settings.attempts = attempts.max(1))
    }

    /// Takes a tag from a header, where the request's [`Tags`] do not have it. The header goes no further.
    ///
    /// Whoever can send requests can then say in whose name: only behind a door that checks it.
    pub fn tag_header(self, tag: Tag, header: HeaderName) -> Self {
        self.with(|settings| settings.headers.push((tag, header)))
    }

    /// Adds a budget: it alerts, and refuses calls where it is [enforced](Budget::enforce). Default: none.
    pub fn budget(self, budget: Budget) -> Self {
        self.books.add_budget(budget);
        self
    }

    /// Calls this for each alert. It may be called where a call ends or is dropped, and must not block.
    pub fn on_alert(self, callback: impl Fn(&Alert) + Send + Sync + 'static) -> Self {
        self.books.outlets.lock().set_callback(callback);
        self
    }

    /// Begins with the books of a log, and writes down what is booked from now on.
    ///
    /// # Errors
    ///
    /// That this layer has a log already, or that no thread can be had for the writing.
    pub fn log(self, log: CostLog) -> io::Result<Self> {
        log.attach(&self.books)?;
        Ok(self)
    }

    /// How many values of each tag are told apart (default 1,000; further ones are [`OTHER`](crate::OTHER)), and how
    /// many rows the books have in all (default 100,000, of some 300 bytes each): one for each combination of values in
    /// each hour, day, month, and in all. Where that is too little, old hours are let go of, then old days, then old
    /// months; their sums stay in those of longer times.
    pub fn bounds(self, values: usize, rows: usize) -> Self {
        self.books.with(|state| {
            let bounds = state.ledger.bounds();
            state.ledger.set_bounds(crate::ledger::Bounds { values, rows, ..bounds });
        });
        self
    }

    /// How many hours, days and months are kept. Default 48, 62, and 24.
    pub fn keep(self, hours: usize, days: usize, months: usize) -> Self {
        self.books.with(|state| {
            let bounds = state.ledger.bounds();
            state.ledger.set_bounds(crate::ledger::Bounds { spans: [hours, days, months], ..bounds });
        });
        self
    }

    /// Who says what day it is. Default: the system's clock. Only the first counts, set before the first call.
    ///
    /// Periods need the calendar, which tokio's clock does not know. Under paused time:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use std::time::{Duration, UNIX_EPOCH};
    /// use tokio::time::Instant;
    /// use tower_aoai_cost::CostLayer;
    ///
    /// let (then, start) = (UNIX_EPOCH + Duration::from_secs(1_790_000_000), Instant::now());
    /// let layer = CostLayer::new().wall_clock(move || then + (Instant::now() - start));
    /// # let _ = layer;
    /// # }
    /// ```
    pub fn wall_clock(self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.books.set_clock(WallClock::new(clock));
        self
    }

    /// Shows what is booked.
    #[must_use]
    pub fn handle(&self) -> CostHandle {
        let settings = (!self.is_off).then(|| Arc::clone(&self.settings));
        CostHandle::new(Arc::clone(&self.books), settings)
    }

    /// The layer that stands below those that try again, and reserves for each further attempt; see
    /// [`CostGateLayer`].
    pub fn gate(&self) -> CostGateLayer {
        CostGateLayer::default()
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl Default for CostLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for CostLayer {
    type Service = Cost<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let shared = (!self.is_off).then(|| (Arc::clone(&self.books), Arc::clone(&self.settings)));
        Cost::new(inner, shared)
    }
}

impl Settings {
    pub(crate) fn assessor(&self) -> Assessor<'_> {
        let Self { prices, unknown, usual_type, usual_tier, .. } = self;
        Assessor { prices, unknown, usual_type: *usual_type, usual_tier: *usual_tier }
    }

    /// Why a call is refused whose price nobody knows.
    pub(crate) fn refuses(&self, call: &Call) -> Option<Rejected> {
        if self.unknown != UnknownPrice::Refuse || self.assessor().knows(call) {
            return None;
        }
        let name = call.target().unwrap_or("unknown");
        let detail =
            format!("the price of {name:?} is not known: name it in the table of prices, or say which model it is");
        Some(Rejected::new(Reason::BudgetSpent, BY).detail(detail))
    }

    /// The request's tags; headers that tell of some are taken out.
    pub(crate) fn tags<B>(&self, request: &mut Request<B>) -> Tags {
        let mut tags = request.extensions().get::<Tags>().cloned().unwrap_or_default();
        for (tag, header) in &self.headers {
            let value = request.headers_mut().remove(header);
            let value = value.as_ref().and_then(|value| value.to_str().ok());
            if let (None, Some(value)) = (tags.get(*tag), value) {
                tags.set(*tag, Some(value.into()));
            }
        }
        tags
    }
}
