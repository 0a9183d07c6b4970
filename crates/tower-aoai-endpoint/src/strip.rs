//! What of a caller's request must not reach an endpoint.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::percent_decode_str;

/// Whether credentials stand in a header, or it names the caller's own account.
fn is_credential(name: &str) -> bool {
    matches!(
        name,
        "api-key"
            | "authorization"
            | "cookie"
            | "ocp-apim-subscription-key"
            | "openai-organization"
            | "openai-project"
            | "proxy-authorization"
            | "x-amz-security-token"
            | "x-api-key"
            | "x-auth-token"
            | "x-functions-key"
            | "x-goog-api-key"
            | "x-ms-authorization-auxiliary"
            | "x-ms-tokenboundauth"
    )
}

/// Parameters of a query in which credentials stand.
const QUERY: [&str; 15] = [
    "access-token",
    "access_token",
    "api-key",
    "api_key",
    "apikey",
    "auth",
    "authorization",
    "code",
    "key",
    "ocp-apim-subscription-key",
    "sig",
    "subscription-key",
    "subscription_key",
    "token",
    "x-api-key",
];

/// Takes out every header that is a credential or belongs to the caller's connection.
pub(crate) fn strip_headers(headers: &mut HeaderMap) {
    while let Some(name) = named_by_connection(headers) {
        headers.remove(name);
    }
    while let Some(name) = headers.keys().find(|name| is_stripped(name)).cloned() {
        headers.remove(name);
    }
}

/// Whether no caller's header of this name reaches an endpoint.
pub(crate) fn is_stripped(name: &HeaderName) -> bool {
    is_credential(name.as_str()) || is_connection(name)
}

/// Whether the header belongs to the caller's connection, or is one that the transport makes from the request anew, so
/// that no credential can stand in it.
pub(crate) fn is_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "content-length"
            | "expect"
            | "host"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Whether a query's parameter, as it is written, is a credential.
pub(crate) fn is_query_credential(key: &str) -> bool {
    let key = percent_decode_str(key).decode_utf8_lossy();
    QUERY.iter().any(|name| key.trim().eq_ignore_ascii_case(name))
}

/// A header that the header `connection` declares to be of the connection.
fn named_by_connection(headers: &HeaderMap) -> Option<HeaderName> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .find(|name| *name != header::CONNECTION && headers.contains_key(name))
}
