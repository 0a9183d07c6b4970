//! What a response's headers say of its body, and of who answers.

use http::{HeaderMap, HeaderName, HeaderValue, header};

const SPILLED_FROM: HeaderName = HeaderName::from_static("x-ms-spillover-from-deployment");
const IS_SPILLED: HeaderName = HeaderName::from_static("x-ms-is-spilled-over");
const SPILL_FAILED: HeaderName = HeaderName::from_static("x-ms-spillover-error");

/// Whence Azure has spilled the call; see [`ResponseHead::spilled_from`](crate::classify::ResponseHead::spilled_from).
pub(crate) fn spilled_from(headers: &HeaderMap) -> Option<&str> {
    let from = match headers.get(&SPILLED_FROM) {
        Some(name) => name.to_str().unwrap_or_default().trim(),
        None if headers.get(&IS_SPILLED)?.as_bytes().eq_ignore_ascii_case(b"true") => "",
        None => return None,
    };
    (!headers.contains_key(&SPILL_FAILED)).then_some(from)
}

/// The media type, without parameters; empty where there is none.
pub(crate) fn media_type(headers: &HeaderMap) -> &[u8] {
    let value = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// Whether the body is a stream of events, compressed or not.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    media_type(headers).eq_ignore_ascii_case(b"text/event-stream")
}

/// Whether the body is JSON, compressed or not.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let media_type = media_type(headers);
    let suffix = media_type.len().checked_sub(b"+json".len()).and_then(|at| media_type.get(at..));
    media_type.eq_ignore_ascii_case(b"application/json")
        || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+json"))
}

/// Whether the body cannot be read without decompressing it.
pub(crate) fn is_compressed(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    codings
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn types_are_told_without_case_and_parameters() {
        let stream = |value| is_event_stream(&headers(header::CONTENT_TYPE, value));
        assert!(stream("text/event-stream") && stream(" Text/Event-Stream ; charset=utf-8"));
        assert!(!stream("text/event-streams") && !stream("text/plain") && !stream(""));
        assert!(!is_event_stream(&HeaderMap::new()));
        let json = |value| is_json(&headers(header::CONTENT_TYPE, value));
        assert!(json("application/json") && json("application/problem+JSON;charset=utf-8"));
        assert!(!json("application/jsonl") && !json("json") && !json(""));
    }

    #[test]
    fn what_azure_has_spilled_says_so_unless_it_is_the_provisioned_deployments_own_answer() {
        let spilled = |pairs: &[(&'static str, &'static str)]| {
            let pairs =
                pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            spilled_from(&HeaderMap::from_iter(pairs)).map(str::to_owned)
        };
        let (from, is, failed) = (
            ("x-ms-spillover-from-deployment", "ptu"),
            ("x-ms-is-spilled-over", "True"),
            ("x-ms-spillover-error", "429"),
        );
        assert_eq!(spilled(&[]), None);
        assert_eq!(spilled(&[("x-ms-deployment-name", "ptu")]), None);
        assert_eq!(spilled(&[from]).as_deref(), Some("ptu"));
        assert_eq!(spilled(&[from, is]).as_deref(), Some("ptu"));
        assert_eq!(spilled(&[is]).as_deref(), Some(""));
        assert_eq!(spilled(&[("x-ms-is-spilled-over", "false")]), None);
        assert_eq!(spilled(&[from, is, failed]), None);
    }

    #[test]
    fn what_is_compressed_cannot_be_read() {
        let compressed = |value| is_compressed(&headers(header::CONTENT_ENCODING, value));
        assert!(compressed("gzip") && compressed("identity, br"));
        assert!(!compressed("identity") && !compressed("") && !is_compressed(&HeaderMap::new()));
    }
}
