//! What models cost, as data that a user can override.

mod file;
mod model;
mod rates;

use std::{
    path::Path,
    sync::{Arc, LazyLock},
};

use foldhash::{HashMap, HashMapExt};
use serde::Deserialize;
use tower_aoai_core::model_names;

use self::model::{Factors, ModelPrice};
pub use self::{file::PricesError, rates::Rates};

/// The prices that the crate brings, with the date of their data.
pub const BUILT_IN: &str = include_str!("../prices.toml");

/// How a deployment is billed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeploymentType {
    /// Global standard: by the token.
    #[default]
    Global,
    /// Data zone standard: by the token, some 10 % more.
    DataZone,
    /// Standard in one region: by the token.
    Regional,
    /// Batch: by the token, half as much.
    Batch,
    /// Provisioned throughput: by the hour, whatever it serves.
    Provisioned,
    /// Provisioned throughput from which Azure spills to a standard deployment: what was given up before an answer came
    /// may have been served there, and is estimated at the global price.
    ProvisionedSpilling,
}

impl DeploymentType {
    /// Whether what it serves is paid for by the hour.
    #[must_use]
    pub const fn is_provisioned(self) -> bool {
        matches!(self, Self::Provisioned | Self::ProvisionedSpilling)
    }
}

/// With what urgency a call is served, and billed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServiceTier {
    /// As usual.
    #[default]
    Default,
    /// When there is room, for half as much.
    Flex,
    /// Ahead of others, for more.
    Priority,
    /// Within a day, for half as much.
    Batch,
}

impl ServiceTier {
    /// Of what an answer calls `service_tier`; `None` if it is not known.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "default" | "auto" | "standard" => Self::Default,
            "flex" => Self::Flex,
            "priority" => Self::Priority,
            "batch" => Self::Batch,
            _ => return None,
        })
    }
}

/// What tokens cost, by model, and which model stands behind a deployment's name.
///
/// A model is looked for by the rules of [`model_names`]: as it is, then as its base model's, then without date and
/// version; case does not matter. Nothing else is guessed. What a deployment or an endpoint of another name is, is
/// [said](Self::deployment).
///
/// A deployment type that has no price of its own costs the global price times a factor, and so do batch, flex and
/// priority. A prompt above a model's threshold of long prompts makes all tokens of the request dearer. The table
/// says what of this is known and what is assumed.
///
/// `model-router` is not in it: what its answers name is priced, without the router's own charge.
///
/// ```
/// use tower_aoai_cost::{DeploymentType, Money, Prices, ServiceTier};
///
/// let prices = Prices::built_in();
/// let rates = prices.rates("gpt-4o-2024-11-20", DeploymentType::DataZone, ServiceTier::Default, 0);
/// assert_eq!(rates.map(|rates| rates.input), Some(Money::nano_dollars(2_750_000_000)), "$2.75 for a million");
/// assert!(prices.rates("our-model", DeploymentType::Global, ServiceTier::Default, 0).is_none());
///
/// let prices = prices.with_toml(r#"
///     [[price]]
///     model = "our-model"
///     input = 1.0            # dollars for a million tokens
///     output = 4.0
///
///     [[deployment]]
///     name = "chat-ptu"
///     model = "gpt-4o"
///     type = "provisioned"
/// "#)?;
/// let rates = prices.rates("our-model", DeploymentType::Global, ServiceTier::Flex, 0);
/// assert_eq!(rates.map(|rates| rates.output), Some(Money::dollars(2)));
/// # Ok::<(), tower_aoai_cost::PricesError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Prices {
    models: HashMap<String, ModelPrice>,
    /// Prices of a model for one deployment type alone.
    special: HashMap<String, HashMap<DeploymentType, ModelPrice>>,
    deployments: HashMap<String, Deployed>,
    factors: Factors,
    as_of: String,
}

/// What stands behind a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deployed {
    pub(crate) model: Arc<str>,
    pub(crate) kind: DeploymentType,
    /// What answers call it, of an endpoint.
    pub(crate) answers_as: Option<Box<str>>,
}

/// What one answer would cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quote {
    pub(crate) rates: Rates,
    /// The factor that made it is only assumed.
    pub(crate) is_assumed: bool,
    /// The most output of one answer.
    pub(crate) max_output: u64,
    /// A part of the output is not seen.
    pub(crate) reasons: bool,
}

impl Prices {
    /// The prices that the crate brings ([`BUILT_IN`]).
    #[must_use]
    pub fn built_in() -> Self {
        static TABLE: LazyLock<Prices> =
            LazyLock::new(|| Prices::empty().with_toml(BUILT_IN).unwrap_or_else(|_| Prices::empty()));
        TABLE.clone()
    }

