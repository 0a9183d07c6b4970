//! What is cut fits, stays valid, and keeps what must be kept.

mod support;

use proptest::prelude::*;
use serde_json::{Value, json};
use tower_aoai_context_window::{
    BytePairs, ContextWindowLayer, DEFAULT_MARKER, FourBytes, Keep, Model, Models, Policy, TokenCounter, Tokenizer,
    count_prompt, cut_characters, cut_text,
};
use tower_aoai_core::{Operation, Rejected};

use support::{CHAT, assert_valid, blocking, conversation, text, through};

const ROOM: u64 = 40;

fn tiny(window: u64) -> Model {
    Model::new(window)
}

fn layer(window: u64, policy: Policy) -> ContextWindowLayer {
    ContextWindowLayer::new()
        .models(Models::empty().insert("tiny", tiny(window)))
        .policy(policy)
        .inline_up_to(usize::MAX)
}

fn truncate() -> Policy {
    Policy::truncate().output_room(ROOM).margin(0)
}

/// Around the messages, what must not change.
const BEFORE: &str = "{\"temperature\" : 0.5,\n \"messages\":";
const AFTER: &str = ",  \"user\": \"\\u0041da\" }";

fn body(messages: &[Value], is_pretty: bool) -> String {
    let messages = Value::from(messages);
    let messages = if is_pretty { serde_json::to_string_pretty(&messages) } else { serde_json::to_string(&messages) };
    format!("{BEFORE}{}{AFTER}", messages.expect("JSON"))
}

fn count(window: u64, body: &[u8]) -> tower_aoai_context_window::PromptTokens {
    count_prompt(Operation::Chat, body, &tiny(window), &BytePairs).expect("a prompt")
}

fn is_pinned(message: &Value) -> bool {
    message["role"] == "system" || message["role"] == "developer"
}

/// Whether `one` is `other` with its texts cut at their end.
fn is_cut_of(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::String(one), Value::String(other)) => {
            one == other || one.strip_suffix(DEFAULT_MARKER).is_some_and(|beginning| other.starts_with(beginning))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_cut_of(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| is_cut_of(one, other)))
        }
        _ => one == other,
    }
}

