//! The recipes in wide use, each stated with this crate, and held to its waits.

mod support;

use std::time::Duration;

use support::{answer, answer_with, due_in, exact, layer, request, served, text, throttled, with_floor};
use tokio::time::Instant;
use tower::{Service, ServiceExt};
use tower_aoai_core::{BoxError, Error};
use tower_aoai_retry_after::{Backoff, Jitter, RetryOn, RetryPolicy};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn two_429s_then_success_is_three_sends() {
    let layer = layer(RetryPolicy::new());
    let (service, sends) = served(&layer, |n| Ok(answer(if n < 2 { 429 } else { 200 })));
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(sends.count(), 3);
    let counts = layer.handle().snapshot();
    assert_eq!((counts.calls, counts.sends, counts.answered), (1, 3, 1));
}

#[tokio::test(start_paused = true)]
async fn three_sends_at_most_and_the_last_answer_comes_back() {
    let (service, sends) = served(&layer(RetryPolicy::new().max_attempts(3)), |n| Ok(answer([429, 500, 503][n])));
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(sends.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn three_sends_at_most_and_the_last_error_comes_back() {
    let (service, sends) =
        served(&layer(RetryPolicy::new().max_retries(2)), |n| Err(BoxError::from(["first", "second", "third"][n])));
    match service.oneshot(request()).await.unwrap_err() {
        Error::Transport(source) => assert_eq!(source.to_string(), "third"),
        other => panic!("{other:?}"),
    }
    assert_eq!(sends.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn retry_after_5_with_jitter_off_waits_exactly_5_seconds() {
    let start = Instant::now();
    let layer = layer(RetryPolicy::new().no_jitter());
    let (service, sends) = served(&layer, |n| Ok(if n == 0 { throttled("5") } else { answer(200) }));
    service.oneshot(request()).await.unwrap();
    assert_eq!(sends.seconds(), [0.0, 5.0]);
    assert_eq!(Instant::now(), start + 5 * SECOND);
    assert_eq!(layer.handle().snapshot().waited, 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn five_sends_in_all_doubling_from_a_second_with_up_to_a_second_on_top() {
    let backoff = Backoff::exponential(SECOND).cap(60 * SECOND).jitter(Jitter::Additive(SECOND));
    let policy = RetryPolicy::new().max_attempts(5).backoff(backoff);
    let (service, sends) = served(&layer(policy), |_| Ok(answer(429)));
    service.oneshot(request()).await.unwrap();
    let waits = sends.waits();
    assert_eq!(waits.len(), 4);
    for (wait, least) in waits.iter().zip([1.0, 2.0, 4.0, 8.0]) {
        assert!((least..=least + 1.001).contains(wait), "{wait}");
    }
    assert!((16 * SECOND..=17 * SECOND).contains(&backoff.delay(4, 0.7)));
}

#[tokio::test(start_paused = true)]
async fn up_to_a_tenth_on_top_of_everything_and_a_minute_at_most() {
    let backoff = Backoff::exponential(20 * SECOND).cap(60 * SECOND).jitter(Jitter::Proportional(0.1));
    let policy = RetryPolicy::new().max_attempts(7).backoff(backoff).hint_jitter(0.1).hint_cap(60 * SECOND);
    let (service, sends) = served(&layer(policy), |n| {
        Ok(match n {
            0..4 => answer(503),
            4 => throttled("30"),
            _ => throttled("61"),
        })
    });
    service.oneshot(request()).await.unwrap();
    let waits = sends.waits();
    assert_eq!(waits.len(), 5);
    for (wait, least) in waits.iter().zip([20.0, 40.0, 60.0, 60.0, 30.0]) {
        let most = f64::min(least * 1.1, 60.0).max(least) + 0.001;
        assert!((least..=most).contains(wait), "{wait} for {least}");
    }
}

#[tokio::test(start_paused = true)]
async fn three_retries_from_a_second_to_thirty_doubling() {
    let backoff = Backoff::exponential(SECOND).cap(30 * SECOND);
    let policy = RetryPolicy::new().max_retries(3).backoff(backoff).no_jitter();
    let (service, sends) = served(&layer(policy), |_| Ok(answer(500)));
    service.oneshot(request()).await.unwrap();
    assert_eq!(sends.waits(), [1.0, 2.0, 4.0]);
    assert_eq!(backoff.jitter(Jitter::None).delay(9, 0.0), 30 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_rule_of_openai_python() {
    // What it waits for each answer, from and to, in seconds; `None`: it does not try again.
    type Case<'a> = (&'a [(&'static str, &'a str)], Option<(f64, f64)>);
    let cases: [Case<'_>; 8] = [
        (&[], Some((0.375, 0.5))),
        (&[("retry-after", "1"), ("retry-after-ms", "0")], Some((0.375, 1.0))),
        (&[("retry-after", "120")], Some((120.0, 120.0))),
        (&[("retry-after", "121")], None),
        (&[("retry-after-ms", "150"), ("retry-after", "9")], Some((0.15, 0.15))),
        (&[("retry-after", "1.5")], Some((1.5, 1.5))),
        (&[("retry-after", "-5")], Some((0.375, 0.5))),
        (&[("x-should-retry", "false")], None),
    ];
    for (headers, waits) in cases {
        let layer = layer(RetryPolicy::openai_python());
        let (service, sends) = served(&layer, move |_| Ok(answer_with(429, headers)));
        service.oneshot(request()).await.unwrap();
        match waits {
            Some((least, most)) => {
                assert_eq!(sends.count(), 3, "{headers:?}");
                assert!((least..=most + 0.001).contains(&sends.waits()[0]), "{headers:?}");
            }
            None => assert_eq!(sends.count(), 1, "{headers:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn milliseconds_beat_seconds_and_both_beat_backoff() {
    let (service, sends) = served(&layer(exact(60)), |n| {
        Ok(match n {
            0 => answer_with(429, &[("retry-after-ms", "8432"), ("retry-after", "9")]),
            1 => answer_with(503, &[("retry-after", "3")]),
            _ => answer(200),
        })
    });
    service.oneshot(request()).await.unwrap();
    assert_eq!(sends.seconds(), [0.0, 8.432, 11.432]);
}

#[tokio::test(start_paused = true)]
async fn an_http_date_is_waited_for() {
    let (service, sends) = served(&layer(exact(1)), |n| {
        Ok(if n == 0 {
            let (now, then) = ("Fri, 31 Dec 1999 23:59:50 GMT", "Sat, 01 Jan 2000 00:00:07 GMT");
            answer_with(429, &[("date", now), ("retry-after", then)])
        } else {
            answer(200)
        })
    });
    service.oneshot(request()).await.unwrap();
    assert_eq!(sends.seconds(), [0.0, 17.0]);
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_zero_is_backed_off_from_and_needs_a_grant() {
    let (layer, _) = with_floor(exact(2), 1);
    let (service, sends) = served(&layer, |_| Ok(answer_with(429, &[("retry-after-ms", "0")])));
    service.oneshot(request()).await.unwrap();
    assert_eq!(sends.seconds(), [0.0, 2.0]);
    assert_eq!(layer.handle().snapshot().out_of_budget, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_on_comes_back_at_once_and_untouched() {
    let start = Instant::now();
    let policy = || exact(60).elapsed_limit(200 * SECOND);
    let cases = [
        ("hint cap", request(), policy(), "121"),
        ("deadline", due_in(30), policy(), "31"),
        ("expected service", due_in(30), policy().expected_service(10 * SECOND), "21"),
        ("start-by", support::start_within(30), policy(), "31"),
        ("elapsed limit", request(), policy().hint_cap(None), "201"),
        ("attempts", request(), policy().max_attempts(1), "1"),
    ];
    for (why, request, policy, seconds) in cases {
        let layer = layer(policy);
        let (service, sends) =
            served(&layer, move |_| Ok(answer_with(429, &[("retry-after", seconds), ("x-request-id", "7")])));
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 429, "{why}");
        assert_eq!(response.headers().len(), 2, "{why}");
        assert_eq!(response.headers()["retry-after"], seconds, "{why}");
        assert_eq!(text(response).await, "the body", "{why}");
        assert_eq!((sends.count(), layer.handle().snapshot().gave_up()), (1, 1), "{why}");
    }
    assert_eq!(Instant::now(), start);
}

#[tokio::test(start_paused = true)]
async fn without_limits_any_hint_is_waited_out() {
    let policy = exact(1).hint_cap(None).elapsed_limit(None);
    let (service, sends) = served(&layer(policy), |n| Ok(if n == 0 { throttled("80000") } else { answer(200) }));
    service.oneshot(request()).await.unwrap();
    assert_eq!(sends.seconds(), [0.0, 80_000.0]);
}

#[tokio::test(start_paused = true)]
async fn one_request_above_the_whole_quota_is_never_sent_again() {
    let policy = exact(1).hint_cap(None).elapsed_limit(None);
    let (service, sends) = served(&layer(policy), |_| Ok(throttled("86400")));
    service.oneshot(request()).await.unwrap();
    assert_eq!(sends.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn x_should_retry_is_obeyed() {
    for (status, word, sent) in [(429, "false", 1), (503, "false", 1), (400, "true", 2), (400, "x", 1)] {
        let (service, sends) = served(&layer(exact(1)), move |n| {
            Ok(if n == 0 { answer_with(status, &[("x-should-retry", word)]) } else { answer(200) })
        });
        service.oneshot(request()).await.unwrap();
        assert_eq!(sends.count(), sent, "{status} {word}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_429_mode_leaves_everything_else_alone() {
    for (status, sent) in [(429, 4), (408, 1), (409, 1), (500, 1), (503, 1)] {
        let policy = exact(1).retry_on(RetryOn::Throttled);
        let (service, sends) = served(&layer(policy), move |_| Ok(answer(status)));
        assert_eq!(service.oneshot(request()).await.unwrap().status(), status);
        assert_eq!(sends.count(), sent, "{status}");
    }
    let policy = exact(1).retry_on(RetryOn::Throttled);
    let (service, sends) = served(&layer(policy), |_| Err("reset".into()));
    service.oneshot(request()).await.unwrap_err();
    assert_eq!(sends.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_transient_mode_tries_what_may_pass() {
    for status in [408, 409, 424, 429, 500, 502, 503, 504] {
        let (service, sends) = served(&layer(exact(1)), move |_| Ok(answer(status)));
        service.oneshot(request()).await.unwrap();
        assert_eq!(sends.count(), 4, "{status}");
    }
    for status in [200, 400, 401, 403, 404, 422] {
        let (service, sends) = served(&layer(exact(1)), move |_| Ok(answer(status)));
        service.oneshot(request()).await.unwrap();
        assert_eq!(sends.count(), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_predicate_of_ones_own_has_the_last_word_but_for_the_servers_no() {
    type Case<'a> = (u16, &'a [(&'static str, &'a str)], usize);
    let cases: [Case<'_>; 4] = [
        (401, &[], 4),
        (429, &[], 1),
        (429, &[("x-should-retry", "true")], 1),
        (401, &[("x-should-retry", "false")], 1),
    ];
    for (status, headers, sent) in cases {
        let policy = exact(1).retry_if(|verdict| verdict.outcome.name() == "misconfigured");
        let (service, sends) = served(&layer(policy), move |_| Ok(answer_with(status, headers)));
        service.oneshot(request()).await.unwrap();
        assert_eq!(sends.count(), sent, "{status} {headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_may_bring_a_policy_of_its_own() {
    let layer = layer(exact(1));
    let (mut service, sends) = served(&layer, |_| Ok(answer(503)));
    for (own, sent) in [(RetryPolicy::never(), 1), (exact(1).max_attempts(6), 6)] {
        let before = sends.count();
        let mut request = request();
        request.extensions_mut().insert(own);
        service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(sends.count() - before, sent);
    }
    let before = sends.count();
    service.ready().await.unwrap().call(request()).await.unwrap();
    assert_eq!(sends.count() - before, 4);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_waits() {
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let policy = RetryPolicy::new().max_attempts(6);
        let (service, sends) =
            served(&layer(policy).seed(seed), |n| Ok(if n % 2 == 0 { answer(503) } else { throttled("20") }));
        service.oneshot(request()).await.unwrap();
        runs.push(sends.waits());
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}
