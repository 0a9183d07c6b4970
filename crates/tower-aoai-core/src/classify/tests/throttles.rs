//! The many ways to say that something ran out.

use super::{bodies::*, *};
use crate::classify::azure::AzureClassifier;

#[test]
fn every_429_azure_is_known_to_answer() {
    use Scope::{Capacity, Requests, Tokens, Unknown};
    let says = |seconds: u64| hint(seconds * 1_000, HintSource::Message);
    for (body, expected) in [
        (TOKENS_CLASSIC, throttled(Tokens, says(8))),
        (CALLS_CLASSIC, throttled(Requests, says(1))),
        (TOKENS_WITHOUT_WAIT, throttled(Tokens, None)),
        (TOKENS_2025, throttled(Tokens, says(45))),
        (TOO_LARGE, Outcome::TooLarge),
        (NO_CAPACITY, throttled(Capacity, None)),
        (NO_CAPACITY_OLD, throttled(Capacity, says(20))),
        (V1_TOKENS, throttled(Tokens, None)),
        (V1_UNSAID, throttled(Unknown, None)),
        (GATEWAY, throttled(Unknown, says(50))),
        (GATEWAY_BARE, throttled(Unknown, says(50))),
        (NO_CREDIT, Outcome::Misconfigured),
        ("", throttled(Unknown, None)),
        ("Too many requests", throttled(Unknown, None)),
        ("<html>429</html>", throttled(Unknown, None)),
        (r#"{"error":{"code":"resource_unavailable","message":"Resource unavailable"}}"#, throttled(Capacity, None)),
        (
            r#"{"error":{"code":429,"message":"The service is temporarily unable to process your request."}}"#,
            throttled(Capacity, None),
        ),
        (
            r#"{"error":{"message":"Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 35000.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
            Outcome::TooLarge,
        ),
    ] {
        assert_eq!(judge(429, &[], body), expected, "{body}");
    }
}

#[test]
fn a_rate_limit_under_another_status_is_a_rate_limit() {
    let unknown = throttled(Scope::Unknown, hint(50_000, HintSource::Message));
    for status in [400, 403, 500, 503] {
        assert_eq!(judge(status, &[], GATEWAY), unknown, "{status}");
        assert_eq!(judge(status, &[], GATEWAY_BARE), unknown, "{status}");
        let text = "Rate limit is exceeded. Try again in 50 seconds.";
        assert_eq!(judge(status, &[], text), unknown, "{status}");
        assert_eq!(judge(status, &[], TOO_LARGE), Outcome::TooLarge, "{status}");
    }
    assert_eq!(judge(503, &[], NO_CAPACITY), throttled(Scope::Capacity, None));
}

#[test]
fn a_wait_of_a_day_is_never_wherever_it_is_said() {
    for pairs in [
        &[("retry-after", "86400")][..],
        &[("retry-after-ms", "86400000")],
        &[("retry-after-ms", "0"), ("retry-after", "86400")],
    ] {
        assert_eq!(judge(429, pairs, ""), Outcome::TooLarge, "{pairs:?}");
    }
    assert_eq!(judge(429, &[("retry-after", "60")], TOO_LARGE), Outcome::TooLarge);
    assert_eq!(
        judge(429, &[("retry-after", "86399")], ""),
        throttled(Scope::Unknown, hint(86_399_000, HintSource::RetryAfterSeconds))
    );
}

#[test]
fn the_headers_hint_comes_before_the_messages() {
    let pairs = [("retry-after", "9"), ("retry-after-ms", "8432")];
    assert_eq!(judge(429, &pairs, TOKENS_CLASSIC), throttled(Scope::Tokens, hint(8_432, HintSource::RetryAfterMs)));
}

#[test]
fn what_ran_out_is_read_from_the_headers() {
    let spent_tokens = [("x-ratelimit-remaining-tokens", "-27689"), ("x-ratelimit-remaining-requests", "4")];
    let spent_requests = [("x-ratelimit-remaining-tokens", "1000"), ("x-ratelimit-remaining-requests", "0")];
    let neither = [("x-ratelimit-remaining-tokens", "1000"), ("x-ratelimit-remaining-requests", "4")];
    for (pairs, body, expected) in [
        (&[("x-ratelimit-type", "Tokens")][..], "", Scope::Tokens),
        (&[("x-ratelimit-type", "Requests")], "", Scope::Requests),
        (&spent_tokens, "", Scope::Tokens),
        (&spent_requests, "", Scope::Requests),
        (&spent_requests, V1_TOKENS, Scope::Tokens),
        (&neither, "", Scope::Unknown),
        (&spent_tokens, NO_CAPACITY, Scope::Capacity),
    ] {
        assert_eq!(judge(429, pairs, body), throttled(expected, None), "{pairs:?} {body}");
    }
}

#[test]
fn a_provisioned_deployment_is_known_by_its_headers() {
    let wait = hint(43, HintSource::RetryAfterMs);
    let told = [("azure-openai-deployment-utilization", "101.2%"), ("retry-after-ms", "43")];
    assert_eq!(judge(429, &told, ""), throttled(Scope::Provisioned, wait));

    let inferred = [("retry-after", "1"), ("retry-after-ms", "43"), ("x-ms-deployment-name", "gpt-4o-ptu")];
    assert_eq!(judge(429, &inferred, ""), throttled(Scope::Provisioned, wait));
    assert_eq!(judge(429, &inferred, TOKENS_CLASSIC), throttled(Scope::Tokens, wait), "the words know better");
    let mut standard = inferred.to_vec();
    standard.push(("x-ratelimit-limit-tokens", "-1"));
    assert_eq!(judge(429, &standard, ""), throttled(Scope::Unknown, wait));

    let headers = headers(&inferred);
    let head = ResponseHead { status: StatusCode::TOO_MANY_REQUESTS, headers: &headers };
    let careful = AzureClassifier::new().infer_provisioned(false);
    let verdict = careful.error_body(&Call::default(), head, b"");
    assert_eq!(verdict.outcome, throttled(Scope::Unknown, wait));
}
