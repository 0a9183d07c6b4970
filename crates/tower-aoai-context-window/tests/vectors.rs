//! The counts that OpenAI publishes.

use tower_aoai_context_window::{BytePairs, Models, PromptTokens, count_prompt};
use tower_aoai_core::Operation;

/// What the OpenAI cookbook counts.
const MESSAGES: &str = r#"{"messages":[{"role":"system","content":"You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},{"role":"system","name":"example_user","content":"New synergies will help drive top-line growth."},{"role":"system","name":"example_assistant","content":"Things working well together will increase revenue."},{"role":"system","name":"example_user","content":"Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},{"role":"system","name":"example_assistant","content":"Let's talk later when we're less busy about how to do better."},{"role":"user","content":"This late pivot means we don't have time to boil the ocean for the client deliverable."}]}"#;

const TOOLS: &str = r#"{"messages":[{"role":"system","content":"You are a helpful assistant that can answer to questions about the weather."},{"role":"user","content":"What's the weather like in San Francisco?"}],"tools":[{"type":"function","function":{"name":"get_current_weather","description":"Get the current weather in a given location","parameters":{"type":"object","properties":{"location":{"type":"string","description":"The city and state, e.g. San Francisco, CA"},"unit":{"type":"string","description":"The unit of temperature to return","enum":["celsius","fahrenheit"]}},"required":["location"]}}}]}"#;

fn count(operation: Operation, model: &str, body: &str) -> PromptTokens {
    let models = Models::built_in();
    let model = models.get(model).expect("a known model");
    count_prompt(operation, body.as_bytes(), model, &BytePairs).expect("a prompt")
}

#[test]
fn the_cookbooks_messages_have_129_and_124_tokens() {
    for (model, tokens) in [("gpt-4", 129), ("gpt-35-turbo", 129), ("gpt-4o", 124), ("gpt-4o-mini", 124)] {
        let counted = count(Operation::Chat, model, MESSAGES);
        assert_eq!((counted.certain, counted.guessed, counted.images), (tokens, 0, 0), "{model}");
    }
}

#[test]
fn the_cookbooks_tools_have_101_and_105_tokens() {
    for (model, tokens) in [("gpt-4o", 101), ("gpt-4o-mini", 101), ("gpt-4", 105), ("gpt-35-turbo", 105)] {
        assert_eq!(count(Operation::Chat, model, TOOLS).certain, tokens, "{model}");
    }
    let (messages, _) = TOOLS.split_once(r#","tools""#).expect("tools");
    let messages = format!("{messages}}}");
    let reasons = count(Operation::Chat, "o4-mini", TOOLS);
    assert_eq!(reasons.certain, count(Operation::Chat, "o4-mini", &messages).certain, "documented for other models");
    assert!(reasons.guessed > 50);
    let as_functions = TOOLS.replace(r#"{"type":"function","function":{"#, "{").replace("}}}]}", "}}]}");
    let as_functions = as_functions.replace(r#""tools""#, r#""functions""#);
    assert_eq!(count(Operation::Chat, "gpt-4o", &as_functions).certain, 101, "the older form");
}

#[test]
fn the_texts_of_embeddings_stand_apart_and_tokens_are_counted() {
    let count = |body: &str| count(Operation::Embeddings, "text-embedding-3-small", body).certain;
    assert_eq!(count(r#"{"input":"Hello, world!"}"#), 4);
    assert_eq!(count(r#"{"input":["Hello, world!","Hello"]}"#), 4);
    assert_eq!(count(r#"{"input":[1,2,3,4,5]}"#), 5);
    assert_eq!(count(r#"{"input":[[1,2,3],[4]]}"#), 3);
    assert_eq!(count(r#"{"input":[]}"#), 0);
}

#[test]
fn the_input_of_responses_is_its_texts() {
    let count = |body: &str| count(Operation::Responses, "gpt-5", body);
    assert_eq!(count(r#"{"input":"Hello, world!"}"#).certain, 4);
    let items = r#"{"instructions":"Hello","input":[{"role":"user","content":"Hello, world!"},{"type":"function_call","call_id":"1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"1","output":"Hello"}]}"#;
    let counted = count(items);
    assert_eq!(counted.certain, 1 + 4 + 1 + 1);
    assert!(counted.guessed > 3 + 4 * 4, "frames, and the call");
}

#[test]
fn escapes_count_as_what_they_mean() {
    let plain = count(Operation::Chat, "gpt-4o", r#"{"messages":[{"role":"user","content":"é\n"}]}"#);
    let escaped = count(Operation::Chat, "gpt-4o", r#"{"messages":[{"role":"us\u0065r","content":"\u00e9\u000a"}]}"#);
    assert_eq!(plain, escaped);
}

#[test]
fn images_are_estimated_apart() {
    let image = |detail: &str| {
        format!(
            r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":"What is it?"}},{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{}","detail":"{detail}"}}}}]}}]}}"#,
            "A".repeat(10_000)
        )
    };
    let text = count(Operation::Chat, "gpt-4o", r#"{"messages":[{"role":"user","content":"What is it?"}]}"#);
    for (model, detail, tokens) in
        [("gpt-4o", "low", 85), ("gpt-4o", "high", 765), ("gpt-4o-mini", "auto", 25_501), ("o4-mini", "high", 1_761)]
    {
        let counted = count(Operation::Chat, model, &image(detail));
        assert_eq!(
            counted,
            {
                let mut expected = text;
                expected.images = tokens;
                expected
            },
            "{model} {detail}"
        );
    }
}

#[test]
fn what_nobody_has_published_a_tokenizer_for_is_guessed() {
    let counted = count(Operation::Chat, "gpt-6-sol", MESSAGES);
    assert_eq!((counted.certain, counted.guessed), (0, 124));
}

#[test]
fn what_is_no_prompt_is_not_counted() {
    let models = Models::built_in();
    let model = models.get("gpt-4o").expect("a known model");
    for (operation, body) in [
        (Operation::Chat, ""),
        (Operation::Chat, "{}"),
        (Operation::Chat, "[]"),
        (Operation::Chat, r#"{"messages":{}}"#),
        (Operation::Chat, r#"{"messages":[1]}"#),
        (Operation::Chat, r#"{"messages":[{"content":"x"}]}"#),
        (Operation::Chat, r#"{"messages":[{"role":1}]}"#),
        (Operation::Chat, r#"{"messages":[{"role":"user","content":5}]}"#),
        (Operation::Chat, r#"{"messages":[{"role":"user","content":"\ud800"}]}"#),
        (Operation::Chat, r#"{"messages":[{"role":"user","role":"user"}]}"#),
        (Operation::Embeddings, r#"{"input":[["x"]]}"#),
        (Operation::Embeddings, r#"{"input":{}}"#),
        (Operation::Completions, r#"{"prompt":[1,"x"]}"#),
        (Operation::Responses, r#"{"input":[3]}"#),
        (Operation::Other, r#"{"messages":[]}"#),
    ] {
        assert_eq!(count_prompt(operation, body.as_bytes(), model, &BytePairs), None, "{body}");
    }
}
