//! Answers that do not succeed: each by its status, headers and body.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::{CHAT, HELLO, answer, data, frames, header, post, send};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower_aoai_simulator::{
    CACHED_TOKENS_HEADER, Deployment, Estimate, HeaderStyle, PROMPT_TOKENS_HEADER, RetryHints, Simulator, Wording,
    quota::{QuotaSnapshot, RefusalReason, RequestLimit, TokenLimit},
};

fn simulator(deployment: Deployment) -> Simulator {
    Simulator::builder().deployment(deployment).build()
}

/// 333,000 tokens a minute, brought to a balance of -27,689: the captured case.
async fn in_debt(deployment: Deployment) -> Simulator {
    let deployment = deployment.tokens_per_minute(333_000).context_window(1_000_000);
    let simulator = simulator(deployment);
    for prompt in [332_000_u64, 28_669] {
        let mut request = post(CHAT, HELLO);
        request.headers_mut().insert(PROMPT_TOKENS_HEADER, prompt.into());
        let response = send(&simulator, request).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    simulator
}

#[tokio::test(start_paused = true)]
async fn a_token_refusal_is_to_the_letter() {
    let simulator = in_debt(Deployment::standard("gpt-4o")).await;
    let response = send(&simulator, post(CHAT, HELLO)).await.unwrap();
    assert_eq!(response.status(), 429);
    for (name, value) in [
        ("retry-after", "4"),
        // 27,689 at 5,550 a second, rounded up.
        ("retry-after-ms", "4990"),
        ("x-ratelimit-limit-tokens", "333000"),
        ("x-ratelimit-remaining-tokens", "-27689"),
        ("x-ratelimit-reset-tokens", "64"),
        ("x-ratelimit-renewalperiod-tokens", "60"),
        ("x-ratelimit-limit-requests", "1998"),
        ("x-ratelimit-remaining-requests", "1995"),
        ("x-ratelimit-renewalperiod-requests", "10"),
        ("x-ratelimit-reset-requests", "0"),
        ("x-ratelimit-type", "Tokens"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(header(&response, name), Some(value), "{name}");
    }
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        body,
        json!({"error": {"code": "429", "message": "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 4 seconds. Please go here: https://aka.ms/oai/quotaincrease if you would like to further increase the default rate limit."}})
    );
    let served = simulator.journal().pop().unwrap();
    assert_eq!(served.refused, Some(RefusalReason::Tokens));
    assert_eq!(served.retry_hint, Some(Duration::from_millis(4_990)));

    // The hint is obeyed: a nanosecond short of it is too early, which is why it is rounded up.
    tokio::time::advance(Duration::from_millis(4_990)).await;
    assert_eq!(send(&simulator, post(CHAT, HELLO)).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_call_refusal_names_the_call_rate() {
    let second = Duration::from_secs(1);
    let deployment = Deployment::standard("gpt-4o").requests_per_minute(60).request_limit(RequestLimit::Fixed(second));
    let simulator = simulator(deployment);
    assert_eq!(send(&simulator, post(CHAT, HELLO)).await.unwrap().status(), 200);
    let response = send(&simulator, post(CHAT, HELLO)).await.unwrap();
    assert_eq!(header(&response, "retry-after"), Some("1"));
    assert_eq!(header(&response, "retry-after-ms"), Some("1000"));
    assert_eq!(header(&response, "x-ratelimit-type"), Some("Requests"));
    assert_eq!(header(&response, "x-ratelimit-renewalperiod-requests"), Some("1"));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.contains("have exceeded call rate limit"), "{text}");
    assert!(text.contains("Please retry after 1 second."), "singular: {text}");
}

#[tokio::test(start_paused = true)]
async fn other_words_of_refusal() {
    let deployment = Deployment::standard("gpt-4o").model("gpt-4.1-nano");
    let simulator = in_debt(deployment.wording(Wording::Regional)).await;
    let (_, body) = answer(&simulator, post(CHAT, HELLO)).await;
    assert_eq!(
        body["error"]["message"],
        "Your requests to gpt-4o for gpt-4.1-nano in Sweden Central have exceeded the token rate limit for your current AIServices S0 pricing tier. This request was for ChatCompletions_Create under Azure OpenAI API version 2024-10-21. Please retry after 4 seconds."
    );
    let v1 = HELLO.replacen('{', r#"{"model":"gpt-4o","#, 1);
    let simulator = in_debt(Deployment::standard("gpt-4o")).await;
    let (status, body) = answer(&simulator, post("/openai/v1/chat/completions", v1)).await;
    assert_eq!(status, 429);
    assert_eq!(
        body,
        json!({"error": {
            "message": "Your requests to gpt-4o for gpt-4o in swedencentral have exceeded token rate limit.",
            "type": "too_many_requests", "param": null, "code": "rate_limit_exceeded",
        }})
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_above_the_quota_is_told_a_day() {
    let simulator = simulator(Deployment::standard("gpt-4o").tokens_per_minute(1_000));
    let body = HELLO.replace("10", "1000");
    let response = send(&simulator, post(CHAT, body)).await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(header(&response, "retry-after"), Some("86400"));
    assert_eq!(header(&response, "retry-after-ms"), None);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8(body.to_vec()).unwrap().contains("Please retry after 86400 seconds."));
    assert_eq!(simulator.journal()[0].refused, Some(RefusalReason::TooLarge));
}

#[tokio::test(start_paused = true)]
async fn quirks_of_headers() {
    let zero = Deployment::standard("gpt-4o").retry_hints(RetryHints::ZeroMilliseconds);
    let response = send(&in_debt(zero).await, post(CHAT, HELLO)).await.unwrap();
    assert_eq!(header(&response, "retry-after"), Some("1"));
    assert_eq!(header(&response, "retry-after-ms"), Some("0"));
    assert_eq!(header(&response, "x-ratelimit-reset-tokens"), Some("0"));

    let seconds = Deployment::standard("gpt-4o").retry_hints(RetryHints::Seconds);
    let response = send(&in_debt(seconds).await, post(CHAT, HELLO)).await.unwrap();
    assert_eq!(header(&response, "retry-after"), Some("4"));
    assert_eq!(header(&response, "retry-after-ms"), None);

    let old = Deployment::standard("gpt-4o").header_style(HeaderStyle::RemainingOnly);
    let response = send(&in_debt(old).await, post(CHAT, HELLO)).await.unwrap();
    let mut names: Vec<_> = response
        .headers()
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|name| name.starts_with("x-ratelimit"))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens"]);

    let minus = Deployment::standard("gpt-4o").header_style(HeaderStyle::MinusOne);
    let response = send(&in_debt(minus).await, post(CHAT, HELLO)).await.unwrap();
    assert_eq!(response.status(), 429);
    for kind in ["tokens", "requests"] {
        assert_eq!(header(&response, &format!("x-ratelimit-limit-{kind}")), Some("-1"));
        assert_eq!(header(&response, &format!("x-ratelimit-remaining-{kind}")), Some("-1"));
        assert_eq!(header(&response, &format!("x-ratelimit-reset-{kind}")), Some("0"));
    }
    assert_eq!(header(&response, "retry-after"), None);
}

#[tokio::test(start_paused = true)]
async fn a_streamed_response_is_refused_inside_its_stream() {
    let simulator = in_debt(Deployment::standard("gpt-4o")).await;
    let body = r#"{"model":"gpt-4o","input":"Hello","stream":true}"#;
    let response = send(&simulator, post("/openai/v1/responses", body)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "retry-after"), Some("4"));
    let (frames, fault) = frames(response.into_body()).await;
    assert_eq!(fault, None);
    assert_eq!(frames.len(), 3);
    assert!(frames[1].starts_with("event: error\ndata: "));
    let error = data(&frames[1]);
    assert_eq!(error["error"]["type"], "too_many_requests");
    assert_eq!(error["error"]["code"], "rate_limit_exceeded");
    assert_eq!(error["error"]["headers"]["x-ms-fe-error"], "true");
    let failed = data(&frames[2]);
    assert_eq!(failed["type"], "response.failed");
    assert_eq!(failed["response"]["error"]["code"], "rate_limit_exceeded");
    let served = simulator.journal().pop().unwrap();
    assert_eq!(served.refused, Some(RefusalReason::Tokens));
    assert_eq!(served.completion_tokens, 0);
}

#[tokio::test(start_paused = true)]
async fn provisioned_throughput_rises_refuses_and_drains() {
    // 15 units of gpt-4o: 37,500 weighted tokens a minute.
    let deployment = Deployment::provisioned("gpt-4o").units(15);
    let simulator = simulator(deployment);
    let ask = |prompt: u64, cached: u64| {
        let mut request = post(CHAT, HELLO);
        request.headers_mut().insert(PROMPT_TOKENS_HEADER, prompt.into());
        request.headers_mut().insert(CACHED_TOKENS_HEADER, cached.into());
        request
    };
    let response = send(&simulator, ask(37_500, 0)).await.unwrap();
    assert_eq!(response.status(), 200);
    let utilisation = header(&response, "azure-openai-deployment-utilization").unwrap();
    assert_eq!(utilisation, "100.1%", "37,500 and ten tokens of output at four each");
    let names = response.headers().keys().map(http::HeaderName::as_str);
    assert!(!names.into_iter().any(|name| name.starts_with("x-ratelimit")));

    let response = send(&simulator, ask(100, 0)).await.unwrap();
    assert_eq!(response.status(), 429);
    // 40 above at 625 a second.
    assert_eq!(header(&response, "retry-after-ms"), Some("64"));
    assert_eq!(header(&response, "retry-after"), Some("1"));
    assert_eq!(header(&response, "azure-openai-deployment-utilization"), Some("100.1%"));
    assert_eq!(header(&response, "x-ms-deployment-name"), Some("gpt-4o"));
    assert_eq!(simulator.journal()[1].refused, Some(RefusalReason::Utilisation));

    tokio::time::advance(Duration::from_millis(63)).await;
    assert_eq!(send(&simulator, ask(100, 0)).await.unwrap().status(), 429);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(send(&simulator, ask(1_000, 1_000)).await.unwrap().status(), 200);
    assert_eq!(simulator.journal()[3].reserved, 40, "cached tokens cost nothing");
}

#[tokio::test(start_paused = true)]
async fn provisioned_estimates_are_corrected_when_the_answer_is_known() {
    let deployment = Deployment::provisioned("ptu").model("gpt-4o").estimate(Estimate::default().default_output(1_000));
    let simulator = simulator(deployment);
    let path = "/openai/deployments/ptu/chat/completions?api-version=2024-10-21";
    let utilisation = || match simulator.quota("ptu") {
        Some(QuotaSnapshot::Provisioned { utilisation }) => utilisation,
        other => panic!("{other:?}"),
    };
    // Two tokens by characters and 1,000 of output are reserved; nine and 32 are used.
    let body = r#"{"messages":[{"role":"user","content":"Hello"}]}"#;
    let response = send(&simulator, post(path, body)).await.unwrap();
    assert_eq!(simulator.journal()[0].reserved, 4_002);
    assert_eq!(header(&response, "azure-openai-deployment-utilization"), Some("10.7%"));
    let used = f64::from(9 + 32 * 4) / 37_500.0 * 100.0;
    assert!((utilisation() - used).abs() < 1e-9, "a whole answer is finished work");

    // A stream that is dropped half-way has used what was handed over.
    let body = r#"{"messages":[{"role":"user","content":"Hello"}],"stream":true}"#;
    let mut stream = send(&simulator, post(path, body)).await.unwrap().into_body();
    for _ in 0..4 {
        stream.frame().await.unwrap().unwrap();
    }
    drop(stream);
    let used = used + f64::from(9 + 2 * 4) / 37_500.0 * 100.0;
    assert!((utilisation() - used).abs() < 1e-9);
    assert_eq!(simulator.journal()[1].completion_tokens, 2);

    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(utilisation() == 0.0);
}

#[tokio::test(start_paused = true)]
async fn long_prompts_are_refused_where_they_are() {
    let long = |path: &str| {
        let mut request = post(path, r#"{"messages":[{"role":"user","content":"Hello"}]}"#);
        request.headers_mut().insert(PROMPT_TOKENS_HEADER, 192_041.into());
        request
    };
    let simulator = simulator(Deployment::unlimited("gpt-4o"));
    let (status, body) = answer(&simulator, long(CHAT)).await;
    assert_eq!(status, 400);
    assert_eq!(
        body["error"],
        json!({
            "message": "This model's maximum context length is 128000 tokens. However, your messages resulted in 192041 tokens. Please reduce the length of the messages.",
            "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded",
        })
    );
    // The window of gpt-4.1 is larger, but not on provisioned throughput.
    for (deployment, expected) in [
        (Deployment::provisioned("gpt-4o").model("gpt-4.1").units(1_000), 400),
        (Deployment::unlimited("gpt-4o").model("gpt-4.1"), 200),
        (Deployment::provisioned("gpt-4o").model("gpt-4.1").prompt_limit(None).units(1_000), 200),
    ] {
        let simulator = Simulator::builder().deployment(deployment).build();
        assert_eq!(send(&simulator, long(CHAT)).await.unwrap().status(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn fixed_and_sliding_minutes_are_in_force() {
    let phase = Duration::from_secs(20);
    for (limit, wait) in [(TokenLimit::FixedMinute { phase }, 20), (TokenLimit::SlidingMinute, 60)] {
        let deployment = Deployment::standard("gpt-4o").tokens_per_minute(12).token_limit(limit);
        let simulator = simulator(deployment.requests_per_minute(1_000));
        assert_eq!(send(&simulator, post(CHAT, HELLO)).await.unwrap().status(), 200);
        let response = send(&simulator, post(CHAT, HELLO)).await.unwrap();
        assert_eq!(response.status(), 429);
        assert_eq!(header(&response, "retry-after-ms"), Some(format!("{wait}000").as_str()));
        assert_eq!(header(&response, "retry-after"), Some(wait.to_string().as_str()));
        assert_eq!(header(&response, "x-ratelimit-remaining-tokens"), Some("0"));
        tokio::time::advance(Duration::from_secs(wait)).await;
        assert_eq!(send(&simulator, post(CHAT, HELLO)).await.unwrap().status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lowered_quota_is_shown() {
    let simulator = simulator(Deployment::standard("gpt-4o").tokens_per_minute(60_000));
    assert!(simulator.set_tokens_per_minute("gpt-4o", 30_000));
    assert!(!simulator.set_tokens_per_minute("nobody", 30_000));
    let response = send(&simulator, post(CHAT, HELLO)).await.unwrap();
    assert_eq!(header(&response, "x-ratelimit-limit-tokens"), Some("30000"));
    assert_eq!(header(&response, "x-ratelimit-remaining-tokens"), Some("29988"));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_as_told_is_never_refused_twice() {
    let simulator = simulator(Deployment::standard("gpt-4o").tokens_per_minute(600));
    let start = Instant::now();
    let mut refusals = 0;
    for _ in 0..200 {
        let response = send(&simulator, post(CHAT, HELLO)).await.unwrap();
        if response.status() == 200 {
            continue;
        }
        refusals += 1;
        let wait: u64 = header(&response, "retry-after-ms").unwrap().parse().unwrap();
        tokio::time::sleep(Duration::from_millis(wait)).await;
        assert_eq!(send(&simulator, post(CHAT, HELLO)).await.unwrap().status(), 200);
    }
    assert!(refusals > 0 && start < Instant::now());
}
