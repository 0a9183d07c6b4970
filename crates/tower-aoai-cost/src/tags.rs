//! For what a call is made.

use std::sync::Arc;

use foldhash::HashMap;

/// By what spend is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Tag {
    /// What is to be done: the caller says so.
    Task,
    /// Of which workflow, or run of one, it is a part: the caller says so.
    Workflow,
    /// Who does it: the caller says so.
    Agent,
    /// For whom: the caller says so.
    Tenant,
    /// The model that answered, else the one that was asked for.
    Model,
    /// The deployment that answered, else the one that was asked for.
    Deployment,
    /// The endpoint to which a balancer sent the attempt.
    Endpoint,
}

/// How many tags there are.
pub(crate) const TAGS: usize = 7;

/// The most bytes of a tag's value that are kept: it comes from the caller.
pub(crate) const VALUE_BYTES: usize = 128;

impl Tag {
    /// All of them.
    pub const ALL: [Self; TAGS] =
        [Self::Task, Self::Workflow, Self::Agent, Self::Tenant, Self::Model, Self::Deployment, Self::Endpoint];

    /// Whether the caller says it, so that it is known before the call is sent.
    #[must_use]
    pub const fn is_callers(self) -> bool {
        matches!(self, Self::Task | Self::Workflow | Self::Agent | Self::Tenant)
    }

    /// `task`, `workflow`, …
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Workflow => "workflow",
            Self::Agent => "agent",
            Self::Tenant => "tenant",
            Self::Model => "model",
            Self::Deployment => "deployment",
            Self::Endpoint => "endpoint",
        }
    }

    pub(crate) const fn place(self) -> usize {
        self as usize
    }
}

/// For what a call is made: an extension of the request.
///
/// Of each value the first 128 bytes count. Values appear in snapshots, in budgets' refusals and in the log on disk: they
/// are no place for secrets.
///
/// ```
/// use tower_aoai_cost::Tags;
///
/// let request = http::Request::post("/openai/v1/chat/completions")
///     .extension(Tags::new().task("summarise").agent("planner"))
///     .body(())
///     .unwrap();
/// # let _ = request;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    values: [Option<Arc<str>>; TAGS],
}

impl Tags {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is to be done: `summarise`. Any text; the first 1,000 values are told apart, unless the layer has other
    /// [bounds](crate::CostLayer::bounds).
    #[must_use]
    pub fn task(self, value: impl Into<Arc<str>>) -> Self {
        self.with(Tag::Task, value)
    }

    /// Of which workflow, pipeline or DAG it is a part.
    #[must_use]
    pub fn workflow(self, value: impl Into<Arc<str>>) -> Self {
        self.with(Tag::Workflow, value)
    }

    /// Who does it: an agent's or program's name.
    #[must_use]
    pub fn agent(self, value: impl Into<Arc<str>>) -> Self {
        self.with(Tag::Agent, value)
    }

    /// For whom: a customer's, team's or user's name.
    #[must_use]
    pub fn tenant(self, value: impl Into<Arc<str>>) -> Self {
        self.with(Tag::Tenant, value)
    }

    /// Sets a value. What is not the [caller's](Tag::is_callers) to say is overwritten by what is seen.
    #[must_use]
    pub fn with(mut self, tag: Tag, value: impl Into<Arc<str>>) -> Self {
        self.set(tag, Some(value.into()));
        self
    }

    /// The value of a tag, if it has one.
    #[must_use]
    pub fn get(&self, tag: Tag) -> Option<&str> {
        self.values[tag.place()].as_deref()
    }

    pub(crate) fn shared(&self, tag: Tag) -> Option<&Arc<str>> {
        self.values[tag.place()].as_ref()
    }

    pub(crate) fn set(&mut self, tag: Tag, value: Option<Arc<str>>) {
        self.values[tag.place()] = value.filter(|value| !value.is_empty());
    }
}

/// The values of all tags of one row, as numbers.
pub(crate) type Key = [u32; TAGS];

/// The number of no value.
pub(crate) const NONE: u32 = 0;
/// The number of all values for which there was no room.
pub(crate) const OTHERS: u32 = 1;

/// What stands for a tag without a value.
pub const UNTAGGED: &str = "";
/// What stands for all values of a tag for which there was no room.
pub const OTHER: &str = "(other)";

/// The values of the tags that have been seen, numbered, and bounded in number.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    tags: [OneTag; TAGS],
    most: usize,
}

#[derive(Debug, Clone, Default)]
struct OneTag {
    numbers: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
    turned_away: u64,
}

impl Names {
    pub(crate) fn new(most: usize) -> Self {
        Self { tags: Default::default(), most }
    }

