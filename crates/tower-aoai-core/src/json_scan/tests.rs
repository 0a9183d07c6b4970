use proptest::{collection::vec, prelude::*};

use super::*;

fn scan(parts: &[&[u8]]) -> (Found, bool) {
    let mut scanner = JsonScanner::new();
    for part in parts {
        scanner.scan(part);
    }
    (scanner.found().clone(), scanner.is_complete())
}

const CHAT: &str = r#"{ "id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-2024-08-06",
 "prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"usage":{"prompt_tokens":666}}}],
 "choices":[{"index":0,"message":{"role":"assistant","content":"say \"usage\": {\"prompt_tokens\": 9} \\"},
 "finish_reason":"stop"}], "us\u0061ge":0, "system_fingerprint":null,"service_tier":"default",
 "a":-1.5e3,"b":true,"c":[],"d":{},"e":"","f":[[{"x":["]"]}],"}"],
 "usage":{"prompt_tokens":12,"completion_tokens":5,"total_tokens":17,"prompt_tokens_details":null}}
"#;

fn chat() -> Found {
    Found {
        usage: Some(Usage::new(12, 5)),
        model: Some("gpt-4o-2024-08-06".into()),
        service_tier: Some("default".into()),
        ..Found::default()
    }
}

#[test]
fn finds_the_outermost_members_only() {
    assert_eq!(scan(&[CHAT.as_bytes()]), (chat(), true));
}

#[test]
fn a_failed_responses_object() {
    let json = br#"{"status":"failed","error":{"code":"rate_limit_exceeded"},"usage":null,"model":"m"}"#;
    let found = Found {
        model: Some("m".into()),
        status: Some("failed".into()),
        error: Some(br#"{"code":"rate_limit_exceeded"}"#.to_vec()),
        ..Found::default()
    };
    assert_eq!(scan(&[json]), (found, true));
}

#[test]
fn an_error_of_null_is_none() {
    let found = scan(&[br#"{"error": null ,"status":"completed"}"#]).0;
    assert_eq!(found.error, None);
    assert_eq!(found.status.as_deref(), Some("completed"));
}

#[test]
fn a_wanted_value_above_the_bound_is_not_taken_and_costs_nothing_else() {
    let json = format!(r#"{{"model":"{}","service_tier":"flex"}}"#, "m".repeat(VALUE_LIMIT));
    let (found, complete) = scan(&[json.as_bytes()]);
    assert_eq!(found.model, None);
    assert_eq!(found.service_tier.as_deref(), Some("flex"));
    assert!(complete);
}

#[test]
fn what_is_no_object_is_no_answer() {
    for text in ["", "  ", "[{\"model\":\"m\"}]", "null", "model", "\"model\"", "{\"model\" \"m\"}", "{1:2}"] {
        assert_eq!(scan(&[text.as_bytes()]), (Found::default(), false), "{text}");
    }
}

#[test]
fn a_text_that_ends_early_is_not_complete() {
    for end in 0..CHAT.trim_end().len() {
        assert!(!scan(&[&CHAT.as_bytes()[..end]]).1, "{end}");
    }
}

proptest! {
    #[test]
    fn any_split_finds_the_same(cuts in vec(0..=CHAT.len(), 0..40)) {
        let mut cuts = cuts;
        cuts.extend([0, CHAT.len()]);
        cuts.sort_unstable();
        let parts: Vec<&[u8]> = cuts.windows(2).map(|cut| &CHAT.as_bytes()[cut[0]..cut[1]]).collect();
        prop_assert_eq!(scan(&parts), (chat(), true));
    }

    #[test]
    fn garbage_never_panics_and_any_split_of_it_is_the_same(
        text in prop_oneof![
            "[\\[\\]{}\",:\\\\ a-e0-9]{0,200}".prop_map(String::into_bytes),
            "\\{(\"(usage|model|error|status)\" ?: ?(\\{\\}|\"[a\\\\\"]*\"|null|[0-9]+|\\[[\\[\\]{}]*) ?,?){0,9}\\}?"
                .prop_map(String::into_bytes),
            vec(any::<u8>(), 0..200),
        ],
    ) {
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        prop_assert_eq!(scan(&bytes), scan(&[&text]));
    }
}
