//! Errors inside a stream whose head was a 200.

use super::*;

fn stream_error(pairs: Pairs<'_>, error: StreamError<'_>, after_content: bool) -> Outcome {
    let headers = headers(pairs);
    let head = ResponseHead { status: StatusCode::OK, headers: &headers };
    AZURE.stream_error(&call(Operation::Responses), head, error, after_content).outcome
}

fn error<'a>(code: &'a str, kind: &'a str, message: &'a str) -> StreamError<'a> {
    let said = |text: &'a str| (!text.is_empty()).then_some(text);
    StreamError { code: said(code), kind: said(kind), message: said(message) }
}

#[test]
fn a_200_that_is_a_429() {
    let captured = error(
        "rate_limit_exceeded",
        "too_many_requests",
        "Your requests to gpt-5.6-sol for gpt-5.6-sol in swedencentral have exceeded rate limit.",
    );
    let wait = hint(4_000, HintSource::RetryAfterSeconds);
    let head = [("retry-after", "4")];
    assert_eq!(stream_error(&head, captured, false), throttled(Scope::Unknown, wait));
    assert_eq!(stream_error(&head, captured, true), Outcome::Broken);
    assert_eq!(stream_error(&[], captured, false), throttled(Scope::Unknown, None));
    // As response.failed tells it.
    let failed = error("rate_limit_exceeded", "", "");
    assert_eq!(stream_error(&head, failed, false), throttled(Scope::Unknown, wait));
}

#[test]
fn every_error_a_stream_is_known_to_carry() {
    let transient = Outcome::Transient { hint: None };
    let missing = "Could not find an existing deployment to match the model in the request.";
    for (given, expected) in [
        (error("too_many_requests", "", "Too Many Requests"), throttled(Scope::Unknown, None)),
        (error("429", "", ""), throttled(Scope::Unknown, None)),
        (error("no_capacity", "too_many_requests", ""), throttled(Scope::Capacity, None)),
        (error("", "too_many_requests", ""), throttled(Scope::Unknown, None)),
        (
            error("429", "", "have exceeded token rate limit. Please retry after 20 seconds."),
            throttled(Scope::Tokens, hint(20_000, HintSource::Message)),
        ),
        (error("429", "", "Please retry after 86400 seconds."), Outcome::TooLarge),
        (error("insufficient_quota", "", ""), Outcome::Misconfigured),
        (error("", "invalid_request_error", missing), Outcome::Misconfigured),
        (error("DeploymentNotFound", "", ""), Outcome::Misconfigured),
        (error("401", "", ""), Outcome::Misconfigured),
        (error("context_length_exceeded", "invalid_request_error", ""), Outcome::ContextLength),
        (error("content_filter", "", ""), Outcome::Refused),
        (error("", "invalid_request_error", "Bad tool."), Outcome::Refused),
        (error("server_error", "server_error", "Sorry about that!"), transient),
        (error("", "server_error", ""), transient),
        (error("500", "", ""), transient),
        (error("something_new", "", ""), transient),
        (error("", "", ""), transient),
    ] {
        assert_eq!(stream_error(&[], given, false), expected, "{given:?}");
        let after = if given.code == Some("content_filter") { Outcome::Refused } else { Outcome::Broken };
        assert_eq!(stream_error(&[], given, true), after, "{given:?}");
    }
}

#[test]
fn nothing_is_said_of_retrying_once_content_was_handed_on() {
    let headers = headers(&[("x-should-retry", "true")]);
    let head = ResponseHead { status: StatusCode::OK, headers: &headers };
    let said = |after_content| {
        let given = error("429", "", "");
        let verdict = AZURE.stream_error(&Call::default(), head, given, after_content);
        verdict.should_retry
    };
    assert_eq!(said(false), Some(true));
    assert_eq!(said(true), None);
}
