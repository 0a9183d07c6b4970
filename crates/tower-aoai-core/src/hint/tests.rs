use http::HeaderValue;
use proptest::prelude::*;

use super::*;

/// Sun, 06 Nov 1994 08:49:37 GMT.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn read(pairs: &[(&'static str, &str)]) -> Option<(Duration, HintSource)> {
    let hint = Hint::from_headers(&headers(pairs), now())?;
    Some((hint.after, hint.source))
}

fn millis(millis: u64, source: HintSource) -> Option<(Duration, HintSource)> {
    Some((Duration::from_millis(millis), source))
}

#[test]
fn headers_are_read_in_azures_order() {
    use HintSource::{RetryAfterMs, RetryAfterSeconds, XMsRetryAfterMs};
    let all = [("retry-after", "9"), ("x-ms-retry-after-ms", "250"), ("retry-after-ms", "150")];
    assert_eq!(read(&all), millis(150, RetryAfterMs));
    assert_eq!(read(&all[..2]), millis(250, XMsRetryAfterMs));
    assert_eq!(read(&all[..1]), millis(9_000, RetryAfterSeconds));
    assert_eq!(read(&[]), None);
}

#[test]
fn what_cannot_be_a_wait_is_passed_over_and_not_clipped() {
    for bad in ["", "soon", "nan", "inf", "-inf", "-1", "-0.5", "1e300", "18446744073709551616", "5 s"] {
        assert_eq!(read(&[("retry-after-ms", bad)]), None, "{bad:?}");
        assert_eq!(read(&[("retry-after", bad)]), None, "{bad:?}");
        assert_eq!(
            read(&[("retry-after-ms", bad), ("retry-after", "2")]),
            millis(2_000, HintSource::RetryAfterSeconds),
            "{bad:?}"
        );
    }
}

#[test]
fn fractions_and_huge_values_stay_what_they_are() {
    let micros = |micros| Some((Duration::from_micros(micros), HintSource::RetryAfterMs));
    assert_eq!(read(&[("retry-after-ms", "150.5")]), micros(150_500));
    assert_eq!(read(&[("retry-after-ms", " 43 ")]), micros(43_000));
    assert_eq!(read(&[("retry-after", "1.5")]), millis(1_500, HintSource::RetryAfterSeconds));
    assert_eq!(read(&[("retry-after", "86400")]), millis(86_400_000, HintSource::RetryAfterSeconds));
    assert_eq!(
        read(&[("retry-after", &u32::MAX.to_string())]),
        Some((duration::LONGEST, HintSource::RetryAfterSeconds))
    );
}

#[test]
fn a_date_counts_from_the_responses_own_clock() {
    let at = "Sun, 06 Nov 1994 08:50:07 GMT";
    let date = HintSource::RetryAfterDate;
    assert_eq!(read(&[("retry-after", at)]), millis(30_000, date));
    let skewed = [("retry-after", at), ("date", "Sun, 06 Nov 1994 08:50:02 GMT")];
    assert_eq!(read(&skewed), millis(5_000, date));
    let past = [("retry-after", at), ("date", "Sun, 06 Nov 1994 09:00:00 GMT")];
    assert_eq!(read(&past), millis(0, date));
    let unreadable = [("retry-after", at), ("date", "yesterday")];
    assert_eq!(read(&unreadable), millis(30_000, date));
    let rfc850 = [("retry-after", "Sunday, 06-Nov-94 08:49:38 GMT")];
    assert_eq!(read(&rfc850), millis(1_000, date));
}

#[test]
fn messages_say_it_in_words() {
    for (message, expected) in [
        ("Please retry after 45 seconds.", Some(45_000)),
        ("Please retry after 1 second. Please go here: https://aka.ms", Some(1_000)),
        ("Rate limit is exceeded. Try again in 50 seconds.", Some(50_000)),
        ("please RETRY AFTER 86400 SECONDS", Some(86_400_000)),
        ("Please retry after 250 milliseconds.", Some(250)),
        ("Please try again in 6ms. Visit", Some(6)),
        ("Please try again in 1.2s.", Some(1_200)),
        ("Please try again in 1m30s.", Some(90_000)),
        ("Retry-After: 30", Some(30_000)),
        ("retry after 30.", Some(30_000)),
        ("retry after a while; retry after 3 minutes", Some(180_000)),
        ("retry after 5 attempts", None),
        ("retry after -5 seconds", None),
        ("retry after .", None),
        ("retry after 99999999999999999999 seconds", None),
        ("within the last 5 minutes, please wait a moment and try again.", None),
        ("", None),
    ] {
        let hint = Hint::from_message(message).map(|hint| hint.after);
        assert_eq!(hint, expected.map(Duration::from_millis), "{message:?}");
    }
}

