use super::*;

fn event<'a>(name: Option<&'a str>, data: &'a str) -> Event<'a> {
    Event { name: name.map(str::as_bytes), data: data.as_bytes(), whole: true }
}

fn eager(data: &str) -> StreamEvent<'_> {
    read(&event(None, data), true)
}

/// The same, read eagerly and lazily.
fn both(data: &str) -> Meaning<'_> {
    let meaning = eager(data).meaning;
    assert_eq!(read(&event(None, data), false).meaning, meaning, "{data}");
    meaning
}

#[test]
fn chat_chunks() {
    let chunk = |choice: &str| format!(r#"{{"id":"c","model":"m","choices":[{choice}],"usage":null}}"#);
    let role = chunk(r#"{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}"#);
    assert_eq!(eager(&role).meaning, Meaning::Preamble);
    for delta in [
        r#"{"content":"Hi"}"#,
        r#"{"role":"assistant","content":"usage error finish_reason"}"#,
        r#"{"content":"\"usage\": {\"error\": \"finish_reason\"}"}"#,
        r#"{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]}"#,
        r#"{"refusal":"No"}"#,
        r#"{"reasoning_content":"Hm"}"#,
    ] {
        let content = chunk(&format!(r#"{{"index":0,"delta":{delta},"finish_reason":null}}"#));
        assert_eq!(both(&content), Meaning::Content, "{content}");
    }
    let finish = chunk(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#);
    assert_eq!(both(&finish), Meaning::Finish { content: false });
}

#[test]
fn completions_chunks() {
    assert_eq!(both(r#"{"choices":[{"text":"Hi","index":0,"finish_reason":null}]}"#), Meaning::Content);
    let last = both(r#"{"choices":[{"text":"!","index":0,"finish_reason" : "length"}]}"#);
    assert_eq!(last, Meaning::Finish { content: true });
}

#[test]
fn the_asynchronous_filters_annotations_are_no_content() {
    let first = r#"{"id":"","object":"","created":0,"model":"","prompt_filter_results":[{"prompt_index":0,
        "content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}}],"choices":[],"usage":null}"#;
    let read = eager(first);
    assert_eq!((read.meaning, read.model), (Meaning::Preamble, None));
    let later = r#"{"id":"","object":"","created":0,"model":"","choices":[{"index":0,"finish_reason":null,
        "content_filter_results":{"hate":{"filtered":false}},"content_filter_offsets":{"check_offset":1}}]}"#;
    assert_eq!(both(later), Meaning::Preamble);
    assert_eq!(eager(r#"{"prompt_annotations":[{"prompt_index":0}]}"#).meaning, Meaning::Preamble);
}

#[test]
fn a_filter_that_did_not_run_is_no_error() {
    let chunk = r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null,"content_filter_results":
        {"error":{"code":"content_filter_error","message":"The contents are not filtered"}}}]}"#;
    assert_eq!(both(chunk), Meaning::Content);
}

#[test]
fn the_extra_usage_event() {
    let data = r#"{"id":"c","choices":[],"model":"m","service_tier":"default",
        "usage":{"prompt_tokens":3,"completion_tokens":2,"prompt_tokens_details":null}}"#;
    assert_eq!(both(data), Meaning::Usage);
    let event = eager(data);
    assert_eq!(event.usage, Some(Usage::new(3, 2)));
    assert_eq!(event.model.as_deref(), Some("m"));
    assert_eq!(event.service_tier.as_deref(), Some("default"));
}

#[test]
fn usage_beside_the_finish_reason() {
    let data = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3}}"#;
    assert_eq!(both(data), Meaning::Finish { content: false });
    assert_eq!(eager(data).usage, Some(Usage::new(3, 0)));
}

#[test]
fn errors_of_every_shape() {
    let cases = [
        (None, r#"{"error":{"message":"m","type":"t","code":"c"}}"#, ["c", "t", "m"]),
        (None, r#"{"error":{"message":"m","type":null,"code":429}}"#, ["429", "", "m"]),
        (None, r#"{"error":"m"}"#, ["", "", "m"]),
        (None, r#"{"type":"error","error":{"type":"t","code":"c","headers":{},"message":"m"}}"#, ["c", "t", "m"]),
        (Some("error"), r#"{"type":"error","code":"c","message":"m","param":null}"#, ["c", "", "m"]),
        (Some("error"), "m", ["", "", "m"]),
        (Some("error"), r#"{"message":"\u006d"}"#, ["", "", "m"]),
        (
            Some("response.failed"),
            r#"{"type":"response.failed","response":{"error":{"code":"c","message":"m"}}}"#,
            ["c", "", "m"],
        ),
    ];
    for (name, data, expected) in cases {
        for eager in [true, false] {
            let Meaning::Error(error) = read(&event(name, data), eager).meaning else { panic!("{data} is no error") };
            let error = error.as_stream_error();
            let found = [error.code, error.kind, error.message].map(Option::unwrap_or_default);
            assert_eq!(found, expected, "{data}");
        }
    }
}

#[test]
fn a_null_or_empty_error_is_none() {
    for error in ["null", "{}", "\"\"", "false"] {
        let data = format!(r#"{{"choices":[{{"delta":{{"content":"x"}}}}],"error":{error}}}"#);
        assert_eq!(both(&data), Meaning::Content, "{error}");
    }
}

#[test]
fn responses_events() {
    let of = |kind: &str, response: &str| format!(r#"{{"type":"response.{kind}","response":{response}}}"#);
    for kind in ["created", "in_progress", "queued"] {
        let data = of(kind, r#"{"status":"in_progress","model":"m","error":null,"usage":null}"#);
        let event = eager(&data);
        assert_eq!((event.meaning, event.model.as_deref()), (Meaning::Preamble, Some("m")));
    }
    let usage = r#"{"service_tier":"flex","usage":{"input_tokens":3,"output_tokens":4}}"#;
    for kind in ["completed", "incomplete"] {
        let data = of(kind, usage);
        assert_eq!(both(&data), Meaning::Done);
        assert_eq!(eager(&data).usage, Some(Usage::new(3, 4)));
        assert_eq!(eager(&data).service_tier.as_deref(), Some("flex"));
    }
    assert_eq!(both(&of("output_text.delta", "null")), Meaning::Content);
    assert_eq!(both(&of("output_item.added", "null")), Meaning::Structure);
    let silent = of("failed", r#"{"error":null}"#);
    assert!(matches!(both(&silent), Meaning::Error(error) if error.is_silent()));
}

#[test]
fn text_that_looks_like_a_type_is_text() {
    for text in ["response.completed", "response.", "error", "type"] {
        let data = format!(r#"{{"choices":[{{"delta":{{"content":"{text}"}},"finish_reason":null}}]}}"#);
        assert_eq!(both(&data), Meaning::Content, "{text}");
    }
}

#[test]
fn what_is_unknown_is_content_and_said_to_be_unknown() {
    for data in ["hello", "{", "[]", "12", r#"{"type":"message_start"}"#, r#"{"choices":7}"#] {
        let event = eager(data);
        assert_eq!((event.meaning, event.known), (Meaning::Content, false), "{data}");
    }
    assert_eq!(eager(r#"{"type":"keepalive"}"#).meaning, Meaning::Preamble);
}

#[test]
fn of_an_event_above_the_bound_its_kind_decides() {
    let cut = |name, data| read(&Event { whole: false, ..event(name, data) }, true).meaning;
    assert_eq!(cut(Some("response.completed"), "{"), Meaning::Done);
    assert_eq!(cut(None, r#"{"type":"response.completed","response":{"#), Meaning::Done);
    assert!(matches!(cut(Some("error"), "{"), Meaning::Error(_)));
    assert_eq!(cut(None, r#"{"choices":[{"delta":"#), Meaning::Content);
}

#[test]
fn done_is_done() {
    assert_eq!(both("[DONE]"), Meaning::Done);
    assert_eq!(both(" [DONE] "), Meaning::Done);
}
