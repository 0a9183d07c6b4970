//! Logical models: what callers ask for, and which endpoints serve it, in which order.

use std::time::Duration;

use toml::de::DeValue;

use super::{
    Limit, RetryConfig,
    read::{Node, Read, words},
    setting::section,
};
use crate::balance::Strategy;

section! {
    /// A model as callers name it, and the legs that serve it, in their order.
    pub struct ModelConfig {
        /// Other names by which callers may ask for it. Default none.
        pub aliases: Vec<String>,
        /// The legs, first to last. Required, unless [`endpoints`](Self::endpoints) are given.
        pub legs: Vec<LegConfig>,
        /// In place of legs: the endpoints of the only one.
        pub endpoints: Vec<String>,
        /// How the only leg's endpoint is chosen. Default: where the call is expected to end first.
        pub strategy: Option<Strategy>,
        /// How long before a call's deadline its answer is to be there. Default 250 ms.
        pub margin: Option<Duration>,
    }
}

section! {
    /// One alternative: endpoints among which a call is balanced and tried again, before it goes to the next leg.
    pub struct LegConfig {
        /// Its name. Required.
        pub name: String,
        /// Its [endpoints](super::EndpointConfig), by name. Required.
        pub endpoints: Vec<String>,
        /// How one is chosen. Default: where the call is expected to end first.
        pub strategy: Option<Strategy>,
        /// How often a call is tried at one endpoint before its retries go to another. Default 1.
        pub tries_per_endpoint: Option<usize>,
        /// How long a call may wait here while there is a next leg. Default 2 s if all its endpoints are provisioned,
        /// else unlimited.
        pub patience: Option<PatienceConfig>,
        /// After which failures of the leg before a call comes here. Default: whatever another endpoint may do better.
        pub on: Option<Vec<FailureKind>>,
        /// Asks for this model, whatever the caller asked for. Default: the caller's.
        pub model: Option<String>,
        /// Gives the errors of another provider the shape that callers of Azure OpenAI know. Default false.
        pub reshape_errors: Option<bool>,
        /// How long an answer takes until 20 have shown it. Default 10 s.
        pub expected_service: Option<Duration>,
        /// How its calls are tried again. What is not said here is as in [`Config::retry`](super::Config::retry).
        pub retry: RetryConfig,
    }
}

/// How long a call may wait in a leg while there is a next one; see [`Patience`](crate::fallback::Patience).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum PatienceConfig {
    /// As long as this.
    AtMost(Duration),
    /// As long as it takes.
    Unlimited,
    /// As long as waiting is cheaper than the next leg, if a second of it is worth so many dollars.
    DollarsPerSecond(f64),
}

/// A failure of a leg, as far as the next one is chosen by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The server is throttled, or our quota is spent, or the wait too long.
    Throttled,
    /// The request is larger than the whole quota.
    TooLarge,
    /// The server failed, or its circuit is open.
    Unavailable,
    /// Our credential or deployment is wrong.
    Misconfigured,
    /// The prompt is longer than the model's context window.
    ContextLength,
    /// The content filter, or a mistake of the caller's.
    Refused,
}

impl ModelConfig {
    /// A model served by these endpoints alone.
    pub fn of<I: IntoIterator<Item: Into<String>>>(endpoints: I) -> Self {
        Self { endpoints: endpoints.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// A model served by legs, which are still to be [added](Self::leg).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a leg behind those that are there.
    #[must_use]
    pub fn leg(mut self, leg: LegConfig) -> Self {
        self.legs.push(leg);
        self
    }
}

impl LegConfig {
    /// A leg of these endpoints.
    pub fn new<I: IntoIterator<Item: Into<String>>>(name: impl Into<String>, endpoints: I) -> Self {
        Self { name: name.into(), endpoints: endpoints.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// How long a call may wait here while there is a next leg.
    #[must_use]
    pub const fn max_wait(mut self, wait: Duration) -> Self {
        self.patience = Some(PatienceConfig::AtMost(wait));
        self
    }
}

words!(FailureKind {
    "throttled" => Self::Throttled,
    "too-large" => Self::TooLarge,
    "unavailable" => Self::Unavailable,
    "misconfigured" => Self::Misconfigured,
    "context-length" => Self::ContextLength,
    "refused" => Self::Refused,
});

words!(Strategy {
    "expected-finish" => Self::ExpectedFinish,
    "round-robin" => Self::RoundRobin,
    "shuffle" => Self::Shuffle,
    "weighted" => Self::Weighted,
    "least-in-flight" => Self::LeastInFlight,
});

/// A time, `"unlimited"`, or `{ dollars_per_second = dollars }`.
impl Read for PatienceConfig {
    fn read(node: &Node<'_>) -> Option<Self> {
        if let DeValue::Table(_) = node.value() {
            let table = node.table()?;
            let worth = table.get("dollars_per_second");
            table.done();
            if worth.is_none() {
                node.wrong(format!("there is no dollars_per_second in it; write {}", Self::wanted()));
            }
            return f64::read(&worth?).map(Self::DollarsPerSecond);
        }
        Limit::<Duration>::read(node).map(|limit| match limit {
            Limit::Of(wait) => Self::AtMost(wait),
            Limit::Unlimited => Self::Unlimited,
        })
    }

    fn wanted() -> String {
        "a time such as \"2s\", \"unlimited\", or { dollars_per_second = 0.01 }".to_owned()
    }
}