/// The least that is left of a conversation: what is pinned, the user's last message and the last round, with texts cut
/// to their markers.
fn least(messages: &[Value]) -> Vec<Value> {
    let user = messages.iter().rposition(|message| message["role"] == "user").expect("a user's message");
    let last =
        messages.iter().rposition(|message| !is_pinned(message) && message["role"] != "tool").expect("a last round");
    let marker = BytePairs.count(Tokenizer::O200kBase, DEFAULT_MARKER);
    let cut = |text: &mut Value| {
        if text.as_str().is_some_and(|text| BytePairs.count(Tokenizer::O200kBase, text) > marker) {
            *text = DEFAULT_MARKER.into();
        }
    };
    let stays =
        messages.iter().enumerate().filter(|(index, message)| is_pinned(message) || *index == user || *index >= last);
    stays
        .map(|(_, message)| {
            let mut message = message.clone();
            if !is_pinned(&message) {
                cut(&mut message["content"]);
                message["content"].as_array_mut().into_iter().flatten().for_each(|part| {
                    if part.get("text").is_some() {
                        cut(&mut part["text"]);
                    }
                });
            }
            message
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_truncated_conversation_fits_is_valid_and_keeps_what_must_be_kept(
        messages in conversation(),
        window in 60_u64..900,
        is_pretty: bool,
    ) {
        assert_valid(&messages);
        let before = body(&messages, is_pretty);
        let layer = layer(window, truncate());
        let room = window - ROOM.min(window / 4);
        let (after, used) = match blocking(through(&layer, CHAT, before.clone())) {
            Ok((after, used)) => (after, used.expect("it was read")),
            Err(error) => {
                let lengths = error.rejected().and_then(Rejected::context_length).expect("refused");
                prop_assert!(lengths.prompt + lengths.output.unwrap_or(0) > lengths.maximum);
                let least = count(window, body(&least(&messages), is_pretty).as_bytes());
                prop_assert!(least.certain > window, "refused although {least:?} would fit {window}");
                return Ok(());
            }
        };
        let counted = count(window, &after);
        prop_assert!(counted.certain <= window, "it fits");
        let least = count(window, body(&least(&messages), is_pretty).as_bytes());
        prop_assert!(counted.text() <= room.max(least.text()), "with room for an answer, if that can be: {counted:?} {least:?} {room} {used:?}");
        prop_assert!(used.is_over || used.counted == Default::default() || used.sent == counted.text(), "and its count is told");

        let whole: Value = serde_json::from_slice(&after).expect("JSON");
        prop_assert!(after.starts_with(BEFORE.as_bytes()) && after.ends_with(AFTER.as_bytes()), "nothing else changed");
        let kept = whole["messages"].as_array().expect("messages");
        assert_valid(kept);
        prop_assert_eq!(messages.len() - kept.len(), used.dropped);

        // What is left are the messages in their order, some with a text cut.
        let mut rest = messages.iter();
        for one in kept {
            prop_assert!(rest.any(|other| one == other || (!is_pinned(other) && is_cut_of(one, other))), "{one}");
        }
        let pinned = |messages: &[Value]| messages.iter().filter(|one| is_pinned(one)).cloned().collect::<Vec<_>>();
        prop_assert_eq!(pinned(kept), pinned(&messages));
        let last_user = |messages: &[Value]| messages.iter().rfind(|one| one["role"] == "user").cloned();
        prop_assert!(is_cut_of(&last_user(kept).expect("kept"), &last_user(&messages).expect("there")));
        prop_assert!(is_cut_of(kept.last().expect("kept"), messages.last().expect("there")));
        prop_assert_eq!(after == before, !used.is_truncated());

        let (again, used_again) = blocking(through(&layer, CHAT, after.clone())).expect("it fits");
        prop_assert_eq!(again, after, "what was cut once is not cut again");
        prop_assert!(!used_again.expect("read").is_truncated());
    }

    #[test]
    fn no_prompt_has_more_tokens_than_its_body_has_bytes(messages in conversation()) {
        let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"type": "", "enum": ["", ""]}}}}}]);
        let body = json!({"messages": messages, "tools": tools}).to_string();
        prop_assert!(count(1_000, body.as_bytes()).text() <= body.len() as u64);
    }

    #[test]
    fn a_cut_text_fits_and_is_its_beginning_or_its_end(text in text(0..120), tokens in 0_u64..80, marker in "\\PC{0,6}") {
        for tokenizer in [Tokenizer::O200kBase, Tokenizer::Cl100kBase] {
            for counter in [&BytePairs as &dyn TokenCounter, &FourBytes] {
                let whole = counter.count(tokenizer, &text);
                for keep in [Keep::Beginning, Keep::End] {
                    let Some(cut) = cut_text(counter, tokenizer, &text, tokens, &marker, keep) else {
                        prop_assert!(counter.count(tokenizer, &marker) > tokens);
                        continue;
                    };
                    prop_assert!(counter.count(tokenizer, &cut) <= tokens);
                    if whole <= tokens {
                        prop_assert_eq!(cut, text.clone());
                        continue;
                    }
                    let part = match keep {
                        Keep::Beginning => cut.strip_suffix(&marker).map(|part| text.starts_with(part)),
                        Keep::End => cut.strip_prefix(&marker).map(|part| text.ends_with(part)),
                    };
                    prop_assert_eq!(part, Some(true));
                }
            }
        }
    }

    #[test]
    fn four_characters_a_token(text: String, tokens in 0_usize..20) {
        let cut = cut_characters(&text, tokens);
        prop_assert!(text.starts_with(cut));
        prop_assert_eq!(cut.chars().count(), text.chars().count().min(tokens * 4));
    }

    #[test]
    fn any_body_comes_through_or_is_refused(
        body in prop_oneof![
            any::<Vec<u8>>(),
            "\\PC{0,60}".prop_map(String::into_bytes),
            "[{}\\[\\]\",:0-9a-z]{0,60}".prop_map(String::into_bytes),
        ],
        window in 0_u64..20,
        operation in prop_oneof![Just("chat/completions"), Just("completions"), Just("embeddings")],
    ) {
        let path = format!("/openai/deployments/tiny/{operation}?api-version=2024-10-21");
        for policy in [Policy::reject(), Policy::truncate().clamp_output(), Policy::let_through()] {
            if let Err(error) = blocking(through(&layer(window, policy), &path, body.clone())) {
                prop_assert!(error.rejected().and_then(Rejected::context_length).is_some());
            }
        }
    }
}

#[test]
fn a_growing_chat_loses_its_oldest_turns() {
    let message = |role: &str, text: &str| json!({"role": role, "content": text});
    let old = "an old word ".repeat(30);
    let messages = [
        message("system", "Be brief."),
        message("user", &old),
        message("assistant", "Yes."),
        message("user", "And now?"),
    ];
    let (after, used) = blocking(through(&layer(120, truncate()), CHAT, body(&messages, false))).expect("it fits");
    let used = used.expect("read");
    assert_eq!((used.dropped, used.cut, used.is_truncated()), (2, 0, true));
    assert_eq!(after, body(&[messages[0].clone(), messages[3].clone()], false));
    assert!(used.prompt > 90 && used.sent < 30);
}

