//! Fixtures are what the simulator would have answered.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{CHAT, HELLO, post, send};
use http::Response;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower_aoai_simulator::{Deployment, Scripted, Simulator, fixture};

async fn body(response: Response<Full<Bytes>>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn json(response: Response<Full<Bytes>>) -> Value {
    serde_json::from_str(&body(response).await).unwrap()
}

#[tokio::test(start_paused = true)]
async fn refusals_are_those_of_the_simulator() {
    let simulator = Simulator::builder().deployment(Deployment::standard("gpt-4o")).build();
    for (fixture, scripted) in [
        (fixture::rate_limited(1_500), Scripted::rate_limited(Duration::from_millis(1_500))),
        (fixture::rate_limited_zero(), Scripted::rate_limited_zero()),
        (fixture::rate_limited_silently(), Scripted::rate_limited_silently()),
        (fixture::too_large(), Scripted::too_large()),
        (fixture::no_capacity(), Scripted::no_capacity()),
        (fixture::gateway_rate_limited(50), Scripted::gateway_rate_limited(50)),
        (fixture::content_filter(), Scripted::content_filter()),
        (fixture::context_length(), Scripted::context_length()),
        (fixture::wrong_key(), Scripted::status(401)),
        (fixture::permission_denied(), Scripted::permission_denied()),
        (fixture::virtual_network(), Scripted::virtual_network()),
        (fixture::deployment_not_found(), Scripted::status(404)),
        (fixture::timeout(), Scripted::status(408)),
        (fixture::unavailable(), Scripted::status(503)),
        (fixture::plain_text_503(), Scripted::plain_text_503()),
        (fixture::status(504), Scripted::status(504)),
    ] {
        simulator.script("gpt-4o").then(scripted);
        let served = send(&simulator, post(CHAT, HELLO)).await.unwrap();
        assert_eq!(fixture.status(), served.status());
        for name in ["retry-after", "retry-after-ms", "content-type"] {
            assert_eq!(fixture.headers().get(name), served.headers().get(name), "{name}");
        }
        let served = served.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body(fixture).await.as_bytes(), &served[..]);
    }
}

#[tokio::test]
async fn other_refusals() {
    let response = fixture::rate_limited_v1(10);
    assert_eq!(response.headers()["retry-after-ms"], "10");
    assert_eq!(json(response).await["error"]["code"], "rate_limit_exceeded");
    let response = fixture::call_rate_limited(10);
    assert_eq!(response.headers()["x-ratelimit-type"], "Requests");
    let response = fixture::provisioned_full(43);
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["azure-openai-deployment-utilization"], "100.4%");
    assert!(!response.headers().contains_key("x-ratelimit-limit-tokens"));
    let response = fixture::refused_stream(9);
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (200, &"9".parse().unwrap()));
    assert!(body(response).await.contains("event: response.failed\n"));
    assert_eq!(json(fixture::wrong_token()).await["error"]["code"], "Unauthorized");
    assert_eq!(json(fixture::not_found()).await["error"]["message"], "Resource not found");
    let response = fixture::server_error();
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(json(response).await["error"]["message"].as_str().unwrap().contains(&id));
    let body = json(fixture::content_filter_responses()).await;
    assert_eq!(body["error"]["content_filters"][0]["blocked"], true);
}

#[tokio::test]
async fn answers_say_what_they_are_told_to() {
    let response = fixture::chat("Hi \"you\"");
    assert_eq!(response.headers()["x-ratelimit-remaining-tokens"], "29950");
    let chat = json(response).await;
    assert_eq!(chat["choices"][0]["message"]["content"], "Hi \"you\"");
    assert_eq!(chat["choices"][0]["finish_reason"], "stop");
    assert_eq!(chat["model"], "gpt-4o-2024-08-06");
    let call = json(fixture::tool_call("f", "{\"a\":1}")).await;
    let function = &call["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!((&function["name"], &function["arguments"]), (&"f".into(), &"{\"a\":1}".into()));
    let filtered = json(fixture::chat_filtered("Once")).await;
    assert_eq!(filtered["choices"][0]["finish_reason"], "content_filter");
    let embedding = json(fixture::embedding()).await;
    assert_eq!(embedding["data"][0]["embedding"].as_array().unwrap().len(), 1_536);
    let response = json(fixture::response("Hi")).await;
    assert_eq!(response["output"][0]["content"][0]["text"], "Hi");
}

#[tokio::test]
async fn streams_say_it_in_the_given_pieces() {
    let pieces = ["Hello", ", \"world\"", "!"];
    let said = |text: &str| -> Vec<String> {
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
            .filter_map(|chunk| Some(chunk["choices"].get(0)?["delta"]["content"].as_str()?.to_owned()))
            .filter(|piece| !piece.is_empty())
            .collect()
    };
    let plain = body(fixture::stream_of(pieces)).await;
    assert_eq!(said(&plain), pieces);
    assert!(plain.ends_with("data: [DONE]\n\n") && !plain.contains("usage"));
    let counted = body(fixture::stream_of_with_usage(pieces)).await;
    assert_eq!(said(&counted), pieces);
    assert!(counted.contains("\"usage\":null") && counted.contains("\"completion_tokens\":3"));
    let failed = body(fixture::stream_of_with_error(pieces)).await;
    assert_eq!(said(&failed), pieces);
    assert!(failed.contains("\"server_error\"") && !failed.contains("[DONE]"));
    let responses = body(fixture::response_stream_of(pieces.map(String::from))).await;
    assert_eq!(responses.matches("event: response.output_text.delta\n").count(), 3);
    assert!(responses.contains("\"text\":\"Hello, \\\"world\\\"!\""));
}
