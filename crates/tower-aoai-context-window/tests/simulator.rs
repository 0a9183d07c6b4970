//! Against a server that counts for itself.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt};
use tower_aoai_context_window::{BytePairs, ContextUse, ContextWindowLayer, FourBytes, Models, Policy, TokenCounter};
use tower_aoai_core::{Error, PrepareLayer, RejectedResponseLayer};
use tower_aoai_simulator::{BytePairs as ServersOwn, Deployment, Simulator};

const WINDOW: u64 = 6_000;

fn simulator() -> Simulator {
    let deployment = |name| Deployment::unlimited(name).model("gpt-4o").context_window(WINDOW);
    let old = Deployment::unlimited("old").model("gpt-4").context_window(WINDOW);
    Simulator::builder().token_counter(ServersOwn).deployment(deployment("chat")).deployment(old).build()
}

fn models() -> Models {
    let table = format!(
        "[[model]]\nname = 'chat'\nlike = 'gpt-4o'\nwindow = {WINDOW}\noutput = 4096\n[[model]]\nname = 'old'\nlike = 'gpt-4'\nwindow = {WINDOW}"
    );
    Models::built_in().with_toml(&table).expect("a table")
}

struct Answer {
    status: StatusCode,
    body: Value,
    used: Option<ContextUse>,
}

async fn call(layer: &ContextWindowLayer, simulator: &Simulator, path: &str, body: &Value) -> Result<Answer, Error> {
    let service = ServiceBuilder::new().layer(PrepareLayer::new()).layer(layer.clone()).service(simulator.clone());
    let request = Request::post(path).body(Full::<Bytes>::from(body.to_string())).expect("a valid request");
    let response = service.oneshot(request).await?;
    let (status, used) = (response.status(), response.extensions().get().copied());
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    Ok(Answer { status, body: serde_json::from_slice(&body).expect("JSON"), used })
}

fn words(count: usize, seed: usize) -> String {
    let words = ["the", "quota", "несколько", "配额", "tokens()", "1234567", "don't", "\n\n", "unfathomable", "👩‍👧"];
    (0..count).map(|index| words[(index * 7 + seed * 3) % words.len()]).collect::<Vec<_>>().join(" ")
}

/// A turn of a chat that calls tools now and then.
fn turn(messages: &mut Vec<Value>, number: usize) {
    messages.push(json!({"role": "user", "name": "ada", "content": words(20 + number % 90, number)}));
    if number % 5 == 3 {
        let ids = [format!("call_{number}_a"), format!("call_{number}_b")];
        let calls = ids.iter().map(|id| json!({"id": id, "type": "function", "function": {"name": "look_up", "arguments": "{\"word\":\"quota\"}"}}));
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": calls.collect::<Vec<_>>()}));
        messages.extend(
            ids.iter().map(|id| json!({"role": "tool", "tool_call_id": id, "content": words(number % 150, number)})),
        );
    }
}

async fn grow(path: &str, limit: &str, output: Option<u64>) {
    let (simulator, layer) = (simulator(), ContextWindowLayer::new().models(models()).policy(Policy::truncate()));
    let handle = layer.handle();
    let tools = json!([{"type": "function", "function": {"name": "look_up", "description": "Looks a word up.", "parameters": {
        "type": "object", "properties": {"word": {"type": "string", "description": "The word."}}, "required": ["word"]}}}]);
    let mut messages = vec![json!({"role": "system", "content": words(60, 0)})];
    for number in 0..200 {
        turn(&mut messages, number);
        let mut body = json!({"messages": messages, "tools": tools});
        if let Some(output) = output {
            body[limit] = output.into();
        }
        let answer = call(&layer, &simulator, path, &body).await.expect("not refused here");
        assert_eq!(answer.status, 200, "turn {number}: {}", answer.body);
        let servers = answer.body["usage"]["prompt_tokens"].as_u64().expect("a count");
        let used = answer.used.expect("it was read");
        assert!(servers <= used.sent, "turn {number}: the server counts {servers}, here {}", used.sent);
        messages.push(json!({"role": "assistant", "content": words(15, number)}));
    }
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.calls, snapshot.refused, snapshot.over), (200, 0, 0));
    assert!(snapshot.truncated_share() > 0.5 && snapshot.dropped_messages > 200, "{snapshot:?}");
    assert!(snapshot.peak_per_mille > 1_000, "it would not have fitted");
    assert!(simulator.journal().iter().all(|served| served.status == Some(StatusCode::OK)));
}

#[tokio::test(start_paused = true)]
async fn a_conversation_of_200_turns_never_exceeds_the_context() {
    grow("/openai/deployments/chat/chat/completions?api-version=2024-10-21", "max_tokens", Some(1_000)).await;
}

