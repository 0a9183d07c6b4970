//! Answers that succeed: their headers, bodies, streams and times.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::{CHAT, HELLO, STREAM, STREAM_USAGE, answer, data, frames, header, post, send};
use http_body_util::BodyExt;
use tokio::time::Instant;
use tower_aoai_simulator::{
    COMPLETION_TOKENS_HEADER, CompletionLength, Deployment, Ending, Estimate, Latency, PACE_HEADER,
    PROMPT_TOKENS_HEADER, Simulator,
};

fn standard() -> Simulator {
    let deployment = Deployment::standard("gpt-4o").tokens_per_minute(1_500_000);
    Simulator::builder().seed(7).deployment(deployment).build()
}

#[tokio::test(start_paused = true)]
async fn a_success_has_the_captured_headers() {
    // The captured balance took a prompt beyond this model's window.
    let deployment = Deployment::standard("gpt-4o").tokens_per_minute(1_500_000).context_window(2_000_000);
    let simulator = Simulator::builder().deployment(deployment).build();
    let mut request = post(CHAT, HELLO);
    request.headers_mut().insert(PROMPT_TOKENS_HEADER, 754_591.into());
    request.headers_mut().insert("x-ms-client-request-id", "mine".parse().unwrap());
    let response = send(&simulator, request).await.unwrap();
    assert_eq!(response.status(), 200);
    for (name, value) in [
        ("cache-control", "no-cache, must-revalidate"),
        ("content-type", "application/json"),
        ("access-control-allow-origin", "*"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
        ("x-content-type-options", "nosniff"),
        ("x-accel-buffering", "no"),
        ("x-ms-region", "Sweden Central"),
        ("x-ms-deployment-name", "gpt-4o"),
        ("x-ms-client-request-id", "mine"),
        ("x-ratelimit-limit-requests", "9000"),
        ("x-ratelimit-remaining-requests", "8999"),
        ("x-ratelimit-renewalperiod-requests", "10"),
        ("x-ratelimit-reset-requests", "0"),
        ("x-ratelimit-limit-tokens", "1500000"),
        ("x-ratelimit-remaining-tokens", "745399"),
        ("x-ratelimit-renewalperiod-tokens", "60"),
        ("x-ratelimit-reset-tokens", "30"),
    ] {
        assert_eq!(header(&response, name), Some(value), "{name}");
    }
    for name in ["retry-after", "retry-after-ms", "x-ratelimit-type"] {
        assert_eq!(header(&response, name), None, "{name}");
    }
    assert_ne!(header(&response, "apim-request-id"), header(&response, "x-request-id"));
    let id = header(&response, "apim-request-id").unwrap();
    let lengths: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
    assert!(id.split('-').nth(2).unwrap().starts_with('4'), "{id}");
}

#[tokio::test(start_paused = true)]
async fn a_chat_completion_is_complete() {
    let (status, body) = answer(&standard(), post(CHAT, HELLO)).await;
    assert_eq!(status, 200);
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "gpt-4o");
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert!(body["system_fingerprint"].as_str().unwrap().starts_with("fp_"));
    let choice = &body["choices"][0];
    assert_eq!(choice["finish_reason"], "length");
    assert_eq!(choice["message"]["role"], "assistant");
    assert_eq!(choice["message"]["content"].as_str().unwrap().len(), 40);
    assert_eq!(choice["content_filter_results"]["hate"]["severity"], "safe");
    assert_eq!(body["prompt_filter_results"][0]["prompt_index"], 0);
    let usage = &body["usage"];
    // Four for the message, two for its five letters, three for the answer's beginning.
    assert_eq!(usage["prompt_tokens"], 9);
    assert_eq!(usage["completion_tokens"], 10);
    assert_eq!(usage["total_tokens"], 19);
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 0);
}

