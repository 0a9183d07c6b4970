//! What a stack is made of, as data: written in code, read from a TOML file, or taken from the environment.
//!
//! One resource and one deployment:
//!
//! ```
//! use tower_aoai::config::{Config, EndpointConfig, ResourceConfig};
//!
//! let config = Config::new()
//!     .resource(ResourceConfig::new("contoso", "https://contoso.openai.azure.com").api_key("0123456789abcdef"))
//!     .endpoint(EndpointConfig::new("chat", "contoso").deployment("gpt-4o"));
//! ```
//!
//! A provisioned deployment, and a standard one for what it cannot serve within a second:
//!
//! ```
//! use std::time::Duration;
//! use tower_aoai::config::{Config, EndpointConfig, LegConfig, ModelConfig, ResourceConfig};
//!
//! let config = Config::new()
//!     .resource(ResourceConfig::new("contoso", "https://contoso.openai.azure.com").api_key("0123456789abcdef"))
//!     .endpoint(EndpointConfig::new("ptu", "contoso").deployment("chat-ptu").model("gpt-4o").provisioned(100))
//!     .endpoint(EndpointConfig::new("payg", "contoso").deployment("chat").model("gpt-4o").tokens_per_minute(450_000))
//!     .model(
//!         "gpt-4o",
//!         ModelConfig::new()
//!             .leg(LegConfig::new("provisioned", ["ptu"]).max_wait(Duration::from_secs(1)))
//!             .leg(LegConfig::new("standard", ["payg"])),
//!     );
//! config.validate()?;
//! # Ok::<(), tower_aoai::config::Problems>(())
//! ```
//!
//! # From a file
//!
//! [`Config::from_toml_file`]; [`EXAMPLE`] has every key, with its unit and its default. Strings may hold `${NAME}`, the
//! value of an environment variable, or `${NAME:-value}` for where it is missing; the value may hold others, and `$$` is a
//! dollar. Keys that do not exist, values of a wrong type or out of range, names that lead nowhere: all that is wrong is
//! told at once, each with its line and what would be right.
//!
//! ```
//! use tower_aoai::config::Config;
//!
//! let problems = Config::from_toml_str(r#"
//! [[resources]]
//! name = "east"
//! base_url = "contoso.openai.azure.com"
//!
//! [[endpoints]]
//! name = "chat"
//! resource = "eats"
//! "#).unwrap_err();
//! assert_eq!(problems.to_string(), r#"error: resources[0].base_url: the base URL does not say how to connect: write https://contoso.openai.azure.com
//!  --> configuration:4:12
//!   |
//! 4 | base_url = "contoso.openai.azure.com"
//!   |            ^^^^^^^^^^^^^^^^^^^^^^^^^^
//!
//! error: endpoints[0].resource: there is no resource "eats"; write "east"
//!  --> configuration:8:12
//!   |
//! 8 | resource = "eats"
//!   |            ^^^^^^
//!
//! the configuration has 2 problems"#);
//! ```
//!
//! # From the environment
//!
//! [`Config::from_env`]; a variable that is empty is not set, and one in quotes, which no shell has taken
//! off, is a mistake. A commented sample is [`ENV_EXAMPLE`]; a `.env` file is read
//! where it is [asked for](Sources::env_file).
//!
//! | variable | says |
//! |---|---|
//! | `AZURE_OPENAI_ENDPOINT`, `AZURE_OPENAI_API_KEY` | the resource and its key |
//! | `AZURE_OPENAI_DEPLOYMENT` | its deployment; default what a call names |
//! | `AZURE_OPENAI_API_VERSION` | classic paths with this api-version; default, and with `v1`, `preview` or `latest`, v1 paths |
//! | `OPENAI_API_BASE`, `OPENAI_API_KEY` | likewise, where `AZURE_OPENAI_ENDPOINT` is not set: an Azure resource, OpenAI, or any server of the same language, below whose address `chat/completions` stands |
//! | `PTU_DEPLOYMENT`, `STANDARD_DEPLOYMENT` | a provisioned deployment of the resource, and one for what it cannot serve |
//! | `PTU_MAX_WAIT` | milliseconds that a call may wait for the former; default 2,000 |
//! | `USE_AZURE_OPENAI_ROUND_ROBIN` | `true` or `false`: whether the following is used, in place of all the above |
//! | `AZURE_OPENAI_ROUND_ROBIN_CONNECTION` | endpoints that take turns: a JSON list of objects with `AZURE_OPENAI_ENDPOINT`, `AZURE_OPENAI_API_KEY`, and, where they differ from the variables, `deployment` and `api-version` |
//! | `MAX_RETRIES` | how often a call is sent again |
//! | `INITIAL_BACKOFF_SECONDS`, `MAX_BACKOFF_SECONDS`, `BACKOFF_MULTIPLIER` | the waits before that, where the server says none; up to a tenth is added by chance |
//! | `MAX_CONCURRENT_REQUESTS`, `MIN_REQUEST_INTERVAL_MS` | calls at once, and milliseconds between two, for each endpoint |
//! | `REQUESTS_PER_MINUTE`, `TOKENS_PER_MINUTE` | the quota of each endpoint that is not provisioned |
//! | `CIRCUIT_BREAKER_FAILURE_THRESHOLD` | failures in a row that open an endpoint's circuit, and nothing else does |
//! | `CIRCUIT_BREAKER_RECOVERY_TIMEOUT` | seconds that it stays open, each time |
//! | `CIRCUIT_BREAKER_SUCCESS_THRESHOLD` | probes that close it |
//! | `{AGENT}_AGENT_MAX_TOKENS` | the most output of an agent's calls that say nothing; its name in whatever case, with `_` for all but letters and digits |
//! | `AOAI_PROFILE` | a [profile](Profile) |
//!
//! # What goes before what
//!
//! Code, the environment, the file, the profile, the defaults. See [`Sources`].
//!
//! # Secrets
//!
//! Keys are [`Secret`]s. No error shows one, nor what came out of a variable, nor any value of a file that is not known to
//! be none.

