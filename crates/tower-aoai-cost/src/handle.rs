use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;
use tower_aoai_core::{Call, Rejected};

use crate::{Alerts, BudgetStatus, LogStatus, Period, Query, Span, Spend, Tag, Tags, books::Books, layer::Settings};

/// Shows what all services of one layer have booked.
#[derive(Clone)]
pub struct CostHandle {
    books: Arc<Books>,
    /// `None`: the layer is off.
    settings: Option<Arc<Settings>>,
}

/// How a layer's books stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CostSnapshot {
    /// Calls under way.
    pub open: u64,
    /// Calls that have ended, whatever came of them; since the layer was made or last reset, as all the counts here.
    pub ended: u64,
    /// Attempts that those calls sent.
    pub attempts: u64,
    /// Calls, and attempts at a gate, that were refused for a budget.
    pub refused: u64,
    /// Calls that were refused because it is not known what they cost.
    pub refused_unpriced: u64,
    /// Everything in the books, those of a [log](crate::CostLog) included.
    pub total: Spend,
    /// Every budget, as it stands now.
    pub budgets: Vec<BudgetStatus>,
    /// Rows in the books: one for each combination of tags in each hour, day, month, and in all.
    pub rows: usize,
    /// Bookings that found no row of their own, and are among the [`OTHER`](crate::OTHER)s.
    pub folded: u64,
    /// How often a value of a tag was one too many, and was booked as [`OTHER`](crate::OTHER).
    pub turned_away: Vec<(Tag, u64)>,
    /// How the log fares, where there is one.
    pub log: Option<LogStatus>,
}

/// What was spent by one combination of values.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// The values, in the order in which the tags were asked for; [`UNTAGGED`](crate::UNTAGGED) where there is none,
    /// [`OTHER`](crate::OTHER) for all for which there was no room.
    pub values: Vec<Arc<str>>,
    /// What was spent.
    pub spend: Spend,
}

impl CostHandle {
    pub(crate) const fn new(books: Arc<Books>, settings: Option<Arc<Settings>>) -> Self {
        Self { books, settings }
    }

    /// Why a call that came now with these tags would be refused; `None` if it would not. Nothing is reserved, counted or
    /// told of, and another call may be faster.
    ///
    /// It is asked of the prices that the layer had when it was [asked for this handle](crate::CostLayer::handle).
    ///
    /// ```
    /// use tokio::time::Instant;
    /// use tower_aoai_core::Call;
    /// use tower_aoai_cost::{Budget, CostLayer, Money, Period, Tag, Tags};
    ///
    /// let budget = Budget::new("each agent", Money::cents(1), Period::Day).each(Tag::Agent).enforce();
    /// let handle = CostLayer::new().budget(budget).handle();
    /// let body = br#"{"model":"gpt-4o","messages":[],"max_tokens":4000}"#;
    /// let call = Call::read(&"/openai/v1/chat/completions".parse().unwrap(), &http::HeaderMap::new(), body);
    /// let refused = handle.would_refuse(&call, &Tags::new().agent("writer"), Instant::now()).unwrap();
    /// assert!(refused.to_string().contains("$0.00 spent, $0.00 reserved by calls under way, and this call may cost $0.04"));
    /// ```
    #[must_use]
    pub fn would_refuse(&self, call: &Call, tags: &Tags, now: Instant) -> Option<Rejected> {
        let settings = self.settings.as_ref()?;
        let worst = || settings.assessor().worst(call, None);
        settings.refuses(call).or_else(|| self.books.would_refuse(tags, now, settings.attempts, worst))
    }

    /// How the books stand.
    #[must_use]
    pub fn snapshot(&self) -> CostSnapshot {
        let seconds = self.books.seconds();
        let log = self.books.pipe().map(|pipe| pipe.status());
        self.books.with(|state| {
            let turned_away = state.ledger.names().turned_away();
            CostSnapshot {
                open: state.counts.open,
                ended: state.counts.ended,
                attempts: state.counts.attempts,
                refused: state.counts.refused,
                refused_unpriced: state.counts.refused_unpriced,
                total: state.ledger.sum(&Query::total()),
                budgets: state.accounts.statuses(seconds, &state.ledger),
                rows: state.ledger.rows(),
                folded: state.ledger.folded,
                turned_away: Tag::ALL.into_iter().zip(turned_away).filter(|(_, count)| *count > 0).collect(),
                log,
            }
        })
    }

    /// What was spent by all that is asked for. A call is booked when it has ended, in the hour in which it began.
    ///
    /// It looks at each row of the span, while bookings wait: some nanoseconds a row.
    #[must_use]
    pub fn sum(&self, query: &Query) -> Spend {
        self.books.with(|state| state.ledger.sum(query))
    }

    /// The same, by the values of some tags: the dearest first.
    ///
    /// ```
    /// use tower_aoai_cost::{CostLayer, Query, Tag};
    ///
    /// let handle = CostLayer::new().handle();
    /// for line in handle.by(&[Tag::Task, Tag::Agent], &Query::total()) {
    ///     println!("{} {}: {}", line.values[0], line.values[1], line.spend.cost());
    /// }
    /// ```
    #[must_use]
    pub fn by(&self, tags: &[Tag], query: &Query) -> Vec<Line> {
        let mut lines: Vec<_> = self.books.with(|state| {
            let names = state.ledger.names();
            let named = |(numbers, spend): (Vec<u32>, Spend)| {
                let values = tags.iter().zip(numbers).map(|(tag, number)| names.name(*tag, number)).collect();
                Line { values, spend }
            };
            state.ledger.by(tags, query).into_iter().map(named).collect()
        });
        lines.sort_by(|one, other| {
            other.spend.cost().cmp(&one.spend.cost()).then_with(|| one.values.cmp(&other.values))
        });
        lines
    }

    /// The hours, days or months of which there are sums, oldest first.
    #[must_use]
    pub fn spans(&self, period: Period) -> Vec<Span> {
        self.books.with(|state| state.ledger.spans(period))
    }

    /// The alerts from now on. The last 64 wait for a slow listener; [`Alerts::missed`] counts those lost.
    #[must_use]
    pub fn alerts(&self) -> Alerts {
        self.books.outlets.lock().listen()
    }

    /// Begins empty books; budgets are whole again, but for what calls under way have reserved. The log, where there
    /// is one, is written anew.
    pub fn reset(&self) {
        self.books.with(|state| {
            state.ledger.clear();
            state.accounts.clear();
            state.told_unpriced.clear();
            let open = state.counts.open;
            state.counts = crate::books::Counts { open, ..Default::default() };
            if let Some(pipe) = self.books.pipe() {
                pipe.write_anew();
            }
        });
    }

    /// Waits, **blocking**, until what was booked so far is in the log, and at most so long; whether it is. `true` where
    /// there is no log. For the end of a program.
    #[must_use]
    pub fn flush(&self, patience: Duration) -> bool {
        self.books.pipe().is_none_or(|pipe| pipe.flush(patience))
    }
}

impl Default for CostHandle {
    /// Of books of its own, empty.
    fn default() -> Self {
        crate::CostLayer::new().handle()
    }
}

impl fmt::Debug for CostHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CostHandle").field(&self.snapshot()).finish()
    }
}
