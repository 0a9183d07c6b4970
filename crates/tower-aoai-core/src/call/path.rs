//! What a request's address says: style, operation, deployment, api-version.
//!
//! Paths are read from their end: what stands before the part that Azure defines (a gateway's prefix, a project's
//! path) does not matter. Words compare without case, as Azure's front ends do; names keep theirs.

use std::borrow::Cow;

use http::{HeaderMap, Uri, header};

use super::{ApiStyle, Operation};

/// What the address of a request says; see [`Call::from_head`](super::Call::from_head).
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Address<'a> {
    /// What is asked of the model.
    pub operation: Operation,
    /// How the request addresses it.
    pub style: ApiStyle,
    /// The deployment of a classic path, percent-decoded.
    pub deployment: Option<Cow<'a, str>>,
    /// The query's `api-version`, percent-decoded.
    pub api_version: Option<Cow<'a, str>>,
    /// What stands in the path below the marker of its style (`/openai/deployments/{deployment}/`, `/openai/v1/`, …),
    /// as it is written: `chat/completions`, `responses/resp_1`; the whole path, without its first slash, where there
    /// is no marker and no operation is known.
    pub rest: &'a str,
}

/// Hosts on which a path without a marker of its own is that of Azure AI inference.
const INFERENCE_HOSTS: [&str; 3] = [".services.ai.azure.com", ".inference.ai.azure.com", ".models.ai.azure.com"];

impl<'a> Address<'a> {
    /// Reads the address.
    ///
    /// The headers matter only for their `host`, which stands in for the authority of a relative address. Never fails:
    /// what is not known is [`Operation::Other`], [`ApiStyle::Other`].
    ///
    /// ```
    /// use tower_aoai_core::{Address, ApiStyle};
    ///
    /// let uri = "https://r.openai.azure.com/openai/deployments/fast/audio/speech?api-version=2024-10-21".parse()?;
    /// let address = Address::read(&uri, &http::HeaderMap::new());
    /// assert_eq!((address.style, address.deployment.as_deref()), (ApiStyle::Classic, Some("fast")));
    /// assert_eq!(address.rest, "audio/speech");
    /// # Ok::<(), http::uri::InvalidUri>(())
    /// ```
    #[must_use]
    pub fn read(uri: &'a Uri, headers: &HeaderMap) -> Self {
        let path = uri.path();
        let mut address = tails(path)
            .find_map(complete)
            .or_else(|| tails(path).find_map(strong))
            .or_else(|| tails(path).find_map(weak))
            .unwrap_or_else(|| unmarked(path, on_inference_host(uri, headers)));
        address.api_version = uri.query().and_then(api_version);
        address
    }

    fn of(style: ApiStyle, operation: Operation, rest: &'a str) -> Self {
        Self { operation, style, rest, ..Self::default() }
    }

    fn deployed(name: &'a str, operation: Operation, rest: &'a str) -> Self {
        Self {
            deployment: Some(decoded(name)).filter(|name| !name.is_empty()),
            ..Self::of(ApiStyle::Classic, operation, rest)
        }
    }
}

/// A path whose end is known whole.
fn complete(tail: &str) -> Option<Address<'_>> {
    let (style, rest) = if let Some((name, rest)) = deployment(tail) {
        return Some(Address::deployed(name, operation(rest)?, rest));
    } else if let Some(rest) = after(tail, &["openai", "v1"]).or_else(|| after(tail, &["v1"])) {
        (ApiStyle::V1, rest)
    } else if let Some(rest) = after(tail, &["models"]) {
        let operation = operation(rest)?;
        let served = matches!(operation, Operation::Chat | Operation::Embeddings);
        return served.then(|| Address::of(ApiStyle::Inference, operation, rest));
    } else {
        (ApiStyle::Classic, after(tail, &["openai"])?)
    };
    operation(rest).map(|operation| Address::of(style, operation, rest))
}

/// A marker that nothing but Azure's own paths has, before something that is not read.
fn strong(tail: &str) -> Option<Address<'_>> {
    if let Some(rest) = after(tail, &["openai", "v1"]) {
        return Some(Address::of(ApiStyle::V1, Operation::Other, rest));
    }
    let (name, rest) = deployment(tail)?;
    Some(Address::deployed(name, Operation::Other, rest))
}

/// A marker that may be a gateway's as well.
fn weak(tail: &str) -> Option<Address<'_>> {
    let (style, rest) = match after(tail, &["openai"]) {
        Some(rest) => (ApiStyle::Classic, rest),
        None => (ApiStyle::V1, after(tail, &["v1"])?),
    };
    Some(Address::of(style, Operation::Other, rest))
}

/// No marker at all: a base address that hides them, or a host that needs none.
fn unmarked(path: &str, inference: bool) -> Address<'_> {
    let known = tails(path).find_map(|tail| operation(tail).map(|operation| (operation, tail)));
    let whole = path.strip_prefix('/').unwrap_or(path);
    let (operation, rest) = known.unwrap_or((Operation::Other, whole));
    let style = if inference { ApiStyle::Inference } else { ApiStyle::Other };
    Address::of(style, operation, after(rest, &["models"]).filter(|_| inference).unwrap_or(rest))
}

/// The path from each of its segments on, longest first.
fn tails(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    std::iter::successors(Some(path), |tail| Some(split(tail)?.1))
}

/// What follows these segments, if the path begins with them.
fn after<'a>(path: &'a str, words: &[&str]) -> Option<&'a str> {
    words.iter().try_fold(path, |path, word| {
        let (segment, rest) = first(path);
        segment.eq_ignore_ascii_case(word).then_some(rest)
    })
}

/// The deployment's name as it is written, and what follows it.
fn deployment(path: &str) -> Option<(&str, &str)> {
    after(path, &["openai", "deployments"])
        .or_else(|| after(path, &["deployments"]))
        .filter(|rest| !rest.is_empty())
        .map(first)
}

fn first(path: &str) -> (&str, &str) {
    split(path).unwrap_or((path, ""))
}

/// `split_once('/')`, whose search costs more than a segment is long.
fn split(path: &str) -> Option<(&str, &str)> {
    let slash = path.bytes().position(|byte| byte == b'/')?;
    Some((&path[..slash], &path[slash + 1..]))
}

fn operation(rest: &str) -> Option<Operation> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    [
        ("chat/completions", Operation::Chat),
        ("completions", Operation::Completions),
        ("embeddings", Operation::Embeddings),
        ("responses", Operation::Responses),
    ]
    .into_iter()
    .find_map(|(words, operation)| rest.eq_ignore_ascii_case(words).then_some(operation))
}

fn on_inference_host(uri: &Uri, headers: &HeaderMap) -> bool {
    let from_header = || {
        let host = headers.get(header::HOST)?.to_str().ok()?;
        Some(host.rsplit_once(':').map_or(host, |(host, _)| host))
    };
    uri.host().or_else(from_header).is_some_and(|host| {
        let host = host.to_ascii_lowercase();
        INFERENCE_HOSTS.iter().any(|end| host.ends_with(end))
    })
}

fn api_version(query: &str) -> Option<Cow<'_, str>> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| key.eq_ignore_ascii_case("api-version"))
        .map(|(_, value)| decoded(value))
        .filter(|value| !value.is_empty())
}

/// Undoes percent-encoding; text that is not properly encoded, or not UTF-8 then, stays as it is.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    unescape(text.as_bytes()).and_then(|bytes| String::from_utf8(bytes).ok()).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(*rest.next()?).to_digit(16)?;
            let low = char::from(*rest.next()?).to_digit(16)?;
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}