mod circuit_breaker;
mod context_window;
mod cost;
mod effective;
mod endpoint;
mod env;
mod hidden;
mod model;
mod observe;
mod problem;
mod provisioned;
mod quota;
mod read;
mod request_defaults;
mod resource;
mod retry;
mod secret;
mod setting;
mod sources;
mod statistics;
mod timeouts;
mod transport;
mod validate;
mod vars;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(crate) use self::request_defaults::plain_name;
pub use self::{
    circuit_breaker::{CircuitBreakerConfig, SlowFirstBytes},
    context_window::{ContextWindowConfig, Overflow},
    cost::{BudgetConfig, CostConfig, PriceConfig, PricesConfig, UnknownPriceConfig},
    endpoint::{DeploymentKind, EndpointConfig},
    model::{FailureKind, LegConfig, ModelConfig, PatienceConfig},
    observe::{DoorConfig, ObserveConfig},
    problem::{Problem, Problems},
    quota::{Headers, InFlight, QueueOrder, QuotaConfig, Window},
    request_defaults::{AgentConfig, RequestDefaultsConfig},
    resource::{ClientSecret, CredentialConfig, KeyHeader, ResourceConfig, Style},
    retry::{RetriedFailures, RetryBudgetConfig, RetryConfig},
    secret::Secret,
    setting::Limit,
    sources::Sources,
    statistics::StatisticsConfig,
    timeouts::TimeoutsConfig,
    transport::{Proxy, TransportConfig},
    vars::Vars,
};
use self::{
    read::words,
    setting::{Setting, section},
};

/// A file of TOML with every key, its unit and its default.
pub const EXAMPLE: &str = include_str!("../../tower-aoai.example.toml");

/// A `.env` file with every variable.
pub const ENV_EXAMPLE: &str = include_str!("../../env.example");

