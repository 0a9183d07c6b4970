//! JSON as callers write it, well or badly.

use proptest::{collection::vec, prelude::*, sample::select};

/// The members that core reads, and one that it does not.
const KEYS: [&str; 16] = [
    "model",
    "stream",
    "stream_options",
    "n",
    "best_of",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "messages",
    "prompt",
    "input",
    "tools",
    "functions",
    "instructions",
    "include_usage",
    "service_tier",
];

fn blank() -> impl Strategy<Value = &'static str> {
    select(vec!["", "", "", " ", "\n", "\r\n\t ", "    "])
}

fn string() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "a",
        "gpt-4o",
        "\u{e9}",
        "\u{1f600}",
        "{",
        "}",
        "[",
        ":",
        ",",
        "null",
        r"\n",
        r#"\""#,
        r"\\",
        r"\/",
        r"\u0041",
        r"\ud83d\ude00",
    ]);
    vec(piece, 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// A known key, of which one character may be escaped, or any other key.
fn key() -> impl Strategy<Value = String> {
    let known = (select(KEYS.to_vec()), any::<proptest::sample::Index>(), 0..4).prop_map(|(key, index, escaped)| {
        let (before, rest) = key.split_at(index.index(key.len()));
        match rest.as_bytes().first() {
            Some(byte) if escaped == 0 => format!("\"{before}\\u{byte:04x}{}\"", &rest[1..]),
            _ => format!("\"{key}\""),
        }
    });
    prop_oneof![4 => known, 1 => string()]
}

fn leaf() -> impl Strategy<Value = String> {
    prop_oneof![
        string(),
        select(vec!["null", "true", "true", "false", "0", "-1", "1.5", "1e3", "-0", "3.0"]).prop_map(String::from),
        (0..5000_u64).prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        Just("99999999999999999999999".to_owned()),
    ]
}

fn value() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        let list = vec((blank(), inner.clone(), blank()), 0..4).prop_map(|items| {
            let items: Vec<_> = items.into_iter().map(|(a, item, b)| format!("{a}{item}{b}")).collect();
            format!("[{}]", items.join(","))
        });
        prop_oneof![list, object_of(inner)]
    })
}

fn object_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (blank(), key(), blank(), blank(), value, blank())
        .prop_map(|(a, key, b, c, value, d)| format!("{a}{key}{b}:{c}{value}{d}"));
    (vec(member, 0..8), blank()).prop_map(|(members, blank)| {
        if members.is_empty() { format!("{{{blank}}}") } else { format!("{{{}}}", members.join(",")) }
    })
}

/// One object with blanks around it; keys may repeat.
pub(crate) fn object() -> impl Strategy<Value = String> {
    (blank(), object_of(value()), blank()).prop_map(|(a, object, b)| format!("{a}{object}{b}"))
}

/// What a server makes of it.
pub(crate) fn parsed(text: &[u8]) -> serde_json::Value {
    serde_json::from_slice(text).expect("it is JSON")
}
