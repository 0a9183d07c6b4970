//! Tools, filters, models, limits of requests, and faults inside streams.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::{CHAT, HELLO, STREAM, answer, data, frames, post, send};
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower_aoai_simulator::{Deployment, Scripted, Simulator};

fn simulator() -> Simulator {
    Simulator::builder()
        .deployment(Deployment::unlimited("gpt-4o"))
        .deployment(Deployment::unlimited("looking").model("gpt-4o").asynchronous_filter(true))
        .deployment(Deployment::unlimited("embed").model("text-embedding-3-small"))
        .build()
}

fn tools() -> Value {
    json!([
        {"type": "function", "function": {"name": "time"}},
        {"type": "function", "function": {"name": "weather", "parameters": {
            "type": "object", "required": ["city", "days", "note"], "properties": {
                "city": {"type": "string", "enum": ["Paris", "Rome"]}, "days": {"type": ["integer", "null"]},
                "note": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "unit": {"type": "string"},
            },
        }}},
    ])
}

fn ask(more: &Value) -> String {
    let mut body = json!({"messages": [{"role": "user", "content": "Hello"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string()
}

#[tokio::test(start_paused = true)]
async fn a_forced_tool_is_called_with_fitting_arguments() {
    let simulator = simulator();
    let named = json!({"type": "function", "function": {"name": "weather"}});
    for (choice, name, arguments, finish) in [
        (json!("required"), "time", "{}", "tool_calls"),
        (named, "weather", r#"{"city":"Paris","days":1,"note":"text"}"#, "stop"),
    ] {
        let body = ask(&json!({"tools": tools(), "tool_choice": choice}));
        let (_, body) = answer(&simulator, post(CHAT, body)).await;
        let choice = &body["choices"][0];
        assert_eq!(choice["finish_reason"], finish);
        assert_eq!(choice["message"]["content"], Value::Null);
        let call = &choice["message"]["tool_calls"][0];
        assert_eq!(call["type"], "function");
        assert!(call["id"].as_str().unwrap().starts_with("call_"));
        assert_eq!(call["function"], json!({"name": name, "arguments": arguments}));
    }
    for choice in [json!("auto"), json!("none"), Value::Null] {
        let body = ask(&json!({"tools": tools(), "tool_choice": choice}));
        let (_, body) = answer(&simulator, post(CHAT, body)).await;
        assert!(body["choices"][0]["message"]["content"].is_string());
    }
}

#[tokio::test(start_paused = true)]
async fn scripted_calls_stream_piece_by_piece() {
    let simulator = simulator();
    let calls = [("weather", r#"{"city":"Zürich \"1\""}"#), ("time", "{}")];
    simulator.script("gpt-4o").times(2, &Scripted::tool_calls(calls));
    let (_, whole) = answer(&simulator, post(CHAT, HELLO.replace("10", "100"))).await;
    let called = whole["choices"][0]["message"]["tool_calls"].as_array().unwrap();
    assert_eq!(called.len(), 2);

    let response = send(&simulator, post(CHAT, STREAM.replace('3', "100"))).await.unwrap();
    let (events, _) = frames(response.into_body()).await;
    let mut streamed = [(String::new(), String::new()), (String::new(), String::new())];
    let mut finish = Value::Null;
    for event in events.iter().filter(|event| !event.contains("[DONE]")) {
        let Some(choice) = data(event)["choices"].get(0).cloned() else {
            continue;
        };
        if !choice["finish_reason"].is_null() {
            finish = choice["finish_reason"].clone();
        }
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let (name, arguments) = &mut streamed[usize::try_from(call["index"].as_u64().unwrap()).unwrap()];
            name.push_str(call["function"]["name"].as_str().unwrap_or_default());
            arguments.push_str(call["function"]["arguments"].as_str().unwrap());
        }
    }
    assert_eq!(finish, "tool_calls");
    for ((name, arguments), wanted) in streamed.iter().zip(calls) {
        assert_eq!((&**name, &**arguments), wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_tools_are_told() {
    let simulator = simulator();
    let many: Vec<Value> = (0..129).map(|_| json!({"type": "function", "function": {"name": "f"}})).collect();
    for (more, param, code) in [
        (json!({"tools": many}), "tools", json!("array_above_max_length")),
        (json!({"tools": 1}), "tools", json!("invalid_type")),
        (json!({"tools": [1]}), "tools[0]", json!("invalid_type")),
        (json!({"tool_choice": "required"}), "tool_choice", Value::Null),
        (json!({"tools": tools(), "tool_choice": "maybe"}), "tool_choice", json!("invalid_value")),
        (json!({"tools": tools(), "tool_choice": 1}), "tool_choice", json!("invalid_type")),
        (
            json!({"tools": tools(), "tool_choice": {"type": "function", "function": {"name": "x"}}}),
            "tool_choice",
            Value::Null,
        ),
    ] {
        let (status, body) = answer(&simulator, post(CHAT, ask(&more))).await;
        assert_eq!(status, 400, "{body}");
        assert_eq!((&body["error"]["param"], &body["error"]["code"]), (&json!(param), &code));
    }
}

#[tokio::test(start_paused = true)]
async fn a_script_puts_words_in_its_mouth() {
    let simulator = simulator();
    let text = "Grüß \"Gott\"\n😀 and more";
    simulator.script_any().times(3, &Scripted::text(text));
    let generous = HELLO.replace("10", "100");
    let (_, body) = answer(&simulator, post(CHAT, generous.clone())).await;
    assert_eq!(body["choices"][0]["message"]["content"], text);
    let response = send(&simulator, post(CHAT, STREAM.replace('3', "100"))).await.unwrap();
    let (events, _) = frames(response.into_body()).await;
    let said: String = events
        .iter()
        .filter(|event| !event.contains("[DONE]"))
        .filter_map(|event| Some(data(event)["choices"].get(0)?["delta"]["content"].as_str()?.to_owned()))
        .collect();
    assert_eq!(said, text);
    // The limit cuts it.
    let (_, body) = answer(&simulator, post(CHAT, HELLO.replace("10", "2"))).await;
    assert_eq!(body["choices"][0]["message"]["content"], "Grüß \"Go");
    assert_eq!(body["choices"][0]["finish_reason"], "length");
}

#[tokio::test(start_paused = true)]
async fn a_filter_blocks_an_answer() {
    let simulator = simulator();
    simulator.script_any().times(4, &Scripted::filtered_after(2));
    let (status, body) = answer(&simulator, post(CHAT, HELLO)).await;
    assert_eq!(status, 200);
    assert_eq!(body["choices"][0]["finish_reason"], "content_filter");
    let hate = json!({"filtered": true, "severity": "high"});
    assert_eq!(body["choices"][0]["content_filter_results"]["hate"], hate);
    assert_eq!(body["usage"]["completion_tokens"], 2);

    for (path, annotated) in [(CHAT.to_owned(), 1), (CHAT.replace("gpt-4o", "looking"), 2)] {
        let response = send(&simulator, post(&path, STREAM)).await.unwrap();
        let (events, _) = frames(response.into_body()).await;
        assert_eq!(events.last().unwrap(), "data: [DONE]\n\n");
        let chunks: Vec<Value> = events[..events.len() - 1].iter().map(|event| data(event)).collect();
        let end = chunks.iter().position(|chunk| chunk["choices"][0]["finish_reason"] == "content_filter").unwrap();
        let found =
            chunks.iter().position(|chunk| chunk["choices"][0]["content_filter_results"]["hate"] == hate).unwrap();
        // With an asynchronous filter its findings come after the finish.
        assert_eq!(found - end + 1, annotated);
    }
    let (_, body) = answer(&simulator, post("/openai/v1/responses", r#"{"model":"gpt-4o","input":"Hi"}"#)).await;
    assert_eq!(body["status"], "incomplete");
    assert_eq!(body["incomplete_details"], json!({"reason": "content_filter"}));
}

#[tokio::test(start_paused = true)]
async fn an_asynchronous_filter_annotates_in_events_of_its_own() {
    let simulator = simulator();
    let body = r#"{"messages":[{"role":"user","content":"Hello"}],"stream":true}"#;
    let mut request = post(&CHAT.replace("gpt-4o", "looking"), body);
    request.headers_mut().insert("x-simulator-completion-tokens", 600.into());
    let (events, _) = frames(send(&simulator, request).await.unwrap().into_body()).await;
    let chunks: Vec<Value> = events[..events.len() - 1].iter().map(|event| data(event)).collect();
    let first = &chunks[0];
    assert_eq!((&first["id"], &first["model"], &first["choices"]), (&json!(""), &json!(""), &json!([])));
    assert!(first["prompt_filter_results"][0]["content_filter_results"]["hate"].is_object());
    let annotations: Vec<(usize, &Value)> = chunks
        .iter()
        .enumerate()
        .filter(|(_, chunk)| chunk["choices"][0]["content_filter_offsets"].is_object())
        .collect();
    assert_eq!(annotations.len(), 3);
    for (_, annotation) in &annotations {
        assert!(annotation["choices"][0].get("delta").is_none());
        assert_eq!((&annotation["id"], &annotation["created"]), (&json!(""), &json!(0)));
    }
    let offsets = |index: usize| annotations[index].1["choices"][0]["content_filter_offsets"].clone();
    assert_eq!(offsets(0), json!({"check_offset": 1000, "start_offset": 0, "end_offset": 1000}));
    assert_eq!(offsets(2), json!({"check_offset": 2400, "start_offset": 2000, "end_offset": 2400}));
    let finish = chunks.iter().position(|chunk| chunk["choices"][0]["finish_reason"] == "stop").unwrap();
    assert_eq!(annotations[2].0, finish + 1);
    // The others carry none.
    assert!(chunks[2]["choices"][0].get("content_filter_results").is_none());
}

#[tokio::test(start_paused = true)]
async fn models_are_listed() {
    let simulator = simulator();
    let get = |path: &str| Request::get(path).body(Full::<bytes::Bytes>::default()).unwrap();
    for path in ["/openai/v1/models", "/openai/models?api-version=2024-10-21"] {
        let (status, body) = answer(&simulator, get(path)).await;
        assert_eq!((status, &body["object"]), (200, &json!("list")));
        let ids: Vec<&Value> = body["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
        assert_eq!(ids, ["gpt-4o", "text-embedding-3-small"]);
    }
    let (_, body) = answer(&simulator, get("/openai/v1/models/embed")).await;
    assert_eq!(body["id"], "text-embedding-3-small");
    assert_eq!(body["object"], "model");
    assert_eq!(body["capabilities"]["embeddings"], true);
    for path in ["/openai/v1/models/nobody", "/openai/models", "/openai/v1/modelsx", "/openai/v1/chat/completions"] {
        assert_eq!(answer(&simulator, get(path)).await.0, 404, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_have_limits() {
    let simulator = Simulator::builder()
        .deployment(Deployment::unlimited("gpt-4o").context_window(10_000_000))
        .body_limit(3_000_000)
        .build();
    // Ten custom headers, and as many of an SDK as it likes.
    let with = |custom: usize| {
        let mut request = post(CHAT, HELLO);
        for index in 0..custom {
            let name = format!("x-custom-{index}").parse::<http::HeaderName>().unwrap();
            request.headers_mut().insert(name, 1.into());
        }
        for name in
            ["x-stainless-lang", "x-ms-client-request-id", "traceparent", "user-agent", "x-simulator-cached-tokens"]
        {
            request.headers_mut().insert(name, 1.into());
        }
        request
    };
    assert_eq!(send(&simulator, with(10)).await.unwrap().status(), 200);
    let (status, body) = answer(&simulator, with(11)).await;
    assert_eq!(status, 431);
    assert_eq!(body, json!({"error": {"code": "431", "message": "Request Header Fields Too Large"}}));

    let of = |letters: usize| ask(&json!({"messages": [{"role": "user", "content": "ä".repeat(letters)}]}));
    assert_eq!(answer(&simulator, post(CHAT, of(1_048_576))).await.0, 200);
    let (status, body) = answer(&simulator, post(CHAT, of(1_048_577))).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("string_above_max_length")));
    assert_eq!(body["error"]["param"], "messages[0].content");
    let (status, body) = answer(&simulator, post(CHAT, of(1_600_000))).await;
    assert_eq!((status, &body["error"]["code"]), (413, &json!("RequestEntityTooLarge")));
}

#[tokio::test(start_paused = true)]
async fn a_malformed_event_is_one_of_many() {
    let simulator = simulator();
    for (after, at) in [(0, 2), (2, 4), (99, 5)] {
        simulator.script("gpt-4o").then(Scripted::malformed_after(after));
        let response = send(&simulator, post(CHAT, STREAM)).await.unwrap();
        let (events, fault) = frames(response.into_body()).await;
        assert_eq!(fault, None);
        let broken: Vec<usize> = (0..events.len() - 1)
            .filter(|index| {
                let json = events[*index].trim_start_matches("data: ");
                serde_json::from_str::<Value>(json).is_err()
            })
            .collect();
        assert_eq!(broken, [at], "{events:?}");
        assert_eq!(events.len(), 8);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_inside_a_stream_has_the_form_of_its_operation() {
    let simulator = simulator();
    let last = async |path: &str, body: &'static str| {
        simulator.script("gpt-4o").then(Scripted::error_after(2));
        let response = send(&simulator, post(path, body)).await.unwrap();
        let (events, fault) = frames(response.into_body()).await;
        assert_eq!(fault, None);
        (events.len(), events.last().unwrap().clone())
    };
    let message = "The server had an error while processing your request. Sorry about that!";
    let (count, event) = last(CHAT, STREAM).await;
    assert_eq!(count, 5);
    assert!(event.starts_with("data: "));
    let error = json!({"message": message, "type": "server_error", "param": null, "code": null});
    assert_eq!(data(&event), json!({"error": error}));
    let (count, event) = last("/openai/v1/responses", r#"{"model":"gpt-4o","input":"Hi","stream":true}"#).await;
    assert_eq!(count, 7);
    assert!(event.starts_with("event: error\ndata: "));
    let error = json!({"type": "server_error", "code": "server_error", "message": message, "param": null});
    assert_eq!(data(&event), json!({"type": "error", "error": error, "sequence_number": 6}));
}

#[tokio::test(start_paused = true)]
async fn paces() {
    let simulator = simulator();
    let took = async |scripted: Scripted, body: &'static str| {
        simulator.script("gpt-4o").then(scripted);
        let begin = Instant::now();
        let response = send(&simulator, post(CHAT, body)).await.unwrap();
        let head = Instant::now().saturating_duration_since(begin);
        let (events, _) = frames(response.into_body()).await;
        (head, Instant::now().saturating_duration_since(begin), events)
    };
    let ms = Duration::from_millis;
    let (head, all, _) = took(Scripted::ok().every(ms(50)), STREAM).await;
    assert_eq!((head, all), (ms(0), ms(100)));
    let (head, all, _) = took(Scripted::ok().first_token_after(ms(700)), STREAM).await;
    assert_eq!((head, all), (ms(0), ms(700)));
    let (head, all, _) = took(Scripted::ok().after(ms(300)).every(ms(10)), STREAM).await;
    assert_eq!((head, all), (ms(300), ms(320)));
    for body in [STREAM, HELLO] {
        let (_, all, drops) = took(Scripted::drip(7, ms(3)), body).await;
        assert!(drops.iter().all(|drop| drop.len() <= 7));
        let count = u32::try_from(drops.len()).unwrap();
        assert_eq!(all, ms(3) * (count - 1));
        assert!(drops.concat().contains("was "));
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_is_down_for_a_while() {
    let simulator = Simulator::builder()
        .deployment(Deployment::unlimited("here").region("Sweden Central"))
        .deployment(Deployment::unlimited("there").region("East US"))
        .build();
    let now = Instant::now();
    let until = now + Duration::from_secs(60);
    simulator.script_region("swedencentral").during(now, until, Scripted::status(503));
    let status = async |name: &str| {
        let path = CHAT.replace("gpt-4o", name);
        send(&simulator, post(&path, HELLO)).await.unwrap().status().as_u16()
    };
    assert_eq!((status("here").await, status("there").await), (503, 200));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(status("here").await, 200);
}