#[test]
fn a_single_text_is_cut_where_policy_says() {
    let words = (0..400).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
    let completions = "/openai/deployments/tiny/completions?api-version=2024-10-21";
    let body = json!({"prompt": words, "max_tokens": 20}).to_string();
    let prompt = |policy: Policy| {
        let (after, used) =
            blocking(through(&layer(100, policy.margin(0)), completions, body.clone())).expect("it fits");
        let after: Value = serde_json::from_slice(&after).expect("JSON");
        (after["prompt"].as_str().expect("a text").to_owned(), used.expect("read"))
    };
    let (beginning, used) = prompt(Policy::truncate());
    assert!(beginning.starts_with("0 1 2 3 4 5 ") && beginning.ends_with(DEFAULT_MARKER));
    assert_eq!((used.cut, used.dropped), (1, 0));
    assert!((75..=80).contains(&used.sent), "{}", used.sent);
    let (end, _) = prompt(Policy::truncate().keep(Keep::End).marker("…"));
    assert!(end.starts_with('…') && end.ends_with(" 398 399"));
    let refused = blocking(through(&layer(100, Policy::truncate().whole_messages()), completions, body.clone()));
    assert!(refused.is_err(), "there is nothing but that text");
}

#[test]
fn each_text_of_an_embedding_is_cut_alone() {
    let embeddings = "/openai/deployments/tiny/embeddings?api-version=2024-10-21";
    let long = "word ".repeat(200);
    let body = json!({"input": ["short", long, "another"]}).to_string();
    let (after, used) = blocking(through(&layer(50, Policy::truncate().margin(0)), embeddings, body)).expect("it fits");
    let after: Value = serde_json::from_slice(&after).expect("JSON");
    assert_eq!((&after["input"][0], &after["input"][2]), (&json!("short"), &json!("another")));
    let cut = after["input"][1].as_str().expect("a text");
    assert!(cut.starts_with("word word ") && cut.ends_with(DEFAULT_MARKER));
    assert!(BytePairs.count(Tokenizer::O200kBase, cut) <= 50);
    assert_eq!(used.expect("read").cut, 1);
    let tokens = json!({"input": vec![7; 60]}).to_string();
    let error = blocking(through(&layer(50, Policy::truncate().margin(0)), embeddings, tokens))
        .expect_err("whoever made them cuts them");
    assert_eq!(error.rejected().and_then(Rejected::context_length).map(|lengths| lengths.prompt), Some(60));
}

#[test]
fn responses_lose_calls_with_their_results_and_reasoning() {
    let path = "/openai/v1/responses";
    let long = "word ".repeat(60);
    let items = json!([
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": long},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": long},
        {"type": "function_call_output", "call_id": "b", "output": "2"},
        {"role": "user", "content": "And now?"},
        {"type": "reasoning", "id": "rs_2", "summary": []},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "3"},
    ]);
    let body = json!({"model": "tiny", "input": items}).to_string();
    let (after, used) = blocking(through(&layer(200, truncate()), path, body.clone())).expect("it fits");
    let after: Value = serde_json::from_slice(&after).expect("JSON");
    let items = items.as_array().expect("items");
    let expected: Vec<_> = std::iter::once(&items[0]).chain(&items[7..]).cloned().collect();
    assert_eq!(after["input"], Value::from(expected));
    assert_eq!(used.expect("read").dropped, 6);

    let by_server = body.replacen('{', r#"{"truncation":"auto","#, 1);
    let (after, used) = blocking(through(&layer(200, truncate()), path, by_server.clone())).expect("let through");
    assert_eq!(after, by_server, "the server was asked to cut it");
    assert!(used.expect("read").is_over);
}

