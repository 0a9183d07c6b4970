//! Statuses and their bodies, all but the throttles.

use super::{bodies::*, *};

const TRANSIENT: Outcome = Outcome::Transient { hint: None };

#[test]
fn every_error_azure_is_known_to_answer() {
    use Outcome::{ContextLength, Misconfigured, Refused};
    for (status, body, expected) in [
        (400, CONTENT_FILTER, Refused),
        (400, CONTENT_FILTER_INNER, Refused),
        (400, CONTENT_FILTER_RESPONSES, Refused),
        (400, CONTEXT_LENGTH, ContextLength),
        (400, CONTEXT_LENGTH_REQUESTED, ContextLength),
        (400, MAX_TOKENS_TOO_LARGE, Refused),
        (400, UNKNOWN_PARAMETER, Refused),
        (400, OPERATION_NOT_SUPPORTED, Refused),
        (400, FLEX_UNSUPPORTED, Refused),
        (400, "", Refused),
        (401, BAD_KEY, Misconfigured),
        (401, EXPIRED_TOKEN, Misconfigured),
        (401, NO_ROLE, Misconfigured),
        (401, NO_ROLE_UNWRAPPED, Misconfigured),
        (401, "", Misconfigured),
        (403, FIREWALL, Misconfigured),
        (403, BLOCKED, Misconfigured),
        (403, "<html>Forbidden</html>", Misconfigured),
        (404, NO_DEPLOYMENT, Misconfigured),
        (404, NO_DEPLOYMENT_V1, Misconfigured),
        (404, NO_ROUTE, Misconfigured),
        (404, "", Misconfigured),
        (408, TIMED_OUT, TRANSIENT),
        (409, r#"{"error":{"code":"Conflict","message":"Locked."}}"#, TRANSIENT),
        (409, "", TRANSIENT),
        (413, "", Refused),
        (415, "", Refused),
        (422, r#"{"detail":[{"msg":"field required"}]}"#, Refused),
        (424, r#"{"error":{"code":"424","message":"Failed Dependency"}}"#, TRANSIENT),
        (431, "", Refused),
        (499, "", Outcome::Cancelled),
        (500, SERVER_ERROR, TRANSIENT),
        (500, r#"{"error":{"code":"InternalServerError","message":"Internal server error"}}"#, TRANSIENT),
        (502, "<html><head><title>502 Bad Gateway</title></head></html>", TRANSIENT),
        (503, r#"{"error":{"code":"ServiceUnavailable","message":"The model is overloaded."}}"#, TRANSIENT),
        (503, "upstream connect error or disconnect/reset before headers. reset reason: connection failure", TRANSIENT),
        (503, "no healthy upstream", TRANSIENT),
        (504, "<html><body><h1>504 Gateway Time-out</h1></body></html>", TRANSIENT),
        (529, "", TRANSIENT),
        (200, "", Outcome::Success),
        (204, "", Outcome::Success),
        (101, "", Outcome::Success),
        (302, "", Misconfigured),
    ] {
        assert_eq!(judge(status, &[], body), expected, "{status} {body}");
    }
}

#[test]
fn the_same_error_in_any_wrapping() {
    for body in [
        r#"{"error":{"code":"context_length_exceeded"}}"#,
        r#"{"code":"context_length_exceeded"}"#,
        r#"{"error":"context_length_exceeded"}"#,
        r#"{"error":{"code":null,"innererror":{"code":"ContextLengthExceeded"}}}"#,
        r#"[{"error":{"code":"context_length_exceeded"}}]"#,
        r#"{"error":{"param":{"a":[1,{}]},"code":"context_length_exceeded","status":null}}"#,
        r#"{"statusCode":400,"message":"This model's maximum context length is 8192 tokens."}"#,
        "\u{feff} {\"error\":{\"message\":\"This model's maximum context length is 8192\"}}",
        "context_length_exceeded",
        // Not JSON, or cut short.
        r#"{"error":{"code":"context_length_exceeded","message":"This mod"#,
        r#"{"error":{"message":"This model's maximum context length is 128000 tok"#,
        r#"{"error":{"message":"bad \escape","code":"context_length_exceeded"}}"#,
    ] {
        assert_eq!(judge(400, &[], body), Outcome::ContextLength, "{body}");
    }
}

#[test]
fn a_404_of_something_the_caller_named_is_the_callers() {
    let missing = r#"{"error":{"message":"Response with id 'resp_1' not found.","type":"invalid_request_error","param":null,"code":null}}"#;
    for (operation, body, expected) in [
        (Operation::Responses, missing, Outcome::Refused),
        (Operation::Other, missing, Outcome::Refused),
        (Operation::Chat, missing, Outcome::Misconfigured),
        (Operation::Responses, NO_DEPLOYMENT_V1, Outcome::Misconfigured),
        (Operation::Other, NO_ROUTE, Outcome::Misconfigured),
        (Operation::Responses, "<html>", Outcome::Misconfigured),
        (Operation::Responses, "", Outcome::Misconfigured),
    ] {
        let verdict = verdict(&call(operation), 404, &[], body.as_bytes());
        assert_eq!(verdict.outcome, expected, "{operation:?} {body}");
    }
}

#[test]
fn a_long_prompt_that_a_provisioned_deployment_refuses_without_a_word() {
    let long = Call { prompt_bytes: 600_000, ..call(Operation::Chat) };
    let provisioned = [("azure-openai-deployment-utilization", "12.0%")];
    let blank = br#"{"error":{"code":"BadRequest","message":"Bad request"}}"#;
    let outcome = |call: &Call, pairs, body| verdict(call, 400, pairs, body).outcome;
    assert_eq!(outcome(&long, &provisioned, blank), Outcome::ContextLength);
    assert_eq!(outcome(&long, &[], blank), Outcome::Refused);
    let short = call(Operation::Chat);
    assert_eq!(outcome(&short, &provisioned, blank), Outcome::Refused);
    assert_eq!(outcome(&long, &provisioned, UNKNOWN_PARAMETER.as_bytes()), Outcome::Refused);
}

#[test]
fn more_words_for_context_length_can_be_given() {
    let azure = AzureClassifier::new().context_length_words(&["zu lang"]);
    let headers = HeaderMap::new();
    let head = ResponseHead { status: StatusCode::BAD_REQUEST, headers: &headers };
    let body = br#"{"error":{"message":"Der Text ist ZU LANG."}}"#;
    let verdict = azure.error_body(&Call::default(), head, body);
    assert_eq!(verdict.outcome, Outcome::ContextLength);
}

#[test]
fn a_transient_error_carries_the_servers_hint() {
    let transient = |hint| Outcome::Transient { hint };
    let text = "Service unavailable, retry-after: 20";
    for (pairs, body, expected) in [
        (&[("retry-after", "7")][..], "", hint(7_000, HintSource::RetryAfterSeconds)),
        (&[], text, hint(20_000, HintSource::Message)),
        (&[("retry-after", "7")], text, hint(7_000, HintSource::RetryAfterSeconds)),
        (&[("retry-after", "86400")], "", hint(86_400_000, HintSource::RetryAfterSeconds)),
        (&[("retry-after", "0")], "", None),
        (&[("retry-after", "0")], text, hint(20_000, HintSource::Message)),
    ] {
        assert_eq!(judge(503, pairs, body), transient(expected), "{pairs:?} {body}");
    }
}

#[test]
fn x_should_retry_is_passed_on_but_never_revives_a_spent_account() {
    let chat = call(Operation::Chat);
    let said =
        |status, value, body: &str| verdict(&chat, status, &[("x-should-retry", value)], body.as_bytes()).should_retry;
    assert_eq!(said(500, "false", ""), Some(false));
    assert_eq!(said(429, "true", ""), Some(true));
    assert_eq!(said(401, "true", ""), Some(true));
    assert_eq!(said(500, "perhaps", ""), None);
    assert_eq!(said(429, "true", NO_CREDIT), None);
    assert_eq!(said(429, "false", NO_CREDIT), Some(false));
}

#[test]
fn a_layer_that_sees_only_heads_judges_alike() {
    let headers = headers(&[("retry-after", "3")]);
    let head = |status| ResponseHead { status: StatusCode::from_u16(status).unwrap(), headers: &headers };
    let judge = |status| judge_head(&AZURE, &Call::default(), head(status)).outcome;
    let wait = hint(3_000, HintSource::RetryAfterSeconds);
    assert_eq!(judge(200), Outcome::Success);
    assert_eq!(judge(429), throttled(Scope::Unknown, wait));
    assert_eq!(judge(503), Outcome::Transient { hint: wait });
    assert_eq!(judge(404), Outcome::Misconfigured);
    assert_eq!(judge(400), Outcome::Refused);
}
