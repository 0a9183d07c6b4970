use std::time::Duration;

use super::setting::section;

section! {
    /// How the built-in transport connects. How long it may take is said under [`timeouts`](super::TimeoutsConfig).
    pub struct TransportConfig {
        /// Speaks HTTP/2 where the server does. Default true.
        pub http2: Option<bool>,
        /// How many idle connections to one host are kept. Default: no limit.
        pub max_idle_connections: Option<usize>,
        /// How long an idle connection is kept. Default 90 s.
        pub idle_connection_time: Option<Duration>,
        /// Goes by `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`. Default true.
        pub proxy_from_env: Option<bool>,
    }
}