#[tokio::test(start_paused = true)]
async fn nor_does_it_for_an_older_tokenizer_that_is_not_told_how_much_output_is_wanted() {
    grow("/openai/deployments/old/chat/completions?api-version=2024-10-21", "max_tokens", None).await;
}

#[tokio::test(start_paused = true)]
async fn bare_it_does() {
    let (simulator, layer) = (simulator(), ContextWindowLayer::off());
    let path = "/openai/deployments/chat/chat/completions?api-version=2024-10-21";
    let long = json!({"messages": [{"role": "user", "content": words(5_000, 0)}]});
    let answer = call(&layer, &simulator, path, &long).await.expect("let through");
    assert_eq!(
        (answer.status, &answer.body["error"]["code"]),
        (StatusCode::BAD_REQUEST, &json!("context_length_exceeded"))
    );
    assert_eq!((answer.used, layer.handle().snapshot().calls), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_what_the_server_would_have_said_with_nothing_sent() {
    let path = "/openai/deployments/chat/chat/completions?api-version=2024-10-21";
    let simulator = simulator();
    for (words_of, output) in [(5_000, None), (5_000, Some(100)), (1_200, Some(4_000))] {
        let mut body = json!({"messages": [{"role": "user", "content": words(words_of, 0)}]});
        if let Some(output) = output {
            body["max_tokens"] = output.into();
        }
        let bare = call(&ContextWindowLayer::off(), &simulator, path, &body).await.expect("let through");
        let sent = simulator.journal().len();
        let layer = ContextWindowLayer::new().models(models());
        let stack = ServiceBuilder::new()
            .layer(RejectedResponseLayer::new())
            .layer(PrepareLayer::new())
            .layer(layer.clone())
            .service(simulator.clone());
        let request = Request::post(path).body(Full::<Bytes>::from(body.to_string())).expect("a valid request");
        let response = stack.oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), 400);
        let own = response.into_body().collect().await.expect("a body").to_bytes();
        let own: Value = serde_json::from_slice(&own).expect("JSON");
        assert_eq!(simulator.journal().len(), sent, "nothing was sent");
        assert_eq!(layer.handle().snapshot().refused, 1);
        for key in ["type", "param", "code"] {
            assert_eq!(own["error"][key], bare.body["error"][key], "{key}");
        }
        let (own, servers) = (
            own["error"]["message"].as_str().expect("a text"),
            bare.body["error"]["message"].as_str().expect("a text"),
        );
        if servers.contains("you requested") {
            assert_eq!(own, servers);
        } else {
            // A prompt that is too long is not counted to its end.
            let opening = "This model's maximum context length is 6000 tokens. However, your messages resulted in ";
            assert!(servers.starts_with(opening));
            assert_eq!(own, format!("{opening}6001 tokens or more. Please reduce the length of the messages."));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_estimate_refuses_nothing_and_cuts_where_it_is_told_to() {
    let path = "/openai/deployments/chat/chat/completions?api-version=2024-10-21";
    let simulator = simulator();
    let long =
        json!({"messages": [{"role": "user", "content": "word ".repeat(7_000)}, {"role": "user", "content": "Well?"}]});
    let estimator: Arc<dyn TokenCounter> = Arc::new(FourBytes);
    let layer = ContextWindowLayer::new().models(models()).counter(estimator);
    let answer = call(&layer, &simulator, path, &long).await.expect("not refused on a guess");
    assert_eq!(answer.status, 400, "the server does it");
    assert!(answer.used.expect("read").is_over);
    let answer = call(&layer.clone().policy(Policy::truncate()), &simulator, path, &long).await.expect("cut");
    assert_eq!((answer.status, answer.used.expect("read").dropped), (StatusCode::OK, 1));
    assert_eq!(layer.handle().snapshot().over, 1);
}

#[tokio::test(start_paused = true)]
async fn what_counts_here_counts_there() {
    let simulator = simulator();
    let path = "/openai/deployments/chat/chat/completions?api-version=2024-10-21";
    let layer = ContextWindowLayer::new().models(models()).policy(Policy::let_through());
    for number in 0..20 {
        let messages = [
            json!({"role": "system", "content": words(400, number)}),
            json!({"role": "user", "content": words(900 + number, 7)}),
        ];
        let answer = call(&layer, &simulator, path, &json!({"messages": messages})).await.expect("let through");
        let used = answer.used.expect("read");
        assert_eq!(answer.body["usage"]["prompt_tokens"], used.prompt, "{used:?}");
        assert_eq!(used.counted, tower_aoai_context_window::Counted::Exactly);
    }
    // The reference of both.
    assert!(BytePairs.is_exact(Default::default()));
}
