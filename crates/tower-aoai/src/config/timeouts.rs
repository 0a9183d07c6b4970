use std::time::Duration;

use super::{Limit, setting::section};

section! {
    /// How long calls and attempts may take.
    ///
    /// An answer that is not streamed has its first byte when it is finished, and a model that reasons is silent for
    /// minutes: so the defaults are long.
    pub struct TimeoutsConfig {
        /// A call, from the door to its last byte, with all its retries. A caller's own, earlier deadline stands.
        /// Default 600 s, as the official SDKs have it. At an endpoint it has no meaning.
        pub total: Option<Limit<Duration>>,
        /// To connect, TLS included. Default 10 s. At an endpoint it has no meaning.
        pub connect: Option<Limit<Duration>>,
        /// An attempt, from its send to the head of the answer. Default 300 s.
        pub first_byte: Option<Limit<Duration>>,
        /// An attempt, from its send to the first content of a streamed answer. Default unlimited.
        pub first_token: Option<Limit<Duration>>,
        /// For how long an answer may be silent while it is read. Default 120 s.
        pub idle: Option<Limit<Duration>>,
        /// An attempt, from its send to its last byte. Default unlimited, but for the call's total.
        pub attempt: Option<Limit<Duration>>,
    }
}
