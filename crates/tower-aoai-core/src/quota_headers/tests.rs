use http::HeaderValue;
use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn read(pairs: &[(&'static str, &str)]) -> QuotaHeaders {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.insert(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    QuotaHeaders::read(&headers)
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn a_captured_success() {
    let quota = read(&[
        ("x-ratelimit-limit-requests", "9000"),
        ("x-ratelimit-remaining-requests", "8999"),
        ("x-ratelimit-renewalperiod-requests", "10"),
        ("x-ratelimit-reset-requests", "0"),
        ("x-ratelimit-limit-tokens", "1500000"),
        ("x-ratelimit-remaining-tokens", "745399"),
        ("x-ratelimit-renewalperiod-tokens", "60"),
        ("x-ratelimit-reset-tokens", "30"),
    ]);
    let expected = QuotaHeaders {
        tokens: QuotaWindow {
            limit: Some(1_500_000),
            remaining: Some(745_399),
            reset: seconds(30),
            renewal_period: seconds(60),
        },
        requests: QuotaWindow {
            limit: Some(9_000),
            remaining: Some(8_999),
            reset: seconds(0),
            renewal_period: seconds(10),
        },
        exhausted: None,
        utilization: None,
    };
    assert_eq!(quota, expected);
}

#[test]
fn of_a_header_that_comes_twice_the_first_counts() {
    let mut headers = HeaderMap::new();
    for value in ["?", "7"] {
        headers.append("x-ratelimit-remaining-tokens", HeaderValue::from_static(value));
    }
    for value in ["8", "9"] {
        headers.append("x-ratelimit-remaining-requests", HeaderValue::from_static(value));
    }
    let quota = QuotaHeaders::read(&headers);
    assert_eq!((quota.tokens.remaining, quota.requests.remaining), (None, Some(8)));
}

#[test]
fn traffic_of_2024_has_remaining_only() {
    let quota = read(&[("x-ratelimit-remaining-requests", "79"), ("x-ratelimit-remaining-tokens", "61353")]);
    assert_eq!(quota.tokens.remaining, Some(61_353));
    assert_eq!(quota.tokens.limit, None);
    assert_eq!(quota.tokens.time_until(100, MINUTE), None);
    assert_eq!(quota.requests.remaining, Some(79));
}

#[test]
fn minus_one_is_no_figure() {
    let quota = read(&[
        ("x-ratelimit-limit-tokens", "-1"),
        ("x-ratelimit-remaining-tokens", "-1"),
        ("x-ratelimit-reset-tokens", "0"),
        ("x-ratelimit-limit-requests", "0"),
        ("x-ratelimit-remaining-requests", "0"),
    ]);
    assert_eq!(quota, QuotaHeaders::default());
}

#[test]
fn a_debt_is_kept_and_worked_off() {
    let quota = read(&[("x-ratelimit-limit-tokens", "333000"), ("x-ratelimit-remaining-tokens", "-27689")]);
    assert_eq!(quota.tokens.remaining, Some(-27_689));
    // The captured retry-after was 4, rounded down.
    let wait = quota.tokens.time_until(0, MINUTE).unwrap();
    assert_eq!(wait.as_millis(), 4_989);
}

#[test]
fn a_cost_that_fits_waits_for_nothing_and_one_above_the_limit_longer_than_the_window() {
    let window = QuotaWindow { limit: Some(6_000), remaining: Some(1_000), ..QuotaWindow::default() };
    assert_eq!(window.time_until(1_000, MINUTE), seconds(0));
    assert_eq!(window.time_until(1_100, MINUTE), seconds(1));
    assert_eq!(window.time_until(13_000, MINUTE), seconds(120));
    assert_eq!(window.time_until(u64::MAX, MINUTE), Some(duration::LONGEST));
}

#[test]
fn openais_spelling_is_read_too() {
    let quota = read(&[
        ("x-ratelimit-limit-tokens", "5000.0"),
        ("x-ratelimit-reset-tokens", "6m0s"),
        ("x-ratelimit-reset-requests", "17ms"),
    ]);
    assert_eq!(quota.tokens.limit, Some(5_000));
    assert_eq!(quota.tokens.reset, seconds(360));
    assert_eq!(quota.requests.reset, Some(Duration::from_millis(17)));
}

#[test]
fn utilization_is_a_percentage() {
    for (text, expected) in [
        ("98.5%", Some(0.985)),
        ("104.2 %", Some(1.042)),
        ("0%", Some(0.0)),
        ("98.5", None),
        ("-1%", None),
        ("nan%", None),
        ("%", None),
    ] {
        let read = read(&[("azure-openai-deployment-utilization", text)]).utilization;
        let near = match (read, expected) {
            (Some(read), Some(expected)) => (read - expected).abs() < 1e-9,
            (read, expected) => read.is_none() && expected.is_none(),
        };
        assert!(near, "{text:?}: {read:?}");
    }
}

#[test]
fn type_and_key() {
    for (text, expected) in [("Tokens", Some(Scope::Tokens)), ("requests", Some(Scope::Requests)), ("Weather", None)] {
        assert_eq!(read(&[("x-ratelimit-type", text)]).exhausted, expected);
    }
    let mut headers = HeaderMap::new();
    assert_eq!(QuotaHeaders::key(&headers), None);
    headers.insert("x-ratelimit-key", HeaderValue::from_static("gpt-4o"));
    assert_eq!(QuotaHeaders::key(&headers), Some("gpt-4o"));
}

proptest! {
    #[test]
    fn any_header_can_be_read(
        names in proptest::collection::vec(0..10_usize, 0..10),
        bytes in proptest::collection::vec(any::<u8>(), 0..30),
        number in "-?[0-9]{0,22}[.]?[0-9]{0,3}%?",
        cost in any::<u64>(),
    ) {
        const NAMES: [&str; 10] = [
            "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens",
            "x-ratelimit-reset-tokens", "x-ratelimit-renewalperiod-tokens",
            "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests", "x-ratelimit-type", "x-ratelimit-key",
            "azure-openai-deployment-utilization",
        ];
        for value in [bytes.as_slice(), number.as_bytes()] {
            let mut headers = HeaderMap::new();
            for name in &names {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    headers.insert(NAMES[*name], value);
                }
            }
            let quota = QuotaHeaders::read(&headers);
            prop_assert!(quota.tokens.limit != Some(0));
            let _ = QuotaHeaders::key(&headers);
            for window in [Duration::ZERO, MINUTE, Duration::MAX] {
                let _ = quota.tokens.time_until(cost, window);
            }
        }
    }

    #[test]
    fn whatever_was_waited_for_then_fits(
        limit in 1..10_000_000_u64, remaining in -1_000_000..1_000_000_i64, cost in 0..1_000_000_u64,
    ) {
        let window = QuotaWindow { limit: Some(limit), remaining: Some(remaining), ..QuotaWindow::default() };
        let wait = window.time_until(cost, MINUTE).unwrap();
        let back = wait.as_nanos() * u128::from(limit) / MINUTE.as_nanos();
        if wait < duration::LONGEST {
            prop_assert!(i128::from(remaining) + i128::try_from(back).unwrap() >= i128::from(cost));
        }
    }
}
