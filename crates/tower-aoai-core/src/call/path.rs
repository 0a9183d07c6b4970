//! What a request's address says: style, operation, deployment, api-version.
//!
//! Paths are read from their end: what stands before the part that Azure defines (a gateway's prefix, a project's
//! path) does not matter. Words compare without case, as Azure's front ends do; names keep theirs.

use std::borrow::Cow;

use http::{HeaderMap, Uri, header};

use super::{ApiStyle, Operation};

/// What the address of a request says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Address<'a> {
    pub(super) operation: Operation,
    pub(super) style: ApiStyle,
    pub(super) deployment: Option<Cow<'a, str>>,
    pub(super) api_version: Option<Cow<'a, str>>,
}

/// Hosts on which a path without a marker of its own is that of Azure AI inference.
const INFERENCE_HOSTS: [&str; 3] = [".services.ai.azure.com", ".inference.ai.azure.com", ".models.ai.azure.com"];

impl<'a> Address<'a> {
    pub(super) fn read(uri: &'a Uri, headers: &HeaderMap) -> Self {
        let path = uri.path();
        let mut address = tails(path)
            .find_map(complete)
            .or_else(|| tails(path).find_map(strong))
            .or_else(|| tails(path).find_map(weak))
            .unwrap_or_else(|| unmarked(path, on_inference_host(uri, headers)));
        address.api_version = uri.query().and_then(api_version);
        address
    }

    fn of(style: ApiStyle, operation: Operation) -> Self {
        Self { operation, style, ..Self::default() }
    }

    fn deployed(name: &'a str, operation: Operation) -> Self {
        Self {
            deployment: Some(decoded(name)).filter(|name| !name.is_empty()),
            ..Self::of(ApiStyle::Classic, operation)
        }
    }
}

/// A path whose end is known whole.
fn complete(tail: &str) -> Option<Address<'_>> {
    let (style, rest) = if let Some((name, rest)) = deployment(tail) {
        return Some(Address::deployed(name, operation(rest)?));
    } else if let Some(rest) = after(tail, &["openai", "v1"]).or_else(|| after(tail, &["v1"])) {
        (ApiStyle::V1, rest)
    } else if let Some(rest) = after(tail, &["models"]) {
        let operation = operation(rest)?;
        let served = matches!(operation, Operation::Chat | Operation::Embeddings);
        return served.then(|| Address::of(ApiStyle::Inference, operation));
    } else {
        (ApiStyle::Classic, after(tail, &["openai"])?)
    };
    operation(rest).map(|operation| Address::of(style, operation))
}

/// A marker that nothing but Azure's own paths has, before something that is not read.
fn strong(tail: &str) -> Option<Address<'_>> {
    if after(tail, &["openai", "v1"]).is_some() {
        return Some(Address::of(ApiStyle::V1, Operation::Other));
    }
    let (name, _) = deployment(tail)?;
    Some(Address::deployed(name, Operation::Other))
}

/// A marker that may be a gateway's as well.
fn weak(tail: &str) -> Option<Address<'_>> {
    let style = if after(tail, &["openai"]).is_some() {
        ApiStyle::Classic
    } else {
        after(tail, &["v1"]).map(|_| ApiStyle::V1)?
    };
    Some(Address::of(style, Operation::Other))
}

/// No marker at all: a base address that hides them, or a host that needs none.
fn unmarked(path: &str, inference: bool) -> Address<'_> {
    let operation = tails(path).find_map(operation).unwrap_or_default();
    let style = if inference { ApiStyle::Inference } else { ApiStyle::Other };
    Address::of(style, operation)
}

/// The path from each of its segments on, longest first.
fn tails(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    std::iter::successors(Some(path), |tail| Some(tail.split_once('/')?.1))
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
    path.split_once('/').unwrap_or((path, ""))
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
