//! What no server should send.

use proptest::prelude::*;

use super::{bodies, *};

/// Headers that decide, with values that may be anything.
fn any_headers() -> impl Strategy<Value = HeaderMap> {
    const NAMES: [&str; 10] = [
        "retry-after",
        "retry-after-ms",
        "x-ms-retry-after-ms",
        "date",
        "x-should-retry",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-requests",
        "x-ratelimit-type",
        "azure-openai-deployment-utilization",
    ];
    let value = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..30),
        "-?[0-9]{1,22}([.][0-9]{1,3})?%?".prop_map(String::into_bytes),
    ];
    proptest::collection::vec((0..NAMES.len(), value), 0..8).prop_map(|pairs| {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(NAMES[name], value);
            }
        }
        headers
    })
}

fn any_status() -> impl Strategy<Value = StatusCode> {
    (100..1000_u16).prop_map(|status| StatusCode::from_u16(status).unwrap())
}

fn is_sane(verdict: Verdict) -> bool {
    let hint = verdict.outcome.hint();
    hint.is_none_or(|hint| !hint.after.is_zero() && hint.after <= crate::duration::LONGEST)
}

proptest! {
    #[test]
    fn any_answer_has_an_outcome(
        status in any_status(), headers in any_headers(),
        body in proptest::collection::vec(any::<u8>(), 0..300), tokens in any::<u64>(),
    ) {
        let head = ResponseHead { status, headers: &headers };
        let call = costing(tokens);
        let _ = AZURE.head(&call, head);
        prop_assert!(is_sane(AZURE.error_body(&call, head, &body)));
        prop_assert!(is_sane(judge_head(&AZURE, &call, head)));
    }

    #[test]
    fn any_json_has_an_outcome(
        status in any_status(), headers in any_headers(),
        keys in proptest::collection::vec("error|code|type|message|innererror|content_filters|status|blocked|x", 0..6),
        values in proptest::collection::vec(
            r#"null|true|[0-9]{1,25}|-1|1e9|"[a-z 0-9]{0,12}"|"429"|\[\]|\[1,\{\}\]|\{\}|\{"code":"429"\}|\{"message":7\}"#, 6,
        ),
    ) {
        let members: Vec<_> = keys.iter().zip(&values).map(|(k, v)| format!("\"{k}\":{v}")).collect();
        let flat = format!("{{{}}}", members.join(","));
        let head = ResponseHead { status, headers: &headers };
        for body in [format!("{{\"error\":{flat}}}"), format!("[{flat}"), flat] {
            prop_assert!(is_sane(AZURE.error_body(&Call::default(), head, body.as_bytes())));
        }
    }

    #[test]
    fn any_stream_error_has_an_outcome(
        headers in any_headers(), code in proptest::option::of(".*"),
        kind in proptest::option::of(".*"), message in proptest::option::of(".*"),
        after_content in any::<bool>(),
    ) {
        let head = ResponseHead { status: StatusCode::OK, headers: &headers };
        let error = StreamError {
            code: code.as_deref(), kind: kind.as_deref(), message: message.as_deref(),
        };
        prop_assert!(is_sane(AZURE.stream_error(&Call::default(), head, error, after_content)));
    }

    #[test]
    fn a_body_cut_anywhere_or_with_a_byte_changed_has_an_outcome(
        which in 0..bodies::ALL.len(), status in any_status(),
        at in any::<proptest::sample::Index>(), byte in any::<u8>(),
    ) {
        let headers = HeaderMap::new();
        let head = ResponseHead { status, headers: &headers };
        let mut body = bodies::ALL[which].as_bytes().to_vec();
        let at = at.index(body.len());
        prop_assert!(is_sane(AZURE.error_body(&Call::default(), head, &body[..at])));
        body[at] = byte;
        prop_assert!(is_sane(AZURE.error_body(&Call::default(), head, &body)));
    }
}

#[test]
fn a_cut_429_keeps_what_stood_before_the_cut() {
    let body = bodies::TOKENS_CLASSIC;
    let cut = body.find("seconds").unwrap() + "seconds. Pl".len();
    assert_eq!(judge(429, &[], &body[..cut]), throttled(Scope::Tokens, hint(8_000, HintSource::Message)));
    // Half a number would be a much shorter wait.
    let body = bodies::TOO_LARGE;
    let at = body.find("86400").unwrap();
    for cut in at..body.find("seconds").unwrap() + "seconds".len() {
        let outcome = judge(429, &[], &body[..cut]);
        assert_eq!(outcome, throttled(Scope::Tokens, None), "{}", &body[at..cut]);
    }
}

#[test]
fn nesting_without_end_ends() {
    for deep in ["{\"error\":".repeat(20_000), "[".repeat(65_000)] {
        assert_eq!(judge(400, &[], &deep), Outcome::Refused);
    }
}

#[test]
fn no_more_than_64_kib_are_read() {
    let padding = " ".repeat(64 * 1024);
    let body = format!("{padding}{}", bodies::CONTEXT_LENGTH);
    assert_eq!(judge(400, &[], &body), Outcome::Refused);
}