    /// No price at all.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            models: HashMap::new(),
            special: HashMap::new(),
            deployments: HashMap::new(),
            factors: Factors::default(),
            as_of: String::new(),
        }
    }

    /// The prices of a table in TOML, of the format of [`BUILT_IN`], beside those that are there and in their place
    /// where the names are the same.
    ///
    /// # Errors
    ///
    /// The line, the key and what would be right.
    pub fn with_toml(mut self, text: &str) -> Result<Self, PricesError> {
        file::read(text, &mut self)?;
        Ok(self)
    }

    /// [`with_toml`](Self::with_toml) of a file. It reads the file at once, blocking: at startup.
    ///
    /// # Errors
    ///
    /// That the file cannot be read, or what is wrong in it.
    pub fn with_file(self, path: impl AsRef<Path>) -> Result<Self, PricesError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| PricesError::unreadable(path, &error))?;
        self.with_toml(&text)
    }

    /// Says which model stands behind the name of a deployment or an endpoint, and how it is billed.
    #[must_use]
    pub fn deployment(mut self, name: &str, model: &str, kind: DeploymentType) -> Self {
        self.deployments.insert(name.to_lowercase(), Deployed { model: model.into(), kind, answers_as: None });
        self
    }

    /// The same of an endpoint whose deployment is known by name, which another resource may have, too, for something
    /// that is billed otherwise. Where answers do not tell of which endpoint they are, the first one's counts.
    #[must_use]
    pub fn endpoint(mut self, name: &str, deployment: &str, model: &str, kind: DeploymentType) -> Self {
        let model: Arc<str> = model.into();
        let deployed = Deployed { model: Arc::clone(&model), kind, answers_as: Some(deployment.into()) };
        self.deployments.insert(name.to_lowercase(), deployed);
        let anywhere = || Deployed { model, kind, answers_as: None };
        self.deployments.entry(deployment.to_lowercase()).or_insert_with(anywhere);
        self
    }

    /// Puts a model's global price into the table; the most output of one answer, in tokens, is the worst case of a
    /// call that sets no limit.
    #[must_use]
    pub fn insert(mut self, model: &str, rates: Rates, max_output: u64) -> Self {
        self.models.insert(model.to_lowercase(), ModelPrice::new(rates, max_output));
        self
    }

    /// What a million tokens cost, in a request with a prompt of so many; `None`: it is not known, and it is nothing
    /// that anybody should take for 0.
    ///
    /// A [provisioned](DeploymentType::is_provisioned) deployment is quoted as a global one: what the same would cost
    /// elsewhere.
    #[must_use]
    pub fn rates(
        &self,
        model: &str,
        deployment: DeploymentType,
        tier: ServiceTier,
        prompt_tokens: u64,
    ) -> Option<Rates> {
        self.quote(model, deployment, tier, prompt_tokens).map(|quote| quote.rates)
    }

    /// The date of the newest table that was read, as it is written there.
    #[must_use]
    pub fn as_of(&self) -> &str {
        &self.as_of
    }

    /// How many models have a price.
    #[must_use]
    pub fn len(&self) -> usize {
        self.models.len()
    }

    /// Whether no model has a price.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    pub(crate) fn quote(
        &self,
        model: &str,
        deployment: DeploymentType,
        tier: ServiceTier,
        prompt_tokens: u64,
    ) -> Option<Quote> {
        let tier = if deployment == DeploymentType::Batch { ServiceTier::Batch } else { tier };
        if !self.special.is_empty()
            && let Some(special) = model_names(model).find_map(|name| self.special.get(&*name)?.get(&deployment))
        {
            return Some(special.quote(tier, prompt_tokens, &self.factors));
        }
        let price = self.model(model)?;
        let mut quote = price.quote(tier, prompt_tokens, &self.factors);
        quote.rates = quote.rates.per_mille(price.factor(deployment, &self.factors));
        Some(quote)
    }

    pub(crate) fn deployed(&self, name: &str) -> Option<&Deployed> {
        if self.deployments.is_empty() {
            return None;
        }
        self.deployments.get(name).or_else(|| self.deployments.get(&name.to_lowercase()))
    }

    fn model(&self, name: &str) -> Option<&ModelPrice> {
        model_names(name).find_map(|name| self.models.get(&*name))
    }
}

impl Default for Prices {
    fn default() -> Self {
        Self::built_in()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Money, Tokens};

    fn dollars(rates: Option<Rates>) -> Option<[f64; 4]> {
        let of = |money: Money| money.as_nano_dollars() as f64 / 1e9;
        rates.map(|rates| [rates.input, rates.cached, rates.cache_write, rates.output].map(of))
    }