#[test]
fn the_output_is_lowered_to_what_is_left() {
    let body = |output: u64| {
        format!(
            r#"{{"max_completion_tokens": {output},"messages":[{{"role":"user","content":"{}"}}]}}"#,
            "word ".repeat(50)
        )
    };
    let prompt = count(1, body(1).as_bytes()).certain;
    let models = |reasons| {
        let mut model = tiny(1_000);
        (model.output, model.reasons) = (800, reasons);
        Models::empty().insert("tiny", model)
    };
    let clamped = |asked, reasons, policy: Policy| {
        let layer = ContextWindowLayer::new().models(models(reasons)).policy(policy.clamp_output());
        blocking(through(&layer, CHAT, body(asked))).map(|(after, used)| {
            let value: Value = serde_json::from_slice(&after).expect("JSON");
            let output = value["max_completion_tokens"].as_u64().expect("a number");
            assert_eq!(after, body(output), "nothing else changed");
            assert_eq!(used.expect("read").clamped, (output != asked).then_some((asked, output)));
            output
        })
    };
    let reject = Policy::reject();
    assert_eq!(clamped(100, false, reject.clone()).ok(), Some(100));
    assert_eq!(clamped(5_000, false, reject.clone()).ok(), Some(800), "what the model can give");
    let left = |window: u64| window - prompt;
    let tight = |asked: u64, least: u64| {
        let models = Models::empty().insert("tiny", tiny(200));
        let layer =
            ContextWindowLayer::new().models(models).policy(Policy::reject().clamp_output().least_output(least));
        blocking(through(&layer, CHAT, body(asked))).map(|(_, used)| used.expect("read").clamped)
    };
    assert_eq!(tight(190, 10).ok(), Some(Some((190, left(200)))));
    let lengths = tight(190, 180)
        .expect_err("too little is left")
        .rejected()
        .and_then(Rejected::context_length)
        .expect("numbers");
    assert_eq!((lengths.maximum, lengths.prompt, lengths.output), (200, prompt, Some(180)));
    assert!(clamped(900, true, reject).is_ok_and(|output| output == 800));
}

#[test]
fn the_output_is_lowered_before_the_prompt_is_cut_and_a_cut_leaves_it_room() {
    let turn = |text: &str| [json!({"role": "user", "content": text}), json!({"role": "assistant", "content": "Yes."})];
    let words = "word ".repeat(30);
    let used = |turns: usize| {
        let mut messages: Vec<_> = (0..turns).flat_map(|_| turn(&words)).collect();
        messages.push(json!({"role": "user", "content": "And now?"}));
        let body = json!({"max_tokens": 150, "messages": messages}).to_string();
        let policy = Policy::truncate().clamp_output().least_output(20).output_room(100).margin(0);
        let layer = layer(400, policy);
        blocking(through(&layer, CHAT, body)).expect("it fits").1.expect("read")
    };
    let turn = used(6).sent - used(5).sent;
    let full = (1..).find(|turns| used(*turns).is_truncated()).expect("at some time");
    let before = used(full - 1);
    let clamped = before.clamped.expect("lowered").1;
    assert!((20..20 + turn).contains(&clamped) && before.sent + clamped == 400, "{before:?}");
    let after = used(full);
    assert!(after.sent <= 300 && after.clamped.is_none_or(|(_, output)| output >= 100), "{after:?}");
}

#[test]
fn an_id_that_is_used_anew_in_each_turn_binds_no_turns_together() {
    let call = json!({"id": "call_0", "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let turn = |number: usize| {
        [
            json!({"role": "user", "content": format!("Look for the {number}th time.")}),
            json!({"role": "assistant", "content": null, "tool_calls": [call]}),
            json!({"role": "tool", "tool_call_id": "call_0", "content": "nothing to be seen ".repeat(10)}),
            json!({"role": "assistant", "content": "There is nothing."}),
        ]
    };
    let mut messages: Vec<Value> = (0..6).flat_map(turn).collect();
    messages.extend(turn(6).into_iter().take(3));
    let whole = body(&messages, false);
    let window = count(u64::MAX, whole.as_bytes()).text() / 2;
    let (after, used) = blocking(through(&layer(window, truncate()), CHAT, whole)).expect("it can be made to fit");
    let used = used.expect("it was read");
    assert!(used.dropped >= 12 && used.dropped % 4 == 0 && used.cut == 0, "{used:?}");
    let after: Value = serde_json::from_slice(&after).expect("JSON");
    assert_valid(after["messages"].as_array().expect("messages"));
}

#[test]
fn nor_does_the_id_of_a_responses_call() {
    let turn = |number: usize| {
        [
            json!({"role": "user", "content": format!("Look for the {number}th time.")}),
            json!({"type": "function_call", "call_id": "call_0", "name": "look", "arguments": "{}"}),
            json!({"type": "function_call_output", "call_id": "call_0", "output": "nothing to be seen ".repeat(10)}),
        ]
    };
    let items: Vec<Value> = (0..7).flat_map(turn).collect();
    let path = "/openai/v1/responses";
    let body = json!({"model": "tiny", "input": items}).to_string();
    let (after, used) = blocking(through(&layer(300, truncate()), path, body)).expect("it can be made to fit");
    let used = used.expect("it was read");
    assert!(used.dropped >= 9 && used.dropped % 3 == 0 && used.cut == 0, "{used:?}");
    let after: Value = serde_json::from_slice(&after).expect("JSON");
    assert_eq!(after["input"].as_array().map(Vec::len), Some(21 - used.dropped));
}
