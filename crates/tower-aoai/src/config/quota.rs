//! What an endpoint can take, and how calls wait for it.

use std::time::Duration;

use toml::de::DeValue;

use super::{
    read::{Node, Read, words},
    setting::section,
};

section! {
    /// A quota. Without a limit nothing is throttled, and what the server says is kept to all the same.
    pub struct QuotaConfig {
        /// Tokens per minute; of a provisioned deployment weighted ones. Default: no limit; of a provisioned deployment
        /// what its units work off.
        pub tokens_per_minute: Option<u64>,
        /// Requests per minute. Default: no limit.
        pub requests_per_minute: Option<u64>,
        /// The window over which requests are counted. Default 10 s.
        pub request_window: Option<Duration>,
        /// The least time from one request to the next. Default none.
        pub min_interval: Option<Duration>,
        /// Calls at once. Default: no limit.
        pub max_in_flight: Option<usize>,
        /// Calls at once as the server bears them, within these bounds. Default: not found out.
        pub adaptive_in_flight: Option<InFlight>,
        /// How the server counts tokens. Default sliding; of a provisioned deployment utilisation.
        pub window: Option<Window>,
        /// How much later than the one before it a request may arrive at the server. Default 100 ms.
        pub guard: Option<Duration>,
        /// What the server's quota headers are taken for. Default [`Headers::Obey`].
        pub headers: Option<Headers>,
        /// In which order calls wait. Default first come, first served.
        pub order: Option<QueueOrder>,
        /// How many calls may wait; more are refused. Default 10,000.
        pub queue_limit: Option<usize>,
        /// Whether calls wait; else they are refused if they cannot start at once. Default true.
        pub wait: Option<bool>,
        /// At how many percent of the tokens their use is reported. Default 80.
        pub near_limit: Option<u8>,
        /// The output, in tokens, that a call is charged which does not limit it. Default 16.
        pub default_output: Option<u64>,
        /// How many tokens of the prompt a token of output weighs. Default 1; of a provisioned deployment by the model,
        /// from Azure's documentation.
        pub output_ratio: Option<u64>,
        /// The name of a quota that several endpoints draw on together. They must not be in one leg, which would not know
        /// what is left to which. Default: each has its own.
        pub shared as "shared_as": Option<String>,
    }
}

section! {
    /// Bounds of the calls at once that the server is found to bear.
    pub struct InFlight {
        /// Never fewer. Default 1.
        pub min: Option<usize>,
        /// Never more. Required.
        pub max: Option<usize>,
    }
}

/// How the server counts tokens; see [`WindowModel`](crate::token_bucket::WindowModel).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Window {
    /// Never more than a minute's tokens over any minute: safe where nothing is known.
    Sliding,
    /// A bucket that holds so many tokens and refills continuously.
    Bucket(u64),
    /// Provisioned throughput: full at the work of this time. Azure does not document it; a minute if nothing is said.
    Utilisation(Duration),
}

/// What the server's quota headers are taken for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Headers {
    /// A limit that is lower than what is configured is obeyed; what others use is booked.
    #[default]
    Obey,
    /// The limits are taken from them, also above what is configured, or where nothing is.
    Decide,
    /// Nothing.
    Ignore,
}

/// In which order calls wait; see [`Order`](crate::token_bucket::Order).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueOrder {
    /// First come, first served.
    #[default]
    Fifo,
    /// By class; one counts so much later than the one before it.
    Priority(Duration),
    /// Those first that must start first; one without a deadline counts as if it had this long.
    Deadline(Duration),
    /// In equal shares for each tenant, of whom so many are told apart.
    Fair(usize),
}

words!(Headers { "obey" => Self::Obey, "decide" => Self::Decide, "ignore" => Self::Ignore });

const MINUTE: Duration = Duration::from_secs(60);

/// `"sliding"`, `"utilisation"`, `{ bucket = tokens }` or `{ utilisation = time }`.
impl Read for Window {
    fn read(node: &Node<'_>) -> Option<Self> {
        if let DeValue::Table(_) = node.value() {
            let table = node.table()?;
            let (bucket, utilisation) = (table.get("bucket"), table.get("utilisation"));
            table.done();
            return match (bucket, utilisation) {
                (Some(bucket), None) => u64::read(&bucket).map(Self::Bucket),
                (None, Some(time)) => Duration::read(&time).map(Self::Utilisation),
                _ => {
                    node.wrong(format!("a window is one thing; write {}", Self::wanted()));
                    None
                }
            };
        }
        match &*node.text(&Self::wanted())? {
            "sliding" => Some(Self::Sliding),
            "utilisation" | "utilization" => Some(Self::Utilisation(MINUTE)),
            _ => {
                node.unfit(&Self::wanted());
                None
            }
        }
    }

    fn wanted() -> String {
        "\"sliding\", \"utilisation\", { bucket = 40_000 } or { utilisation = \"60s\" }".to_owned()
    }
}

/// `"fifo"`, `{ priority = time }`, `{ deadline = time }` or `{ fair = tenants }`.
impl Read for QueueOrder {
    fn read(node: &Node<'_>) -> Option<Self> {
        if let DeValue::Table(_) = node.value() {
            let table = node.table()?;
            let (priority, deadline, fair) = (table.get("priority"), table.get("deadline"), table.get("fair"));
            table.done();
            return match (priority, deadline, fair) {
                (Some(ageing), None, None) => Duration::read(&ageing).map(Self::Priority),
                (None, Some(patience), None) => Duration::read(&patience).map(Self::Deadline),
                (None, None, Some(tenants)) => usize::read(&tenants).map(Self::Fair),
                _ => {
                    node.wrong(format!("an order is one thing; write {}", Self::wanted()));
                    None
                }
            };
        }
        if &*node.text(&Self::wanted())? == "fifo" {
            return Some(Self::Fifo);
        }
        node.unfit(&Self::wanted());
        None
    }

    fn wanted() -> String {
        "\"fifo\", { priority = \"10s\" }, { deadline = \"60s\" } or { fair = 100 }".to_owned()
    }
}
