//! Real token counts, by the vocabulary of the model.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{answer, post};
use tower_aoai_simulator::{BytePairs, Deployment, Simulator, TokenCounter};

#[test]
fn each_model_has_its_vocabulary() {
    let text = "Grüße aus 東京, and a few plain words.";
    let newer = BytePairs.count(text);
    for model in ["gpt-4o", "gpt-4.1-mini", "gpt-5", "o3", "gpt-6-sol", "anything"] {
        assert_eq!(BytePairs.count_for(model, text), newer, "{model}");
    }
    let older = BytePairs.count_for("gpt-4", text);
    assert!(older > newer);
    for model in ["gpt-4-turbo", "gpt-35-turbo", "GPT-3.5-turbo", "text-embedding-3-small"] {
        assert_eq!(BytePairs.count_for(model, text), older, "{model}");
    }
}

/// The example of the OpenAI cookbook, and the counts it gives.
#[tokio::test(start_paused = true)]
async fn usage_is_counted_by_it() {
    let messages = r#"{"messages":[{"role":"system","content":"You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},{"role":"system","name":"example_user","content":"New synergies will help drive top-line growth."},{"role":"system","name":"example_assistant","content":"Things working well together will increase revenue."},{"role":"system","name":"example_user","content":"Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},{"role":"system","name":"example_assistant","content":"Let's talk later when we're less busy about how to do better."},{"role":"user","content":"This late pivot means we don't have time to boil the ocean for the client deliverable."}]}"#;
    let simulator = Simulator::builder()
        .token_counter(BytePairs)
        .deployment(Deployment::unlimited("new").model("gpt-4o"))
        .deployment(Deployment::unlimited("old").model("gpt-4"))
        .build();
    for (name, tokens) in [("new", 124), ("old", 129)] {
        let path = format!("/openai/deployments/{name}/chat/completions?api-version=2024-10-21");
        let (_, body) = answer(&simulator, post(&path, messages)).await;
        assert_eq!(body["usage"]["prompt_tokens"], tokens, "{name}");
    }
}