#[test]
fn a_wait_across_the_end_of_the_search_is_read_whole() {
    for before in text::SEARCHED - 20..text::SEARCHED - 10 {
        let message = format!("{}retry after 86400 seconds", " ".repeat(before));
        let hint = Hint::from_message(&message).map(|hint| hint.after);
        let found = before + "retry after".len() <= text::SEARCHED;
        assert_eq!(hint, found.then_some(Duration::from_secs(86_400)), "{before}");
    }
}

#[test]
fn should_retry_is_true_or_false_or_unsaid() {
    for (value, expected) in [("true", Some(true)), ("False", Some(false)), ("1", None), ("", None)] {
        assert_eq!(should_retry(&headers(&[("x-should-retry", value)])), expected);
    }
    assert_eq!(should_retry(&HeaderMap::new()), None);
}

proptest! {
    #[test]
    fn whole_numbers_are_exact(number in 0..=u32::MAX) {
        let text = number.to_string();
        let number = u64::from(number);
        prop_assert_eq!(
            read(&[("retry-after-ms", &text)]),
            Some((Duration::from_millis(number), HintSource::RetryAfterMs))
        );
        prop_assert_eq!(
            read(&[("retry-after", &text)]),
            Some((Duration::from_secs(number), HintSource::RetryAfterSeconds))
        );
        prop_assert_eq!(
            Hint::from_message(&format!("Please retry after {number} seconds.")).map(|h| h.after),
            Some(Duration::from_secs(number))
        );
    }

    #[test]
    fn thousandths_are_exact(number in 0..100_000_000_u64) {
        let text = format!("{}.{:03}", number / 1_000, number % 1_000);
        prop_assert_eq!(
            read(&[("retry-after-ms", &text)]),
            Some((Duration::from_micros(number), HintSource::RetryAfterMs))
        );
    }

    #[test]
    fn dates_are_exact(ahead in 0..1_000_000_000_u64) {
        let at = httpdate::fmt_http_date(now() + Duration::from_secs(ahead));
        prop_assert_eq!(
            read(&[("retry-after", &at)]),
            Some((Duration::from_secs(ahead), HintSource::RetryAfterDate))
        );
    }

    #[test]
    fn garbage_in_headers_is_no_hint_or_one_that_can_be_added_to_a_clock(
        values in proptest::collection::vec(
            (0..5_usize, proptest::collection::vec(any::<u8>(), 0..40)), 0..8,
        ),
    ) {
        const NAMES: [&str; 5] =
            ["retry-after", "retry-after-ms", "x-ms-retry-after-ms", "date", "x-should-retry"];
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(NAMES[name], value);
            }
        }
        let hint = Hint::from_headers(&headers, now());
        prop_assert!(hint.is_none_or(|hint| hint.after <= duration::LONGEST));
        let _ = should_retry(&headers);
    }

    #[test]
    fn almost_numbers_do_no_harm(text in "[-+]?[0-9]{0,24}[.eE]?[-+]?[0-9]{0,5}[a-z]{0,2}") {
        for name in ["retry-after", "retry-after-ms"] {
            let hint = read(&[(name, &text)]);
            prop_assert!(hint.is_none_or(|(after, _)| after <= duration::LONGEST));
        }
        let _ = Hint::from_message(&format!("retry after {text} seconds"));
        let _ = duration::parse_duration(&text);
    }

    #[test]
    fn any_message_can_be_read(message in ".*", tail in ".*") {
        let _ = Hint::from_message(&message);
        let _ = Hint::from_message(&format!("{message} retry after {tail}"));
    }
}
