//! What may be spent.

use std::{fmt, sync::Arc};

use crate::{
    Money, Period, Tag, Tags, UNTAGGED,
    tags::{Key, NONE, Names},
};

/// A sum that may be spent in each hour, day or month, or once and for all.
///
/// It tells of each threshold that is crossed, once in each period. [Enforced](Self::enforce), it also refuses what could
/// exceed it, before anything is sent.
///
/// A call counts in the period in which it began.
///
/// ```
/// use tower_aoai_cost::{Budget, CostLayer, Money, Period, Tag};
///
/// let layer = CostLayer::new()
///     .budget(Budget::new("all of us", Money::dollars(5_000), Period::Month))
///     .budget(Budget::new("each tenant", Money::dollars(20), Period::Day).each(Tag::Tenant).enforce())
///     .budget(Budget::new("the planner", Money::dollars(2), Period::Hour).tag(Tag::Agent, "planner").alert_at([500]));
/// # let _ = layer;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a budget does nothing until a layer has it"]
pub struct Budget {
    name: Arc<str>,
    limit: Money,
    period: Period,
    values: Vec<(Tag, Arc<str>)>,
    each: Option<Tag>,
    thresholds: Vec<u32>,
    is_enforced: bool,
}

impl Budget {
    /// So much in each period, for everything. The name is for alerts and refusals.
    ///
    /// It alerts at 80 % and at 100 %, and refuses nothing.
    pub fn new(name: impl Into<Arc<str>>, limit: Money, period: Period) -> Self {
        Self {
            name: name.into(),
            limit,
            period,
            values: Vec::new(),
            each: None,
            thresholds: vec![800, 1_000],
            is_enforced: false,
        }
    }

    /// Only for what has this value. Several tags are a conjunction.
    pub fn tag(mut self, tag: Tag, value: impl Into<Arc<str>>) -> Self {
        self.values.push((tag, value.into()));
        self
    }

    /// The same sum for each value of a tag by itself; calls without one share theirs. Of several, the last counts.
    pub fn each(mut self, tag: Tag) -> Self {
        self.each = Some(tag);
        self
    }

    /// Which shares of the sum are told of when they are spent, in thousandths. Default 800 and 1000.
    pub fn alert_at(mut self, thousandths: impl IntoIterator<Item = u32>) -> Self {
        self.thresholds = thousandths.into_iter().filter(|threshold| *threshold > 0).collect();
        self.thresholds.sort_unstable();
        self.thresholds.dedup();
        self
    }

    /// Refuses what could exceed it: the most that a call can cost is reserved before it is sent, and settled when it
    /// has ended.
    ///
    /// Only for [tags that the caller says](Tag::is_callers): the others are not known before. An enforced budget of
    /// such a tag enforces nothing, and says so when the layer gets it.
    pub fn enforce(mut self) -> Self {
        self.is_enforced = true;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What may be spent.
    #[must_use]
    pub const fn limit(&self) -> Money {
        self.limit
    }

    /// In which time.
    #[must_use]
    pub const fn period(&self) -> Period {
        self.period
    }

    /// Whether it refuses calls, and is known early enough to do so.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        self.is_enforced && self.is_known_early()
    }

    pub(crate) fn enforces_in_vain(&self) -> bool {
        self.is_enforced && !self.is_known_early()
    }

    fn is_known_early(&self) -> bool {
        self.values.iter().map(|(tag, _)| *tag).chain(self.each).all(Tag::is_callers)
    }

    /// Thresholds, ascending, in money.
    pub(crate) fn thresholds(&self) -> impl Iterator<Item = (u32, Money)> + Clone {
        self.thresholds.iter().map(|threshold| (*threshold, self.limit.per_mille(*threshold)))
    }

    pub(crate) fn values(&self) -> &[(Tag, Arc<str>)] {
        &self.values
    }

    pub(crate) const fn each_tag(&self) -> Option<Tag> {
        self.each
    }

    /// The number of the value whose sum it is, if what has these values is meant.
    pub(crate) fn fits(&self, key: &Key, names: &Names) -> Option<u32> {
        let fits = self.values.iter().all(|(tag, value)| names.find(*tag, value) == Some(key[tag.place()]));
        fits.then(|| self.each.map_or(NONE, |tag| key[tag.place()]))
    }

    /// The same of a call that has not come, whose values may be new.
    pub(crate) fn would_fit(&self, tags: &Tags, names: &Names) -> Option<Whose> {
        let value = |tag: Tag| tags.get(tag).unwrap_or(UNTAGGED);
        let fits = self.values.iter().all(|(tag, wanted)| {
            let has = value(*tag);
            has == &**wanted || (names.find(*tag, has).is_some() && names.find(*tag, has) == names.find(*tag, wanted))
        });
        let whose = |tag| names.would_be(tag, value(tag)).map_or(Whose::New, Whose::Known);
        fits.then(|| self.each.map_or(Whose::Known(NONE), whose))
    }
}

/// The value whose sum a budget is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The one of this number.
    Known(u32),
    /// One that nobody has spent for.
    New,
}

/// `"each tenant", $20.00 a day`.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {}", self.name, self.limit)?;
        match self.period {
            Period::Total => f.write_str(" in all"),
            period => write!(f, " a {}", period.name()),
        }
    }
}
