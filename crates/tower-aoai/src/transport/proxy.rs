//! Which way to an address.

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Uri, uri::Scheme};
use hyper::rt::{Read, Write};
use hyper_util::client::{
    legacy::connect::{Connection, proxy::Tunnel},
    proxy::matcher::{Intercept, Matcher},
};
use pin_project::pin_project;
use tower_aoai_core::BoxError;
use tower_service::Service;

use super::{InvalidTransport, connection::Line};

/// Which proxy is asked for which address.
#[derive(Debug)]
pub(super) struct Proxies(Option<Matcher>);

/// Where that is said.
#[derive(Clone, Default)]
pub(super) enum ProxySource {
    #[default]
    Environment,
    None,
    One(String),
}

impl ProxySource {
    pub(super) fn read(&self) -> Result<Proxies, InvalidTransport> {
        match self {
            Self::None => Ok(Proxies(None)),
            Self::Environment => Ok(Proxies(Some(Matcher::from_env()))),
            Self::One(address) => {
                let matcher = Matcher::builder().all(address.as_str()).build();
                let probe = Uri::from_static("https://r.openai.azure.com");
                match matcher.intercept(&probe) {
                    Some(proxy) if proxy.uri().scheme() == Some(&Scheme::HTTP) => Ok(Proxies(Some(matcher))),
                    _ => Err(InvalidTransport::Proxy(without_password(address))),
                }
            }
        }
    }
}

/// What stands before an `@` may be a secret.
fn without_password(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            format!("{scheme}://…@{host}")
        }
        None => address.to_owned(),
    }
}

impl fmt::Debug for ProxySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("Environment"),
            Self::None => f.write_str("None"),
            Self::One(address) => f.debug_tuple("One").field(&without_password(address)).finish(),
        }
    }
}

impl Proxies {
    fn toward(&self, target: &Uri) -> Option<Intercept> {
        self.0.as_ref()?.intercept(target)
    }

    /// What the proxy toward this address wants to be told, if there is one.
    pub(super) fn authorization(&self, target: &Uri) -> Option<HeaderValue> {
        self.toward(target)?.basic_auth().cloned()
    }
}

/// Makes connections to where the proxies say: straight, to a proxy, or through one.
#[derive(Debug, Clone)]
pub(super) struct ProxyConnector<C> {
    inner: C,
    proxies: Arc<Proxies>,
}

impl<C> ProxyConnector<C> {
    pub(super) const fn new(inner: C, proxies: Arc<Proxies>) -> Self {
        Self { inner, proxies }
    }
}

/// The future of a [`ProxyConnector`].
#[pin_project]
pub(super) struct Connecting<F, T> {
    #[pin]
    way: Way<F, T>,
    is_proxied: bool,
}

#[pin_project(project = WayProject)]
enum Way<F, T> {
    Straight(#[pin] F),
    Tunnel(#[pin] T),
    Unknown(Option<UnknownProxy>),
}

/// A proxy of a kind that is not spoken here.
#[derive(Debug)]
struct UnknownProxy(Uri);

impl<C> Service<Uri> for ProxyConnector<C>
where
    C: Service<Uri> + Clone,
    C::Response: Connection + Read + Write + Unpin + Send + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    type Response = Line<C::Response>;
    type Error = BoxError;
    type Future = Connecting<C::Future, <Tunnel<C> as Service<Uri>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let Some(proxy) = self.proxies.toward(&target) else {
            return Connecting { way: Way::Straight(self.inner.call(target)), is_proxied: false };
        };
        if proxy.uri().scheme() != Some(&Scheme::HTTP) {
            return Connecting { way: Way::Unknown(Some(UnknownProxy(proxy.uri().clone()))), is_proxied: false };
        }
        if target.scheme() != Some(&Scheme::HTTPS) {
            return Connecting { way: Way::Straight(self.inner.call(proxy.uri().clone())), is_proxied: true };
        }
        // The clone takes the readiness of this one.
        let unready = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, unready);
        let mut tunnel = Tunnel::new(proxy.uri().clone(), ready);
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        Connecting { way: Way::Tunnel(tunnel.call(target)), is_proxied: false }
    }
}

impl<F, T, C, E, U> Future for Connecting<F, T>
where
    F: Future<Output = Result<C, E>>,
    T: Future<Output = Result<C, U>>,
    E: Into<BoxError>,
    U: Into<BoxError>,
{
    type Output = Result<Line<C>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let connection = match this.way.project() {
            WayProject::Straight(connecting) => ready!(connecting.poll(cx)).map_err(Into::into),
            WayProject::Tunnel(connecting) => ready!(connecting.poll(cx)).map_err(Into::into),
            WayProject::Unknown(proxy) => match proxy.take() {
                Some(proxy) => Err(proxy.into()),
                // Polled after it has answered.
                None => return Poll::Pending,
            },
        };
        let is_proxied = *this.is_proxied;
        Poll::Ready(connection.map(|inner| Line { inner, is_proxied }))
    }
}

impl fmt::Display for UnknownProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the proxy {} is of a kind that is not supported: HTTPS_PROXY, HTTP_PROXY or ALL_PROXY with an http:// \
             address is wanted",
            without_password(&self.0.to_string())
        )
    }
}

impl Error for UnknownProxy {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_of_a_proxy_is_refused_without_its_password() {
        for address in ["https://user:hunter2@proxy:3128", "socks5://user:hunter2@proxy:1080"] {
            let refused = ProxySource::One(address.to_owned()).read().expect_err("no http:// proxy").to_string();
            assert!(refused.contains("proxy") && !refused.contains("hunter2"), "{refused}");
            assert!(!format!("{:?}", ProxySource::One(address.to_owned())).contains("hunter2"));
        }
        assert!(ProxySource::One("http://[".to_owned()).read().is_err());
    }

    #[test]
    fn a_proxy_is_asked_for_every_address_and_told_who_asks() {
        let proxies = ProxySource::One("http://user:pass@proxy:3128".to_owned()).read().expect("a proxy");
        let target = Uri::from_static("http://localhost:1");
        assert_eq!(proxies.toward(&target).expect("through the proxy").uri().host(), Some("proxy"));
        assert_eq!(proxies.authorization(&target).expect("who asks"), "Basic dXNlcjpwYXNz");
        assert!(!format!("{proxies:?}").contains("pass"));
        assert!(ProxySource::None.read().expect("none").toward(&target).is_none());
    }
}
