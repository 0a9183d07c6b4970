//! Which way to an address.

use std::{
    env,
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, LazyLock},
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

/// Any address for which a proxy could be asked.
static PROBE: LazyLock<Uri> = LazyLock::new(|| Uri::from_static("https://r.openai.azure.com"));

impl ProxySource {
    pub(super) fn read(&self) -> Result<Proxies, InvalidTransport> {
        match self {
            Self::None => Ok(Proxies(None)),
            Self::Environment => Ok(Proxies(Some(of_variables(|name| env::var(name).ok())))),
            Self::One(address) => {
                let matcher = Matcher::builder().all(readable(address)).build();
                match matcher.intercept(&PROBE) {
                    Some(proxy) if proxy.uri().scheme() == Some(&Scheme::HTTP) => Ok(Proxies(Some(matcher))),
                    _ => Err(InvalidTransport::Proxy(without_password(address))),
                }
            }
        }
    }
}

/// What the variables say, as curl reads them: the first of two spellings that is set to something counts.
fn of_variables(value: impl Fn(&str) -> Option<String>) -> Matcher {
    let said = |names: [&'static str; 2]| {
        let set = |name| Some((name, value(name)?.trim().to_owned())).filter(|(_, value)| !value.is_empty());
        names.into_iter().find_map(set)
    };
    let proxy = |names| {
        let (name, address) = said(names)?;
        let is_one = Matcher::builder().all(readable(&address)).build().intercept(&PROBE).is_some();
        if !is_one {
            tracing::warn!(
                "{name} is no address of a proxy, and none is asked: http://proxy.example.com:3128 is wanted"
            );
        }
        is_one.then(|| readable(&address))
    };
    let all = proxy(["ALL_PROXY", "all_proxy"]);
    let of = |own: Option<String>| own.or_else(|| all.clone()).unwrap_or_default();
    // To a program that a web server runs, HTTP_PROXY is what a caller says in a header.
    let plain = if value("REQUEST_METHOD").is_some() { ["http_proxy"; 2] } else { ["HTTP_PROXY", "http_proxy"] };
    let (http, https) = (of(proxy(plain)), of(proxy(["HTTPS_PROXY", "https_proxy"])));
    let direct = said(["NO_PROXY", "no_proxy"]).map(|(_, list)| hosts(&list)).unwrap_or_default();
    Matcher::builder().http(http).https(https).no(direct).build()
}

/// What stands before the last `@` is the credential, as curl reads it, whatever is in it.
fn readable(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").map_or(("", address), |(scheme, rest)| (scheme, rest));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((credential, host)) => {
            let gap = if scheme.is_empty() { "" } else { "://" };
            format!("{scheme}{gap}{}@{host}{path}", credential.replace('@', "%40"))
        }
        None => address.to_owned(),
    }
}

/// Hosts that are asked without a proxy: with commas or spaces between them, and a domain as `*.example.com`, too.
fn hosts(list: &str) -> String {
    let hosts = list.split([',', ' ', '\t', '\n']).filter(|host| !host.is_empty());
    let hosts: Vec<&str> = hosts.map(|host| if host.starts_with("*.") { &host[1..] } else { host }).collect();
    hosts.join(",")
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

    /// Which proxy is asked for an address, with these variables set.
    fn asked(variables: &[(&str, &str)], address: &'static str) -> Option<String> {
        let value = |name: &str| Some(variables.iter().find(|(known, _)| *known == name)?.1.to_owned());
        of_variables(value).intercept(&Uri::from_static(address)).map(|proxy| proxy.uri().to_string())
    }

    const AZURE: &str = "https://contoso.openai.azure.com";

    #[test]
    fn variables_are_read_in_either_case_with_and_without_a_scheme() {
        let there = Some("http://proxy:3128/".to_owned());
        for (name, value) in [
            ("HTTPS_PROXY", "http://proxy:3128"),
            ("https_proxy", "proxy:3128"),
            ("ALL_PROXY", " http://proxy:3128/ "),
            ("all_proxy", "http://user:pass@proxy:3128"),
        ] {
            assert_eq!(asked(&[(name, value)], AZURE), there, "{name}={value}");
        }
        assert_eq!(asked(&[("HTTPS_PROXY", ""), ("https_proxy", "proxy:3128")], AZURE), there, "empty is not set");
        assert_eq!(asked(&[("HTTPS_PROXY", "proxy:3128"), ("ALL_PROXY", "other:1")], AZURE), there);
        assert_eq!(asked(&[("HTTP_PROXY", "other:1")], AZURE), None);
        assert_eq!(asked(&[("HTTP_PROXY", "proxy:3128")], "http://contoso.example"), there);
        assert_eq!(asked(&[], AZURE), None);
    }

    #[test]
    fn what_is_no_proxy_is_passed_over() {
        for value in ["ftp://proxy", "http://", "http://user:pass@", "a b"] {
            assert_eq!(asked(&[("HTTPS_PROXY", value)], AZURE), None, "{value}");
            let all = asked(&[("HTTPS_PROXY", value), ("ALL_PROXY", "proxy:3128")], AZURE);
            assert_eq!(all.as_deref(), Some("http://proxy:3128/"), "{value}");
        }
    }

    #[test]
    fn a_callers_header_is_no_proxy() {
        let program = ("REQUEST_METHOD", "GET");
        assert_eq!(asked(&[("HTTP_PROXY", "evil:1"), program], "http://contoso.example"), None);
        assert!(asked(&[("http_proxy", "proxy:3128"), program], "http://contoso.example").is_some());
        assert!(asked(&[("HTTPS_PROXY", "proxy:3128"), program], AZURE).is_some());
    }

    #[test]
    fn hosts_that_are_asked_without_a_proxy() {
        let is_direct =
            |list: &str, address| asked(&[("ALL_PROXY", "proxy:3128"), ("no_proxy", list)], address).is_none();
        for list in [
            "*",
            "contoso.openai.azure.com",
            "CONTOSO.openai.azure.com",
            ".openai.azure.com",
            "*.openai.azure.com",
            "openai.azure.com",
            "a.example, azure.com",
            "a.example azure.com",
        ] {
            assert!(is_direct(list, AZURE), "{list}");
        }
        for list in ["", ",", "zure.com", "*.east.openai.azure.com", "10.0.0.0/8"] {
            assert!(!is_direct(list, AZURE), "{list}");
        }
        assert!(is_direct("10.0.0.0/8", "http://10.1.2.3:8080"));
        assert!(is_direct("::1", "http://[::1]:8080"));
        assert!(!is_direct("10.0.0.0/8", "http://11.1.2.3"));
    }

    #[test]
    fn a_password_with_an_at_sign_is_told_whole_to_its_proxy() {
        let target = Uri::from_static("http://contoso.example");
        let one = ProxySource::One("http://user:p@ss@proxy:3128".to_owned()).read().expect("a proxy");
        assert_eq!(one.toward(&target).expect("through it").uri(), "http://proxy:3128/");
        assert_eq!(one.authorization(&target).expect("who asks"), "Basic dXNlcjpwQHNz");
        let named = |name: &str| (name == "HTTP_PROXY").then(|| "user:p@ss@proxy:3128".to_owned());
        let named = Proxies(Some(of_variables(named)));
        assert_eq!(named.toward(&target).expect("through it").uri(), "http://proxy:3128/");
        assert_eq!(named.authorization(&target).expect("who asks"), "Basic dXNlcjpwQHNz");
    }
}
