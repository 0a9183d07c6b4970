//! How much each agent, or each route, may send.

use std::{collections::HashMap, sync::Arc};

use http::{HeaderName, Request};

use crate::{Model, Policy};

/// Who a call is made for, an agent or a route: an extension of the request, by which its [budget](Budgets) is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContextTag(pub Arc<str>);

impl ContextTag {
    /// A tag of this name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }
}

/// The most tokens, prompt and output together, of a call made for each tag: a window smaller than the model's.
///
/// A call is tagged by its request's [`ContextTag`], else by a [header](Self::header). It holds the model's own window,
/// too; of a model that is not known the budget is all that is held, by an estimate, on which nothing is refused.
///
/// ```
/// use tower_aoai_context_window::{Budgets, ContextWindowLayer, Policy};
///
/// let budgets: Budgets = [("planner", 8_000), ("researcher", 64_000)].into_iter().collect();
/// let budgets = budgets
///     .tag_with("summarizer", 16_000, Policy::truncate())
///     .others(4_000)
///     .header(http::HeaderName::from_static("x-agent"));
/// let layer = ContextWindowLayer::new().budgets(budgets);
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Budgets {
    by_tag: HashMap<Arc<str>, Budget>,
    others: Option<Budget>,
    header: Option<HeaderName>,
}

#[derive(Debug, Clone)]
pub(crate) struct Budget {
    tokens: u64,
    pub(crate) policy: Option<Arc<Policy>>,
}

impl Budgets {
    /// No budgets.
    pub fn new() -> Self {
        Self::default()
    }

    /// The most tokens of a call with this tag; the layer's policy holds it.
    pub fn tag(mut self, tag: impl Into<Arc<str>>, tokens: u64) -> Self {
        self.by_tag.insert(tag.into(), Budget { tokens, policy: None });
        self
    }

    /// The most tokens of a call with this tag, and a policy of its own.
    pub fn tag_with(mut self, tag: impl Into<Arc<str>>, tokens: u64, policy: Policy) -> Self {
        self.by_tag.insert(tag.into(), Budget { tokens, policy: Some(Arc::new(policy)) });
        self
    }

    /// The most tokens of any other call, tagged or not. Default: the model's window.
    pub fn others(mut self, tokens: u64) -> Self {
        self.others = Some(Budget { tokens, policy: None });
        self
    }

    /// The header that tells the tag of a request that has no [`ContextTag`]. Default: none. It is sent on.
    pub fn header(mut self, name: HeaderName) -> Self {
        self.header = Some(name);
        self
    }

    /// The budget of a request, with the tag if it has one of its own.
    pub(crate) fn of<B>(&self, request: &Request<B>) -> Option<(Option<&Arc<str>>, &Budget)> {
        let extension = request.extensions().get::<ContextTag>().map(|tag| &*tag.0);
        let header = || request.headers().get(self.header.as_ref()?)?.to_str().ok();
        let own = extension.or_else(header).and_then(|tag| self.by_tag.get_key_value(tag));
        own.map(|(tag, budget)| (Some(tag), budget)).or_else(|| Some((None, self.others.as_ref()?)))
    }
}

impl<T: Into<Arc<str>>> FromIterator<(T, u64)> for Budgets {
    fn from_iter<I: IntoIterator<Item = (T, u64)>>(pairs: I) -> Self {
        pairs.into_iter().fold(Self::new(), |budgets, (tag, tokens)| budgets.tag(tag, tokens))
    }
}

impl Budget {
    /// The model with no more than this.
    pub(crate) fn within(&self, model: Option<&Model>) -> Model {
        let mut model = model.cloned().unwrap_or_else(|| Model { assumed: true, ..Model::new(self.tokens) });
        model.window = model.window.min(self.tokens);
        model.prompt = model.prompt.min(self.tokens);
        model.output = model.output.min(self.tokens);
        model
    }
}
