//! async-openai against the server, over real sockets: it finds what it expects, and raises its
//! own errors.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use async_openai::{
    Client,
    config::{AzureConfig, Config, OpenAIConfig},
    error::{ApiErrorResponse, OpenAIError},
    middleware::ReqwestService,
    types::{
        chat::{CreateChatCompletionRequest, FinishReason},
        embeddings::CreateEmbeddingRequest,
        responses::{CreateResponse, OutputItem, ResponseStreamEvent, Status},
    },
};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tower_aoai_simulator::{
    Deployment, Scripted, Simulator,
    server::{Running, Server},
};

async fn start() -> (Running, Simulator) {
    let simulator = Simulator::builder()
        .api_key("key")
        .deployment(Deployment::standard("gpt-4o").tokens_per_minute(100_000))
        .deployment(Deployment::standard("tiny").model("gpt-4o").tokens_per_minute(6_000))
        .deployment(Deployment::unlimited("embed").model("text-embedding-3-small"))
        .build();
    let running = Server::local().await.unwrap().serve(simulator.clone());
    (running, simulator)
}

/// Without the client's own retries, which cannot be seen from outside.
fn plain<C: Config>(client: Client<C>) -> Client<C> {
    client.with_http_service(ReqwestService::default())
}

fn azure(running: &Running, key: &str, deployment: &str) -> Client<AzureConfig> {
    plain(Client::with_config(
        AzureConfig::new()
            .with_api_base(running.url())
            .with_api_key(key)
            .with_api_version("2024-10-21")
            .with_deployment_id(deployment),
    ))
}

fn v1(running: &Running) -> Client<OpenAIConfig> {
    let base = format!("{}/openai/v1", running.url());
    plain(Client::with_config(OpenAIConfig::new().with_api_base(base).with_api_key("key")))
}

fn from<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn chat() -> CreateChatCompletionRequest {
    from(json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}))
}

fn weather() -> CreateChatCompletionRequest {
    from(json!({
        "model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}],
        "tool_choice": "required", "tools": [{"type": "function", "function": {
            "name": "weather", "parameters": {
                "type": "object", "required": ["city"],
                "properties": {"city": {"type": "string", "enum": ["Paris"]}},
            },
        }}],
    }))
}

fn refused<T>(result: Result<T, OpenAIError>) -> ApiErrorResponse {
    match result {
        Err(OpenAIError::ApiError(error)) => error,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("an answer"),
    }
}