section! {
    /// What a stack is made of.
    ///
    /// Settings that are `None`, or empty, are as their documentation says under "Default".
    pub struct Config {
        /// The stack's name, under which its statistics are found. Default `aoai`.
        pub name: Option<String>,
        /// A set of settings under a name, for what is not said otherwise. Default none: nothing is throttled that was
        /// not asked for.
        pub profile: Option<Profile>,
        /// Where endpoints are, and who may call them.
        pub resources: Vec<ResourceConfig>,
        /// The deployments.
        pub endpoints: Vec<EndpointConfig>,
        /// What callers ask for, by name. Default: each name under an endpoint's [`models`](EndpointConfig::models), and
        /// for all other calls the endpoints that name none; provisioned ones in a leg before the others.
        pub models: BTreeMap<String, ModelConfig>,
        /// The model that serves calls for a name that is not known. Default: the only one, if there is one.
        pub default_model: Option<String>,
        /// What becomes of calls for a name that is not known. Default: the default model serves them, if there is one.
        pub unknown_model: Option<UnknownModel>,
        /// What endpoints can take that do not say so themselves. Tokens and requests per minute hold for those that are
        /// not provisioned.
        pub quota: QuotaConfig,
        /// How calls are tried again.
        pub retry: RetryConfig,
        /// When calls are kept from an endpoint that fails.
        pub circuit_breaker: CircuitBreakerConfig,
        /// How long calls and attempts may take.
        pub timeouts: TimeoutsConfig,
        /// How attempts are watched.
        pub observe: ObserveConfig,
        /// Where calls come in.
        pub door: DoorConfig,
        /// What becomes of prompts that do not fit their model.
        pub context_window: ContextWindowConfig,
        /// How spend is booked.
        pub cost: CostConfig,
        /// What tokens cost, where it is not as in the built-in table.
        pub prices: PricesConfig,
        /// What may be spent.
        pub budgets: Vec<BudgetConfig>,
        /// Parameters for calls that leave them out.
        pub request_defaults: RequestDefaultsConfig,
        /// What holds for single agents, by name.
        pub agents: BTreeMap<String, AgentConfig>,
        /// What is counted and told of.
        pub statistics: StatisticsConfig,
        /// How the built-in transport connects.
        pub transport: TransportConfig,
    }
}

/// A set of settings under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// For each endpoint 3 calls in flight, 100 ms between two, 60 requests and 150,000 tokens a minute; 3 retries after
    /// waits of 1 s, doubling to 30 s; a circuit that opens after 5 failures, for 60 s, and closes after 3 successes.
    Cautious,
}

/// What becomes of calls for a model that is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnknownModel {
    /// The default model serves them.
    #[default]
    Default,
    /// They are refused, with the names that there are.
    Refuse,
}

impl Config {
    /// Nothing but defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a resource.
    #[must_use]
    pub fn resource(mut self, resource: ResourceConfig) -> Self {
        self.resources.push(resource);
        self
    }

    /// Adds an endpoint.
    #[must_use]
    pub fn endpoint(mut self, endpoint: EndpointConfig) -> Self {
        self.endpoints.push(endpoint);
        self
    }

    /// Adds a model, or replaces the one of this name.
    #[must_use]
    pub fn model(mut self, name: impl Into<String>, model: ModelConfig) -> Self {
        self.models.insert(name.into(), model);
        self
    }

    /// Adds a budget: it alerts, and refuses calls where it is enforced.
    #[must_use]
    pub fn budget(mut self, budget: BudgetConfig) -> Self {
        self.budgets.push(budget);
        self
    }

    /// Takes what is said nowhere else from a profile.
    #[must_use]
    pub const fn profile(mut self, profile: Profile) -> Self {
        self.profile = Some(profile);
        self
    }

    /// Takes what is not said here from there: which endpoints there are, with their resources and models, from one of
    /// the two alone.
    #[must_use]
    pub fn over(mut self, other: &Self) -> Self {
        let topology =
            self.names_endpoints().then(|| (self.resources.clone(), self.endpoints.clone(), self.models.clone()));
        self.fill(other);
        if let Some((resources, endpoints, models)) = topology {
            (self.resources, self.endpoints, self.models) = (resources, endpoints, models);
        }
        self
    }

    fn names_endpoints(&self) -> bool {
        !(self.resources.is_empty() && self.endpoints.is_empty() && self.models.is_empty())
    }
}

words!(Profile { "cautious" => Self::Cautious });

words!(UnknownModel { "default" => Self::Default, "refuse" => Self::Refuse });
