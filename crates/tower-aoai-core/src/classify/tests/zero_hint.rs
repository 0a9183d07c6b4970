//! `retry-after-ms: 0`, which Azure sends although the window needs up to a minute.

use super::*;

/// The captured 429, without its hints.
const CAPTURED: [(&str, &str); 9] = [
    ("x-ratelimit-limit-requests", "5"),
    ("x-ratelimit-limit-tokens", "5000"),
    ("x-ratelimit-remaining-requests", "4"),
    ("x-ratelimit-remaining-tokens", "0"),
    ("x-ratelimit-renewalperiod-requests", "60"),
    ("x-ratelimit-renewalperiod-tokens", "60"),
    ("x-ratelimit-reset-requests", "12"),
    ("x-ratelimit-reset-tokens", "0"),
    ("x-ratelimit-type", "Tokens"),
];
const ZERO: (&str, &str) = ("retry-after-ms", "0");

fn with(more: Pairs<'static>, quota: Pairs<'static>) -> Vec<(&'static str, &'static str)> {
    [more, quota].concat()
}

fn outcome(call: &Call, pairs: Pairs<'_>) -> Outcome {
    verdict(call, 429, pairs, b"").outcome
}

#[test]
fn the_captured_429_waits_until_the_charge_fits() {
    let captured = with(&[("retry-after", "1"), ZERO], &CAPTURED);
    let tokens = |hint| throttled(Scope::Tokens, hint);
    for (cost, millis, source) in [
        (0, 1_000, HintSource::RetryAfterSeconds),
        (50, 1_000, HintSource::RetryAfterSeconds),
        (1_000, 12_000, HintSource::QuotaHeaders),
        (5_000, 60_000, HintSource::QuotaHeaders),
        (50_000, 60_000, HintSource::QuotaHeaders), // one full window at most
    ] {
        let wait = hint(millis, source);
        assert_eq!(outcome(&costing(cost), &captured), tokens(wait), "{cost}");
    }
}

#[test]
fn without_retry_after_the_quota_headers_alone_decide() {
    let zero = with(&[ZERO], &CAPTURED);
    let wait = hint(12_000, HintSource::QuotaHeaders);
    assert_eq!(outcome(&costing(1_000), &zero), throttled(Scope::Tokens, wait));
    assert_eq!(outcome(&costing(0), &zero), throttled(Scope::Tokens, None));
}

#[test]
fn a_debt_is_waited_for_by_whoever_comes() {
    let pairs = [ZERO, ("x-ratelimit-limit-tokens", "6000"), ("x-ratelimit-remaining-tokens", "-500")];
    let wait = hint(5_000, HintSource::QuotaHeaders);
    assert_eq!(outcome(&costing(0), &pairs), throttled(Scope::Tokens, wait));
}

#[test]
fn spent_requests_wait_for_their_reset_or_a_period() {
    let reset = [
        ZERO,
        ("x-ratelimit-type", "Requests"),
        ("x-ratelimit-reset-requests", "7"),
        ("x-ratelimit-renewalperiod-requests", "10"),
    ];
    let wait = |millis| throttled(Scope::Requests, hint(millis, HintSource::QuotaHeaders));
    assert_eq!(outcome(&costing(0), &reset), wait(7_000));
    let period = [
        ZERO,
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "0"),
        ("x-ratelimit-renewalperiod-requests", "10"),
    ];
    assert_eq!(outcome(&costing(0), &period), wait(10_000));
    let openai =
        [("retry-after", "0"), ("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "6m0s")];
    assert_eq!(outcome(&costing(0), &openai), wait(60_000));
}

#[test]
fn without_usable_quota_headers_what_else_the_server_said_stands() {
    let unknown = |hint| throttled(Scope::Unknown, hint);
    let seconds = hint(1_000, HintSource::RetryAfterSeconds);
    let chat = costing(1_000);
    assert_eq!(outcome(&chat, &[ZERO, ("retry-after", "1")]), unknown(seconds));
    assert_eq!(outcome(&chat, &[ZERO]), unknown(None));
    assert_eq!(outcome(&chat, &[ZERO, ("retry-after", "0")]), unknown(None));
    assert_eq!(outcome(&chat, &[("retry-after", "0")]), unknown(None));
    let minus_one = [
        ZERO,
        ("x-ratelimit-limit-tokens", "-1"),
        ("x-ratelimit-remaining-tokens", "-1"),
        ("x-ratelimit-reset-tokens", "0"),
    ];
    assert_eq!(outcome(&chat, &minus_one), unknown(None));
    let body = br#"{"error":{"code":"429","message":"Please retry after 45 seconds."}}"#;
    assert_eq!(
        verdict(&chat, 429, &[ZERO, ("retry-after", "1")], body).outcome,
        unknown(hint(45_000, HintSource::Message))
    );
}

#[test]
fn a_hint_that_is_not_zero_is_the_servers_own_whatever_the_quota_headers() {
    let pairs = with(&[("retry-after", "9"), ("retry-after-ms", "150")], &CAPTURED);
    let wait = hint(150, HintSource::RetryAfterMs);
    assert_eq!(outcome(&costing(5_000), &pairs), throttled(Scope::Tokens, wait));
}

#[test]
fn the_window_can_be_set() {
    let headers = headers(&with(&[ZERO], &CAPTURED));
    let head = ResponseHead { status: StatusCode::TOO_MANY_REQUESTS, headers: &headers };
    let azure = AzureClassifier::new().window(Duration::from_secs(30));
    let verdict = azure.error_body(&costing(1_000), head, b"");
    let wait = hint(6_000, HintSource::QuotaHeaders);
    assert_eq!(verdict.outcome, throttled(Scope::Tokens, wait));
}

#[test]
fn a_date_without_a_date_counts_from_the_given_clock() {
    fn clock() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)
    }
    let headers = headers(&[("retry-after", "Sun, 06 Nov 1994 08:49:40 GMT")]);
    let head = ResponseHead { status: StatusCode::TOO_MANY_REQUESTS, headers: &headers };
    let azure = AzureClassifier::new().wall_clock(clock);
    let verdict = azure.error_body(&Call::default(), head, b"");
    let wait = hint(3_000, HintSource::RetryAfterDate);
    assert_eq!(verdict.outcome, throttled(Scope::Unknown, wait));
}