async fn chats_with<C: Config>(client: &Client<C>) {
    let answer = client.chat().create(chat()).await.unwrap();
    assert_eq!(answer.choices[0].finish_reason, Some(FinishReason::Stop));
    assert_eq!(answer.usage.unwrap().completion_tokens, 32);

    let mut stream = client.chat().create_stream(chat()).await.unwrap();
    let mut text = String::new();
    while let Some(chunk) = stream.next().await {
        for choice in chunk.unwrap().choices {
            text.push_str(&choice.delta.content.unwrap_or_default());
        }
    }
    assert_eq!(Some(text), answer.choices[0].message.content);

    let answer = client.chat().create(weather()).await.unwrap();
    assert_eq!(answer.choices[0].finish_reason, Some(FinishReason::ToolCalls));
    assert_eq!(answer.choices[0].message.tool_calls.as_ref().unwrap().len(), 1);
    let mut stream = client.chat().create_stream(weather()).await.unwrap();
    let (mut name, mut arguments) = (String::new(), String::new());
    while let Some(chunk) = stream.next().await {
        for choice in chunk.unwrap().choices {
            for call in choice.delta.tool_calls.unwrap_or_default() {
                let function = call.function.unwrap();
                name.push_str(&function.name.unwrap_or_default());
                arguments.push_str(&function.arguments.unwrap_or_default());
            }
        }
    }
    assert_eq!((&*name, &*arguments), ("weather", r#"{"city":"Paris"}"#));
}

#[tokio::test]
async fn it_chats_by_either_path() {
    let (running, _) = start().await;
    chats_with(&azure(&running, "key", "gpt-4o")).await;
    chats_with(&v1(&running)).await;
    running.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn it_embeds() {
    let (running, _) = start().await;
    let ask = || from::<CreateEmbeddingRequest>(json!({"model": "embed", "input": ["a", "b"]}));
    let client = azure(&running, "key", "embed");
    let plain = client.embeddings().create(ask()).await.unwrap();
    assert_eq!(plain.data.len(), 2);
    assert_eq!(plain.data[0].embedding.len(), 1_536);
    let ask = json!({"model": "embed", "input": ["a", "b"], "encoding_format": "base64"});
    let client = v1(&running);
    let packed = client.embeddings().create_base64(from(ask)).await;
    assert_eq!(packed.unwrap().data.len(), 2);
}

#[tokio::test]
async fn it_responds() {
    let (running, _) = start().await;
    let client = v1(&running);
    let ask = || from::<CreateResponse>(json!({"model": "gpt-4o", "input": "Hello"}));
    let answer = client.responses().create(ask()).await.unwrap();
    assert_eq!(answer.status, Status::Completed);
    let text = answer.output_text().unwrap();

    let mut stream = client.responses().create_stream(ask()).await.unwrap();
    let (mut said, mut completed) = (String::new(), false);
    while let Some(event) = stream.next().await {
        match event.unwrap() {
            ResponseStreamEvent::ResponseOutputTextDelta(delta) => said.push_str(&delta.delta),
            ResponseStreamEvent::ResponseCompleted(event) => {
                completed = true;
                assert_eq!(event.response.output_text().as_deref(), Some(&*text));
            }
            _ => {}
        }
    }
    assert!(completed);
    assert_eq!(said, text);
}

#[tokio::test]
async fn it_responds_with_calls() {
    let (running, simulator) = start().await;
    let client = v1(&running);
    let ask = || from::<CreateResponse>(json!({"model": "gpt-4o", "input": "Hello"}));
    let calls = [("weather", r#"{"city":"Paris"}"#), ("time", "{}")];
    simulator.script("gpt-4o").times(2, &Scripted::tool_calls(calls));
    let answer = client.responses().create(ask()).await.unwrap();
    let OutputItem::FunctionCall(call) = &answer.output[0] else {
        panic!("{:?}", answer.output);
    };
    assert_eq!((&*call.name, &*call.arguments), calls[0]);

    let mut stream = client.responses().create_stream(ask()).await.unwrap();
    let (mut arguments, mut done, mut number) = (String::new(), Vec::new(), 0);
    while let Some(event) = stream.next().await {
        let event = event.unwrap();
        let data = serde_json::to_value(&event).unwrap();
        assert_eq!(data["sequence_number"], number);
        number += 1;
        match event {
            ResponseStreamEvent::ResponseFunctionCallArgumentsDelta(delta) => {
                arguments.push_str(&delta.delta);
            }
            ResponseStreamEvent::ResponseFunctionCallArgumentsDone(event) => {
                done.push(event.arguments);
            }
            _ => {}
        }
    }
    assert_eq!(arguments, r#"{"city":"Paris"}{}"#);
    assert_eq!(done, [r#"{"city":"Paris"}"#, "{}"]);
}

#[tokio::test]
async fn it_raises_its_own_errors() {
    let (running, simulator) = start().await;
    let client = azure(&running, "key", "gpt-4o");

    let error = refused(azure(&running, "wrong", "gpt-4o").chat().create(chat()).await);
    assert_eq!(error.status_code, 401);
    assert_eq!(error.api_error.code.as_deref(), Some("401"));

    let error = refused(azure(&running, "key", "nobody").chat().create(chat()).await);
    assert_eq!(error.status_code, 404);
    assert_eq!(error.api_error.code.as_deref(), Some("DeploymentNotFound"));

    simulator
        .script("gpt-4o")
        .then(Scripted::content_filter())
        .then(Scripted::context_length())
        .then(Scripted::rate_limited(Duration::from_secs(7)));
    let error = refused(client.chat().create(chat()).await);
    assert_eq!(error.status_code, 400);
    assert_eq!(error.api_error.code.as_deref(), Some("content_filter"));
    let error = refused(client.chat().create_stream(chat()).await);
    assert_eq!(error.status_code, 400);
    assert_eq!(error.api_error.code.as_deref(), Some("context_length_exceeded"));
    let error = refused(client.chat().create(chat()).await);
    assert_eq!(error.status_code, 429);
    assert!(error.api_error.message.contains("retry after 7 seconds"));

    // For real, not by a script.
    let large = json!({
        "model": "tiny", "max_tokens": 7_000, "messages": [{"role": "user", "content": "Hi"}],
    });
    let error = refused(v1(&running).chat().create(from(large)).await);
    assert_eq!(error.status_code, 429);
    let code = error.api_error.code.as_deref();
    assert_eq!(code, Some("rate_limit_exceeded"));
}

#[tokio::test]
async fn it_sees_connections_fail() {
    let (running, simulator) = start().await;
    let client = azure(&running, "key", "gpt-4o");
    simulator.script("gpt-4o").then(Scripted::reset());
    let error = client.chat().create(chat()).await.unwrap_err();
    assert!(matches!(error, OpenAIError::Reqwest(_)), "{error:?}");

    simulator.script("gpt-4o").then(Scripted::cut_after(3));
    let mut stream = client.chat().create_stream(chat()).await.unwrap();
    let (mut pieces, mut failed) = (0, false);
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => {
                let text = |choice: &async_openai::types::chat::ChatChoiceStream| {
                    choice.delta.content.as_deref().is_some_and(|text| !text.is_empty())
                };
                pieces += chunk.choices.iter().filter(|choice| text(choice)).count();
            }
            Err(_) => {
                failed = true;
                break;
            }
        }
    }
    assert!(failed);
    assert_eq!(pieces, 3);
}

#[tokio::test]
async fn a_refusal_inside_a_stream_is_seen() {
    let (running, simulator) = start().await;
    let refusal = Scripted::refused_stream(Duration::from_secs(9));
    simulator.script("gpt-4o").then(refusal);
    let ask = from::<CreateResponse>(json!({"model": "gpt-4o", "input": "Hello"}));
    let client = v1(&running);
    let mut stream = client.responses().create_stream(ask).await.unwrap();
    let first = stream.next().await.unwrap().unwrap();
    assert!(matches!(first, ResponseStreamEvent::ResponseCreated(_)));
    // Azure's error event is not OpenAI's: this client cannot read it, which is an error too.
    let mut failed = false;
    while let Some(event) = stream.next().await {
        failed |= !matches!(event, Ok(ResponseStreamEvent::ResponseOutputTextDelta(_)));
    }
    assert!(failed);
}
