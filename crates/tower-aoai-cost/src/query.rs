//! What is asked of the ledger.

use std::sync::Arc;

use crate::{Period, Span, Tag};

/// Which rows of the ledger are meant: those of a span that have these values.
///
/// ```
/// use std::time::SystemTime;
/// use tower_aoai_cost::{CostLayer, Period, Query, Tag};
///
/// let handle = CostLayer::new().handle();
/// let today = Query::of(Period::Day.at(SystemTime::now())).tag(Tag::Agent, "planner");
/// assert_eq!(handle.sum(&today).calls, 0);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a query does nothing until it is asked"]
pub struct Query {
    span: Span,
    values: Vec<(Tag, Arc<str>)>,
}

impl Query {
    /// Everything since the ledger was begun.
    pub fn total() -> Self {
        Self::of(Period::Total.of(0))
    }

    /// One hour, day or month. Of hours the last 48 are kept, of days 62, of months 24 ([`CostLayer::keep`] says
    /// others).
    ///
    /// [`CostLayer::keep`]: crate::CostLayer::keep
    pub const fn of(span: Span) -> Self {
        Self { span, values: Vec::new() }
    }

    /// Only what has this value; [`UNTAGGED`](crate::UNTAGGED) for what has none, [`OTHER`](crate::OTHER) for what found
    /// no room. Several tags are a conjunction.
    pub fn tag(mut self, tag: Tag, value: impl Into<Arc<str>>) -> Self {
        self.values.push((tag, value.into()));
        self
    }

    pub(crate) const fn span(&self) -> Span {
        self.span
    }

    pub(crate) fn values(&self) -> &[(Tag, Arc<str>)] {
        &self.values
    }
}