    fn rates(model: &str, deployment: DeploymentType, tier: ServiceTier, prompt: u64) -> Option<[f64; 4]> {
        dollars(Prices::built_in().rates(model, deployment, tier, prompt))
    }

    use DeploymentType::{Batch as BatchDeployment, DataZone, Global, Regional};
    use ServiceTier::{Batch, Default as Usual, Flex, Priority};

    #[test]
    fn the_table_is_read_with_its_date() {
        let prices = Prices::built_in();
        assert!(prices.len() >= 37, "{}", prices.len());
        assert_eq!(prices.as_of(), "2026-11-19");
        let free: Vec<_> = prices.models.iter().filter(|(_, price)| price.plain.input == Money::ZERO).collect();
        assert!(free.is_empty(), "{free:?}");
    }

    #[test]
    fn a_price_depends_on_deployment_tier_and_length() {
        assert_eq!(rates("gpt-4o-2024-08-06", Global, Usual, 0), Some([2.5, 1.25, 2.5, 10.0]));
        assert_eq!(rates("gpt-4o", Regional, Usual, 0), Some([2.75, 1.375, 2.75, 11.0]));
        assert_eq!(rates("gpt-4o", Global, Batch, 0), Some([1.25, 0.625, 1.25, 5.0]));
        assert_eq!(rates("gpt-4o", BatchDeployment, Priority, 0), Some([1.25, 0.625, 1.25, 5.0]));
        assert_eq!(rates("gpt-6-sol", DataZone, Usual, 0), Some([2.4, 0.24, 3.0, 12.0]));
        assert_eq!(rates("gpt-5-mini", Global, Priority, 0), Some([0.45, 0.045, 0.45, 3.6]));
        assert_eq!(rates("gpt-5.4", Global, Usual, 272_000), Some([2.5, 0.25, 2.5, 15.0]));
        assert_eq!(rates("gpt-5.4", Global, Usual, 272_001), Some([5.0, 0.5, 5.0, 22.5]));
        assert_eq!(rates("gpt-5.4", Global, Flex, 300_000), Some([2.5, 0.25, 2.5, 11.25]));
        assert_eq!(rates("text-embedding-3-small", Global, Usual, 0), Some([0.022, 0.022, 0.022, 0.0]));
    }

    #[test]
    fn dollar3_an_unknown_price_is_no_price() {
        for name in ["gpt-99", "gpt-4o-audio", "model-router", "", "fast"] {
            assert_eq!(rates(name, Global, Usual, 0), None, "{name}");
        }
    }

    #[test]
    fn a_price_that_is_only_assumed_says_so() {
        let prices = Prices::built_in();
        assert!(prices.quote("gpt-4o", Global, Priority, 0).unwrap().is_assumed);
        assert!(!prices.quote("gpt-4.1", Global, Priority, 0).unwrap().is_assumed);
    }

    #[test]
    fn a_table_of_ones_own_goes_before_the_built_in_one() {
        let own = r#"
            as_of = "2027-01-01"
            [factors]
            regional = 1.25
            [[price]]
            model = "gpt-4o"
            like = "gpt-4o"
            cached = 0.5
            [[price]]
            model = "gpt-4o"
            deployment = "data_zone"
            input = 3.0
            output = 12.0
            [[price]]
            model = "ours"
            like = "gpt-5.4"
            input = 10.0
            [[deployment]]
            name = "Fast"
            model = "ours"
            type = "regional"
        "#;
        let prices = Prices::built_in().with_toml(own).unwrap();
        let of = |model, kind, tier, prompt| dollars(prices.rates(model, kind, tier, prompt));
        assert_eq!(of("gpt-4o-2024-08-06", Regional, Usual, 0), Some([3.125, 0.625, 3.125, 12.5]));
        assert_eq!(of("gpt-4o", DataZone, Usual, 0), Some([3.0, 3.0, 3.0, 12.0]));
        assert_eq!(
            of("ours", Global, Usual, 300_000),
            Some([10.0, 10.0, 10.0, 15.0]),
            "what it is like is out of proportion"
        );
        assert_eq!(prices.as_of(), "2027-01-01");
        let deployed = prices.deployed("fast").unwrap();
        assert_eq!((&*deployed.model, deployed.kind), ("ours", Regional));
    }

    #[test]
    fn the_worst_case_is_an_upper_bound_of_every_kind_of_token() {
        let rates = Prices::built_in().rates("gpt-6-sol", Global, Usual, 0).unwrap();
        let all_written = Tokens { input: 1_000, cache_write: 1_000, output: 10, ..Tokens::default() };
        assert_eq!(rates.worst(1_000, 10), rates.cost(&all_written));
    }
}
