//! What is tried again, and how often.

use std::time::Duration;

use toml::de::DeValue;

use super::{
    Limit,
    read::{Node, Read, words},
    setting::{Setting, give_way, section},
};
use crate::retry_after::Jitter;

section! {
    /// How calls are tried again inside a leg.
    pub struct RetryConfig {
        /// Whether they are at all. Default true.
        pub enabled: Option<bool>,
        /// How often a call is sent again at most, after the first time. Default 3.
        pub max_retries: Option<u32>,
        /// The first wait where the server gives no hint. Default 500 ms.
        pub initial_backoff: Option<Duration>,
        /// The longest such wait. Default 8 s, or the first wait if that is longer.
        pub max_backoff: Option<Duration>,
        /// By what each wait is multiplied for the next. Default 2.
        pub multiplier: Option<f64>,
        /// What chance does to such a wait. Default full.
        pub jitter: Option<Jitter>,
        /// The share of a hint that chance may add to it. Default 0.05.
        pub hint_jitter: Option<f64>,
        /// The longest hint that is waited out. Default 120 s.
        pub hint_cap: Option<Limit<Duration>>,
        /// How long after the call's arrival another attempt may be planned for. Default 600 s.
        pub elapsed_limit: Option<Limit<Duration>>,
        /// How long an answer takes at least: no attempt starts later than this before the deadline. Default 0.
        pub expected_service: Option<Duration>,
        /// Which failures. Default [`RetriedFailures::Transient`].
        pub on: Option<RetriedFailures>,
        /// How many retries there may be in a minute, of all calls of a leg. Default: a fifth of the successes, and 60.
        pub budget: Option<Limit<RetryBudgetConfig>>,
    }
}

impl RetryConfig {
    /// Takes what is missing here from there; of the first wait and the longest, the one that is taken gives way to the
    /// one that is said.
    pub(super) fn take_from(&mut self, usual: &Self) {
        let said = (self.initial_backoff, self.max_backoff);
        self.fill(usual);
        give_way(said, &mut self.initial_backoff, &mut self.max_backoff);
    }
}

section! {
    /// How many retries there may be in a minute.
    pub struct RetryBudgetConfig {
        /// For each success, so many. Default 0.2.
        pub share: Option<f64>,
        /// And so many in any case. Default 60.
        pub floor: Option<u32>,
    }
}

/// Which failures are tried again at the same leg.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetriedFailures {
    /// Only refusals for want of quota: nothing that may have been worked on, and billed, is sent twice.
    Throttled,
    /// Those, and what another attempt may well do better.
    #[default]
    Transient,
}

words!(RetriedFailures { "transient" => Self::Transient, "throttled" => Self::Throttled });

/// `"full"`, `"none"`, `{ proportional = share }`, `{ additive = time }` or `{ shrink = share }`.
impl Read for Jitter {
    fn read(node: &Node<'_>) -> Option<Self> {
        if let DeValue::Table(_) = node.value() {
            let table = node.table()?;
            let kinds = [table.get("proportional"), table.get("additive"), table.get("shrink")];
            table.done();
            return match kinds {
                [Some(share), None, None] => f64::read(&share).map(Self::Proportional),
                [None, Some(time), None] => Duration::read(&time).map(Self::Additive),
                [None, None, Some(share)] => f64::read(&share).map(Self::Shrink),
                _ => {
                    node.wrong(format!("a jitter is one thing; write {}", Self::wanted()));
                    None
                }
            };
        }
        match &*node.text(&Self::wanted())? {
            "full" => Some(Self::Full),
            "none" => Some(Self::None),
            _ => {
                node.unfit(&Self::wanted());
                None
            }
        }
    }

    fn wanted() -> String {
        "\"full\", \"none\", { proportional = 0.1 }, { additive = \"1s\" } or { shrink = 0.25 }".to_owned()
    }
}
