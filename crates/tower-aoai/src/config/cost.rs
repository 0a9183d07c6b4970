//! What calls cost, and what may be spent.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::{
    EndpointConfig,
    read::{Node, Read, words},
    setting::section,
};
use crate::cost::{Money, Period, ServiceTier, Tag};

section! {
    /// How spend is booked.
    pub struct CostConfig {
        /// Whether it is. Default true.
        pub enabled: Option<bool>,
        /// What becomes of calls whose price is not known. Default they are let through, and told of.
        pub unknown_price: Option<UnknownPriceConfig>,
        /// The service tier of answers that name none. Default the usual one.
        pub service_tier: Option<ServiceTier>,
        /// Which headers say tags, by tag. Whoever sends requests can then say in whose name: only behind a door that
        /// checks it. Default none.
        pub tag_headers: BTreeMap<Tag, String>,
        /// The log on disk, by its path; one process for a file. Default: the books end with the process.
        pub log: Option<String>,
        /// How many values of each tag are told apart. Default 1,000.
        pub values: Option<usize>,
        /// How many rows the books have. Default 100,000.
        pub rows: Option<usize>,
        /// How many hours are kept. Default 48.
        pub keep_hours: Option<usize>,
        /// How many days are kept. Default 62.
        pub keep_days: Option<usize>,
        /// How many months are kept. Default 24.
        pub keep_months: Option<usize>,
    }
}

section! {
    /// What tokens cost, where it is not as in the built-in table.
    pub struct PricesConfig {
        /// A table of prices to lay over the built-in one: the path of a TOML file. Default none.
        pub file: Option<String>,
        /// Single prices, by model; they go before the file's.
        pub models: BTreeMap<String, PriceConfig>,
    }
}

section! {
    /// What a million tokens of a model cost, in US dollars.
    pub struct PriceConfig {
        /// Of the prompt. Required.
        pub input: Option<Money>,
        /// Of what of it was read from the cache. Default as [`input`](Self::input).
        pub cached: Option<Money>,
        /// Of what of it was written to the cache. Default as [`input`](Self::input).
        pub cache_write: Option<Money>,
        /// Of the answer. Required.
        pub output: Option<Money>,
        /// The most output of one answer, in tokens: the worst case of a call that sets no limit. Default 272,000.
        pub max_output: Option<u64>,
    }
}

section! {
    /// What may be spent in a period.
    pub struct BudgetConfig {
        /// Its name, for alerts and refusals. Required.
        pub name: String,
        /// The sum, in US dollars. Required.
        pub dollars: Option<Money>,
        /// In which time, by the calendar of UTC. Required.
        pub period as "per": Option<Period>,
        /// Only for what has these values of tags. Default: for everything.
        pub tags: BTreeMap<Tag, String>,
        /// The same sum for each value of this tag by itself. Default: one sum.
        pub each: Option<Tag>,
        /// At how many percent of it an alert is given. Default 80 and 100.
        pub alert_at: Option<Vec<f64>>,
        /// Refuses what could exceed it. Default false.
        pub enforce: Option<bool>,
    }
}

/// What becomes of calls whose price is not known.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum UnknownPriceConfig {
    /// They are let through, told of, and booked without a price.
    Warn,
    /// They are refused.
    Refuse,
    /// They are booked at this price, as estimates.
    Assume(PriceConfig),
}

impl BudgetConfig {
    /// So much in each period, for everything; it alerts, and refuses nothing.
    pub fn new(name: impl Into<String>, limit: Money, period: Period) -> Self {
        Self { name: name.into(), dollars: Some(limit), period: Some(period), ..Self::default() }
    }
}

impl EndpointConfig {
    /// Which model it is, as price lists name it; `None` if nothing is said.
    #[must_use]
    pub fn priced_as(&self) -> Option<&str> {
        self.model.as_deref().or(self.deployment.as_deref())
    }
}

words!(Tag {
    "task" => Self::Task,
    "workflow" => Self::Workflow,
    "agent" => Self::Agent,
    "tenant" => Self::Tenant,
    "model" => Self::Model,
    "deployment" => Self::Deployment,
    "endpoint" => Self::Endpoint,
});

words!(Period { "hour" => Self::Hour, "day" => Self::Day, "month" => Self::Month, "total" => Self::Total });

words!(ServiceTier {
    "default" => Self::Default,
    "flex" => Self::Flex,
    "priority" => Self::Priority,
    "batch" => Self::Batch,
});

/// `"warn"`, `"refuse"`, or a price.
impl Read for UnknownPriceConfig {
    fn read(node: &Node<'_>) -> Option<Self> {
        if let DeValue::Table(_) = node.value() {
            return PriceConfig::read(node).map(Self::Assume);
        }
        match &*node.text(&Self::wanted())? {
            "warn" => Some(Self::Warn),
            "refuse" => Some(Self::Refuse),
            _ => {
                node.unfit(&Self::wanted());
                None
            }
        }
    }

    fn wanted() -> String {
        "\"warn\", \"refuse\", or a price to assume: { input = 5.0, output = 20.0 }".to_owned()
    }
}
