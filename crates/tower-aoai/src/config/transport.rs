use std::time::Duration;

use super::{
    Secret,
    read::{Node, Read},
    setting::section,
};

section! {
    /// How the built-in transport connects. How long it may take is said under [`timeouts`](super::TimeoutsConfig).
    pub struct TransportConfig {
        /// Speaks HTTP/2 where the server does. Default true.
        pub http2: Option<bool>,
        /// How many connections to one host are kept that nobody uses. Default 128.
        pub idle_connections: Option<usize>,
        /// How long such a connection is kept. Default 90 s.
        pub idle_connection_time: Option<Duration>,
        /// Which proxy is asked. Default: what `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
        pub proxy: Option<Proxy>,
    }
}

/// Which proxy is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proxy {
    /// The one that the environment names, if it does.
    Environment,
    /// None.
    None,
    /// This one, with its user and password, if it wants them: `http://user:password@host:port`.
    At(Secret),
}

/// `"environment"`, `"none"`, or an address, which is shown to nobody.
impl Read for Proxy {
    fn read(node: &Node<'_>) -> Option<Self> {
        match node.value().as_str() {
            Some("environment") => Some(Self::Environment),
            Some("none") => Some(Self::None),
            _ => Secret::read(node).map(Self::At),
        }
    }

    fn wanted() -> String {
        "\"environment\", \"none\", or an address".to_owned()
    }
}
