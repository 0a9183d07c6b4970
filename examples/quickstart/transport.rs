//! A real HTTP client, as the service at the bottom of a stack.

use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::Layer;
use tower_aoai::core::{ConnectTimeout, ConnectTimeoutLayer, RequestBody};

pub(crate) type Transport = Client<ConnectTimeout<HttpsConnector<HttpConnector>>, RequestBody>;

/// A pooled client for `http://` and `https://`, without retries of its own: the stack owns them.
pub(crate) fn transport() -> Transport {
    let https = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
    let connector = ConnectTimeoutLayer::new(Duration::from_secs(10)).layer(https);
    Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build(connector)
}
