use std::{sync::Arc, time::Duration};

use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tower_aoai_core::{AttemptTimeoutLayer, ConnectTimeoutLayer};
use tower_layer::Layer;

use super::{
    InvalidTransport, Transport,
    certificates::Trust,
    proxy::{ProxyConnector, ProxySource},
};

/// How often a connection in use is asked whether there is anybody at its other end, and how long it may take to answer.
const ALIVE_INTERVAL: Duration = Duration::from_secs(30);
const ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Sets up a [`Transport`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct TransportBuilder {
    connect: ConnectTimeoutLayer,
    attempt: AttemptTimeoutLayer,
    idle_connection: Duration,
    idle_connections: usize,
    is_http1_only: bool,
    proxy: ProxySource,
    trust: Trust,
}

impl Default for TransportBuilder {
    fn default() -> Self {
        Self {
            connect: ConnectTimeoutLayer::new(Duration::from_secs(10)),
            attempt: AttemptTimeoutLayer::off(),
            idle_connection: Duration::from_secs(90),
            idle_connections: 128,
            is_http1_only: false,
            proxy: ProxySource::default(),
            trust: Trust::default(),
        }
    }
}

impl TransportBuilder {
    /// How long a connection may take to be made: DNS, TCP, the proxy and TLS together. Default 10 s.
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect = ConnectTimeoutLayer::new(limit);
        self
    }

    /// A connection may take as long as it takes: what [`connect_timeout`](Self::connect_timeout) limits.
    pub const fn no_connect_timeout(mut self) -> Self {
        self.connect = ConnectTimeoutLayer::off();
        self
    }

    /// From the send to the head of the answer, connecting included. Default none: in a stack
    /// [`AttemptTimeoutLayer`] says it for each endpoint.
    pub const fn first_byte_timeout(mut self, limit: Duration) -> Self {
        self.attempt = self.attempt.first_byte(limit);
        self
    }

    /// For how long an answer may fall silent between two pieces of its body. Default none, as above.
    pub const fn idle_timeout(mut self, limit: Duration) -> Self {
        self.attempt = self.attempt.idle(limit);
        self
    }

    /// From the send to the last byte of the answer. Default none, as above.
    pub const fn total_timeout(mut self, limit: Duration) -> Self {
        self.attempt = self.attempt.total(limit);
        self
    }

    /// How long a connection that nobody uses is kept. Default 90 s.
    pub const fn idle_connection(mut self, time: Duration) -> Self {
        self.idle_connection = time;
        self
    }

    /// How many connections that nobody uses are kept for each host. Default 128.
    pub const fn idle_connections(mut self, connections: usize) -> Self {
        self.idle_connections = connections;
        self
    }

    /// Speaks HTTP/1.1, also where the server offers HTTP/2. Default: what the server prefers.
    ///
    /// All calls to a host share one connection of HTTP/2, and a server limits how many it serves on one at a time;
    /// further ones wait in the client, where no queue of a quota sees them.
    pub const fn http1_only(mut self) -> Self {
        self.is_http1_only = true;
        self
    }

    /// Asks this proxy for every address, whatever the environment says. `http://user:password@host:port` logs in.
    pub fn proxy(mut self, address: impl Into<String>) -> Self {
        self.proxy = ProxySource::One(address.into());
        self
    }

    /// Asks no proxy, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = ProxySource::None;
        self
    }

    /// Trusts these certificates besides: PEM, one or more; a proxy that reads along in a company's network has one.
    pub fn trust_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.trust.more.push(pem.into());
        self
    }

    /// Trusts what the system trusts, in place of Mozilla's certificates, which are built in.
    #[cfg(feature = "native-roots")]
    #[cfg_attr(docsrs, doc(cfg(feature = "native-roots")))]
    pub const fn native_roots(mut self) -> Self {
        self.trust.is_native = true;
        self
    }

    /// The transport. Reads the environment, if the proxy is to be found there, and connects to nothing as yet.
    ///
    /// # Errors
    ///
    /// [`InvalidTransport`], if the proxy's address or a certificate is none.
    pub fn build(self) -> Result<Transport, InvalidTransport> {
        let proxies = Arc::new(self.proxy.read()?);
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(ALIVE_INTERVAL));
        let proxied = ProxyConnector::new(tcp, Arc::clone(&proxies));
        let https = HttpsConnectorBuilder::new().with_tls_config(self.trust.tls()?).https_or_http();
        let https = if self.is_http1_only {
            https.enable_http1().wrap_connector(proxied)
        } else {
            https.enable_all_versions().wrap_connector(proxied)
        };
        let client = Client::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(self.idle_connection)
            .pool_max_idle_per_host(self.idle_connections)
            .http2_adaptive_window(true)
            .http2_keep_alive_interval(ALIVE_INTERVAL)
            .http2_keep_alive_timeout(ALIVE_TIMEOUT)
            .build(self.connect.layer(https));
        Ok(Transport::over(self.attempt.layer(client), proxies))
    }
}
