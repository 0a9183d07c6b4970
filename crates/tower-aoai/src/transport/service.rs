use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, Uri, header::PROXY_AUTHORIZATION, uri::Scheme};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use tower_aoai_core::{AttemptTimeout, ConnectTimeout, Error, RequestBody};
use tower_service::Service;

use super::{
    InvalidTransport, TransportBody, TransportBuilder, TransportFuture,
    proxy::{Proxies, ProxyConnector},
};

/// The connections' makers, innermost last.
pub(super) type Connector = ConnectTimeout<HttpsConnector<ProxyConnector<HttpConnector>>>;

/// A pooled client over HTTP/1.1 and HTTP/2; see the [module's page](super). Clones share its connections.
#[derive(Clone)]
pub struct Transport {
    client: AttemptTimeout<Client<Connector, RequestBody>>,
    proxies: Arc<Proxies>,
}

impl Transport {
    /// With all defaults.
    ///
    /// # Errors
    ///
    /// As [`TransportBuilder::build`].
    pub fn new() -> Result<Self, InvalidTransport> {
        Self::builder().build()
    }

    /// A transport to be set up: time limits, connections kept, proxy, certificates.
    pub fn builder() -> TransportBuilder {
        TransportBuilder::default()
    }

    pub(super) const fn over(client: AttemptTimeout<Client<Connector, RequestBody>>, proxies: Arc<Proxies>) -> Self {
        Self { client, proxies }
    }

    /// Through a tunnel the proxy is told who asks when that is made; without one, with each request.
    fn authorize(&self, request: &mut Request<RequestBody>) {
        let is_plain = |uri: &Uri| uri.scheme() == Some(&Scheme::HTTP);
        if let Some(value) = self.proxies.authorization(request.uri()).filter(|_| is_plain(request.uri())) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, value);
        }
    }
}

impl Service<Request<RequestBody>> for Transport {
    type Response = Response<TransportBody>;
    type Error = Error;
    type Future = TransportFuture;

    /// Always ready: connections are made as calls need them.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.client.poll_ready(cx)
    }

    /// Sends the request once, with the first poll.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] where a limit ran out, [`Error::Transport`] where the connection failed or there is none.
    ///
    /// # Cancellation
    ///
    /// Dropping the future gives the request up; see the [module's page](super).
    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        self.authorize(&mut request);
        let host = request.uri().authority().cloned();
        TransportFuture::new(self.client.call(request), host)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("proxies", &self.proxies).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_but_a_proxy_is_told_who_asks_it() {
        let transport = Transport::builder().proxy("http://user:pass@proxy:3128").build().expect("a transport");
        let told = |uri: &'static str| {
            let mut request = Request::get(uri).body(RequestBody::default()).expect("a request");
            transport.authorize(&mut request);
            request.headers().contains_key(PROXY_AUTHORIZATION)
        };
        assert!(told("http://contoso.example/"), "it reads the request");
        assert!(!told("https://contoso.openai.azure.com/"), "it is told when the tunnel is made");
        assert!(!format!("{transport:?}").contains("pass"));
    }
}