#[tokio::test(start_paused = true)]
async fn every_way_of_calling_reaches_the_deployment() {
    let simulator = Simulator::builder().deployment(Deployment::unlimited("chat")).build();
    let messages = r#""messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}]"#;
    for (path, body) in [
        ("/openai/deployments/chat/chat/completions?api-version=2024-10-21", ""),
        ("/openai/deployments/%63hat/chat/completions?x=1&api-version=2025-01-01-preview", ""),
        ("/openai/v1/chat/completions", r#""model":"chat","#),
        ("/openai/v1/chat/completions?api-version=preview", r#""model":"chat","#),
        ("/models/chat/completions?api-version=2024-05-01-preview", r#""model":"chat","#),
    ] {
        let (status, answer) = answer(&simulator, post(path, format!("{{{body}{messages}}}"))).await;
        assert_eq!(status, 200, "{path}: {answer}");
        assert_eq!(answer["usage"]["completion_tokens"], 32);
    }
    let journal = simulator.journal();
    assert!(journal.iter().all(|served| served.deployment.as_deref() == Some("chat")));
}

#[tokio::test(start_paused = true)]
async fn keys_are_taken_either_way() {
    let simulator = Simulator::builder().api_key("secret-key").deployment(Deployment::unlimited("gpt-4o")).build();
    for (name, value, expected) in [
        ("api-key", "secret-key", 200),
        ("authorization", "Bearer secret-key", 200),
        ("authorization", "bearer secret-key", 200),
        ("api-key", "wrong", 401),
        ("authorization", "secret-key", 401),
        ("x-none", "secret-key", 401),
    ] {
        let mut request = post(CHAT, HELLO);
        request.headers_mut().insert(name, value.parse().unwrap());
        let response = send(&simulator, request).await.unwrap();
        assert_eq!(response.status(), expected, "{name}: {value}");
    }
    let debug = format!("{simulator:?} {:?}", Simulator::builder().api_key("secret-key"));
    assert!(!debug.contains("secret-key"));
}

#[tokio::test(start_paused = true)]
async fn several_choices_are_given_and_charged() {
    let simulator = standard();
    let body = r#"{"messages":[{"role":"user","content":"Hello"}],"max_tokens":5,"n":3}"#;
    let (_, answer) = answer(&simulator, post(CHAT, body)).await;
    assert_eq!(answer["choices"].as_array().unwrap().len(), 3);
    assert_eq!(answer["choices"][2]["index"], 2);
    assert_eq!(answer["usage"]["completion_tokens"], 15);
    assert_eq!(simulator.journal()[0].reserved, 2 + 15);
}

#[tokio::test(start_paused = true)]
async fn legacy_completions_charge_the_best_of() {
    let simulator = Simulator::builder().deployment(Deployment::standard("legacy").tokens_per_minute(10_000)).build();
    let path = "/openai/deployments/legacy/completions?api-version=2024-10-21";
    let body = r#"{"prompt":["four","eight---"],"best_of":4,"n":2}"#;
    let (status, answer) = answer(&simulator, post(path, body)).await;
    assert_eq!(status, 200);
    assert_eq!(answer["object"], "text_completion");
    assert_eq!(answer["choices"][1]["finish_reason"], "length");
    assert_eq!(answer["choices"][1]["text"].as_str().unwrap().len(), 64, "16 by default");
    assert_eq!(answer["usage"]["prompt_tokens"], 3);
    assert_eq!(simulator.journal()[0].reserved, 3 + 4 * 16);
}

#[tokio::test(start_paused = true)]
async fn embeddings_come_as_floats_and_in_base64() {
    let deployment = Deployment::standard("embed").model("text-embedding-3-small");
    let simulator = Simulator::builder().deployment(deployment).build();
    let path = "/openai/deployments/embed/embeddings?api-version=2024-10-21";
    let (status, body) = answer(&simulator, post(path, r#"{"input":["one","two"],"dimensions":4}"#)).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["object"], "list");
    assert_eq!(body["data"][1]["index"], 1);
    let vector: Vec<f64> = serde_json::from_value(body["data"][1]["embedding"].clone()).unwrap();
    assert_eq!(vector.len(), 4);
    let length: f64 = vector.iter().map(|value| value * value).sum();
    assert!((length - 1.0).abs() < 1e-6);
    assert_eq!(body["usage"], serde_json::json!({"prompt_tokens": 2, "total_tokens": 2}));

    let body = r#"{"input":[1,2,3],"dimensions":4,"encoding_format":"base64"}"#;
    let (_, body) = answer(&simulator, post(path, body)).await;
    assert_eq!(body["data"][0]["embedding"].as_str().unwrap().len(), 24);
    assert_eq!(body["usage"]["prompt_tokens"], 3);
    let journal = simulator.journal();
    assert_eq!(journal[0].reserved, 2, "no output is charged");
    assert_eq!(journal[0].completion_tokens, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_include_usage_has_no_usage_at_all() {
    let response = send(&standard(), post(CHAT, STREAM)).await.unwrap();
    assert_eq!(header(&response, "content-type"), Some("text/event-stream; charset=utf-8"));
    let (frames, fault) = frames(response.into_body()).await;
    assert_eq!(fault, None);
    // The filter's, the role's, three of content, the finish, the end.
    assert_eq!(frames.len(), 7, "{frames:#?}");
    assert!(frames.iter().all(|frame| frame.starts_with("data: ") && frame.ends_with("\n\n")));
    assert_eq!(frames[6], "data: [DONE]\n\n");
    let chunks: Vec<_> = frames[..6].iter().map(|frame| data(frame)).collect();
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
    assert_eq!(chunks[0]["choices"], serde_json::json!([]));
    assert_eq!(chunks[0]["id"], "");
    assert!(chunks[0]["prompt_filter_results"].is_array());
    assert_eq!(chunks[1]["choices"][0]["delta"]["role"], "assistant");
    let text: String = chunks[2..5].iter().map(|c| c["choices"][0]["delta"]["content"].as_str().unwrap()).collect();
    assert_eq!(text.len(), 12);
    for chunk in &chunks[1..] {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["id"], chunks[1]["id"]);
        assert_eq!(chunk["model"], "gpt-4o");
    }
    assert_eq!(chunks[4]["choices"][0]["finish_reason"], serde_json::Value::Null);
    assert_eq!(chunks[5]["choices"][0]["finish_reason"], "length");
    assert_eq!(chunks[5]["choices"][0]["delta"], serde_json::json!({}));
}

#[tokio::test(start_paused = true)]
async fn with_include_usage_every_chunk_has_it_null_and_the_last_has_it() {
    let response = send(&standard(), post(CHAT, STREAM_USAGE)).await.unwrap();
    let (frames, _) = frames(response.into_body()).await;
    assert_eq!(frames.len(), 8);
    let chunks: Vec<_> = frames[..7].iter().map(|frame| data(frame)).collect();
    for chunk in &chunks[..6] {
        assert_eq!(chunk.get("usage"), Some(&serde_json::Value::Null), "{chunk}");
    }
    assert_eq!(chunks[6]["choices"], serde_json::json!([]));
    assert_eq!(chunks[6]["usage"]["completion_tokens"], 3);
    assert_eq!(chunks[6]["usage"]["total_tokens"], 12);
    assert_eq!(frames[7], "data: [DONE]\n\n");
}

#[tokio::test(start_paused = true)]
async fn responses_have_their_own_events_in_order() {
    let simulator = standard();
    let body = r#"{"model":"gpt-4o","input":"Hello","max_output_tokens":2,"stream":true}"#;
    let response = send(&simulator, post("/openai/v1/responses", body)).await.unwrap();
    let (frames, _) = frames(response.into_body()).await;
    let kinds: Vec<_> =
        frames.iter().map(|frame| frame.lines().next().unwrap().strip_prefix("event: ").unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.incomplete",
        ]
    );
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!(data(frame)["sequence_number"], number);
        assert_eq!(data(frame)["type"], kinds[number]);
    }
    let last = data(&frames[9]);
    assert_eq!(last["response"]["usage"]["output_tokens"], 2);
    assert_eq!(last["response"]["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "The sea ");

    let body = r#"{"model":"gpt-4o","input":[{"role":"user","content":"Hello"}]}"#;
    let (status, body) = answer(&simulator, post("/openai/v1/responses", body)).await;
    assert_eq!(status, 200);
    assert_eq!(body["status"], "completed");
    assert_eq!(body["error"], serde_json::Value::Null);
    assert_eq!(body["usage"]["input_tokens"], 9);
}

#[tokio::test(start_paused = true)]
async fn the_length_is_dictated_and_capped() {
    let simulator = Simulator::builder()
        .deployment(Deployment::unlimited("gpt-4o"))
        .completion_length(CompletionLength::Fixed(6))
        .build();
    let usage = |body: serde_json::Value| {
        (body["usage"]["completion_tokens"].as_u64(), body["choices"][0]["finish_reason"].clone())
    };
    let (_, body) = answer(&simulator, post(CHAT, HELLO)).await;
    assert_eq!(usage(body), (Some(6), "stop".into()));
    let mut request = post(CHAT, HELLO);
    request.headers_mut().insert(COMPLETION_TOKENS_HEADER, 9.into());
    let (_, body) = answer(&simulator, request).await;
    assert_eq!(usage(body), (Some(9), "stop".into()));
    let mut request = post(CHAT, HELLO);
    request.headers_mut().insert(COMPLETION_TOKENS_HEADER, u64::MAX.into());
    let (_, body) = answer(&simulator, request).await;
    assert_eq!(usage(body), (Some(10), "length".into()));
}

#[tokio::test(start_paused = true)]
async fn everything_comes_at_its_time() {
    let latency = Latency::instant()
        .network(Duration::from_millis(8), Duration::ZERO)
        .head(Duration::from_millis(50))
        .first_token(Duration::from_millis(200))
        .per_prompt_token(Duration::from_millis(1))
        .per_token(Duration::from_millis(10));
    let deployment = Deployment::unlimited("gpt-4o");
    let simulator = Simulator::builder().latency(latency).deployment(deployment).build();
    let start = Instant::now();
    let at = |instant: Instant| u64::try_from((instant - start).as_millis()).unwrap();

    // Nine tokens of prompt, ten of answer: 8 + 200 + 9 + 9 * 10.
    let response = send(&simulator, post(CHAT, HELLO)).await.unwrap();
    assert_eq!(at(Instant::now()), 307);
    response.into_body().collect().await.unwrap();
    assert_eq!(at(Instant::now()), 307);

    let start = Instant::now();
    let at = |instant: Instant| u64::try_from((instant - start).as_millis()).unwrap();
    let mut body = send(&simulator, post(CHAT, STREAM)).await.unwrap().into_body();
    assert_eq!(at(Instant::now()), 58, "the head comes before the first token");
    let mut times = Vec::new();
    while let Some(frame) = body.frame().await {
        frame.unwrap();
        times.push(at(Instant::now()));
    }
    assert_eq!(times, [58, 58, 217, 227, 237, 237, 237]);
    let served = &simulator.journal()[1];
    assert_eq!(at(served.arrived), 8);
    assert_eq!(served.first_byte.map(at), Some(58));
    assert_eq!(served.first_content.map(at), Some(217));
    assert_eq!(served.ended.map(at), Some(237));
    assert_eq!(served.ending, Ending::Complete);

    // A brown-out stretches what the model takes, not the way to it.
    assert!(simulator.slow_down("gpt-4o", 10.0));
    let start = Instant::now();
    send(&simulator, post(CHAT, HELLO)).await.unwrap();
    assert_eq!((Instant::now() - start).as_millis(), 8 + 2_090 + 900);
}

/// How long the second of two calls takes, with whose pace each has; the first goes to that path.
async fn second_took(paces: [Option<u64>; 2], path: &str) -> Duration {
    let simulator = Simulator::builder()
        .latency(Latency::typical())
        .deployment(Deployment::unlimited("gpt-4o"))
        .deployment(Deployment::unlimited("other"))
        .build();
    let mut took = Duration::ZERO;
    for (pace, path) in paces.into_iter().zip([path, CHAT]) {
        let mut request = post(path, HELLO);
        if let Some(pace) = pace {
            request.headers_mut().insert(PACE_HEADER, pace.into());
        }
        let start = Instant::now();
        send(&simulator, request).await.unwrap().into_body().collect().await.unwrap();
        took = Instant::now() - start;
    }
    took
}

#[tokio::test(start_paused = true)]
async fn a_pace_is_the_same_wherever_and_whenever_a_call_is_served() {
    let elsewhere = CHAT.replace("gpt-4o", "other");
    let seventh = second_took([None, Some(7)], CHAT).await;
    assert_eq!(second_took([Some(7), Some(7)], &elsewhere).await, seventh);
    assert_eq!(second_took([Some(3), Some(7)], CHAT).await, seventh);
    assert_ne!(second_took([None, Some(8)], CHAT).await, seventh);
    assert_ne!(second_took([None, None], CHAT).await, seventh, "by default each has its own");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_streams_at_once() {
    let deployment = Deployment::unlimited("gpt-4o");
    let simulator = Simulator::builder().latency(Latency::typical()).deployment(deployment).build();
    let mut set = tokio::task::JoinSet::new();
    for tokens in 0..1_000_u64 {
        let simulator = simulator.clone();
        set.spawn(async move {
            let mut request = post(CHAT, STREAM.replace(":3", ":2000"));
            request.headers_mut().insert(COMPLETION_TOKENS_HEADER, tokens.into());
            let response = send(&simulator, request).await.unwrap();
            frames(response.into_body()).await.0.len()
        });
    }
    let mut lengths = set.join_all().await;
    lengths.sort_unstable();
    // Beside content: the filter's, the role's, the finish, the end.
    assert!(lengths.into_iter().eq(4..1_004));
    let journal = simulator.journal();
    assert!(journal.iter().all(|served| served.ending == Ending::Complete));
}

#[tokio::test(start_paused = true)]
async fn an_estimate_may_be_biased_and_noisy() {
    let estimate = Estimate::default().bias(1.08).noise(0.1);
    let deployment = Deployment::standard("gpt-4o").tokens_per_minute(100_000_000).estimate(estimate);
    let simulator = Simulator::builder().deployment(deployment).build();
    for _ in 0..1_000 {
        let mut request = post(CHAT, HELLO);
        request.headers_mut().insert(PROMPT_TOKENS_HEADER, 1_000.into());
        send(&simulator, request).await.unwrap();
    }
    let charges: Vec<u64> = simulator.journal().iter().map(|s| s.reserved - 10).collect();
    let mean = charges.iter().sum::<u64>() / 1_000;
    assert!((1_065..1_095).contains(&mean), "{mean}");
    let within: usize = charges.iter().filter(|c| c.abs_diff(1_080) <= 108).count();
    assert!((640..720).contains(&within), "{within} within one deviation");
}