    pub(crate) fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// The numbers of these values; new ones are remembered while there is room.
    pub(crate) fn key(&mut self, tags: &Tags) -> Key {
        let mut key = [NONE; TAGS];
        for tag in Tag::ALL {
            if let Some(value) = &tags.values[tag.place()] {
                key[tag.place()] = self.number(tag, value);
            }
        }
        key
    }

    fn number(&mut self, tag: Tag, value: &Arc<str>) -> u32 {
        let kept = &value[..value.floor_char_boundary_at(VALUE_BYTES)];
        let most = self.most;
        let names = &mut self.tags[tag.place()];
        if let Some(number) = names.numbers.get(kept) {
            return *number;
        }
        if kept == OTHER || names.names.len() >= most {
            if names.turned_away == 0 && kept != OTHER {
                tracing::warn!(target: "tower_aoai::cost", tag = tag.name(), most, "a tag has more values than are kept: further ones are booked as \"(other)\"");
            }
            names.turned_away += 1;
            return OTHERS;
        }
        let value: Arc<str> = if kept.len() == value.len() { Arc::clone(value) } else { kept.into() };
        let number = u32::try_from(names.names.len()).map_or(OTHERS, |place| place.saturating_add(OTHERS + 1));
        names.names.push(Arc::clone(&value));
        names.numbers.insert(value, number);
        number
    }

    /// The number of a value that was seen.
    pub(crate) fn find(&self, tag: Tag, value: &str) -> Option<u32> {
        match value {
            UNTAGGED => Some(NONE),
            OTHER => Some(OTHERS),
            value => self.tags[tag.place()].numbers.get(&value[..value.floor_char_boundary_at(VALUE_BYTES)]).copied(),
        }
    }

    /// The number that a value would have; `None` for that of a new one.
    pub(crate) fn would_be(&self, tag: Tag, value: &str) -> Option<u32> {
        let has_room = self.tags[tag.place()].names.len() < self.most;
        self.find(tag, value).or(if has_room { None } else { Some(OTHERS) })
    }

    pub(crate) fn name(&self, tag: Tag, number: u32) -> Arc<str> {
        let place = number.checked_sub(OTHERS + 1).map(|place| place as usize);
        let known = place.and_then(|place| self.tags[tag.place()].names.get(place));
        known.map_or_else(|| if number == NONE { UNTAGGED.into() } else { OTHER.into() }, Arc::clone)
    }

    /// Counts those that are turned away from 0 again.
    pub(crate) fn forgive(&mut self) {
        self.tags.iter_mut().for_each(|tag| tag.turned_away = 0);
    }

    /// How often a value of each tag found no room.
    pub(crate) fn turned_away(&self) -> [u64; TAGS] {
        self.tags.each_ref().map(|tag| tag.turned_away)
    }
}

/// `str::floor_char_boundary`, for compilers that do not have it.
trait CharBoundary {
    fn floor_char_boundary_at(&self, bytes: usize) -> usize;
}

impl CharBoundary for str {
    fn floor_char_boundary_at(&self, bytes: usize) -> usize {
        if bytes >= self.len() {
            return self.len();
        }
        (0..=bytes).rev().find(|at| self.is_char_boundary(*at)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_bound_are_others_and_known_ones_stay() {
        let mut names = Names::new(2);
        let mut key = |agent: &str| names.key(&Tags::new().agent(agent))[Tag::Agent.place()];
        let numbers = ["a", "b", "c", "a", "", "(other)"].map(&mut key);
        assert_eq!(numbers, [2, 3, OTHERS, 2, NONE, OTHERS]);
        assert_eq!(
            ["a", "c", "", "(other)"].map(|value| names.find(Tag::Agent, value)),
            [Some(2), None, Some(NONE), Some(OTHERS)]
        );
        assert_eq!(
            [2, OTHERS, NONE].map(|number| names.name(Tag::Agent, number)).map(|name| name.to_string()),
            ["a", OTHER, UNTAGGED]
        );
        assert_eq!(names.find(Tag::Task, "a"), None);
        assert_eq!(names.turned_away()[Tag::Agent.place()], 2);
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let mut names = Names::new(10);
        let long: Arc<str> = "é".repeat(100).into();
        let longer = format!("x{long}");
        let number = names.key(&Tags::new().task(Arc::clone(&long)))[0];
        assert_eq!(names.find(Tag::Task, &long), Some(number));
        assert_eq!(names.name(Tag::Task, number).len(), 128);
        let number = names.key(&Tags::new().task(longer))[0];
        assert_eq!(names.name(Tag::Task, number).len(), 127);
    }
}
