//! Requests that are wrong, each with Azure's own error; and garbage, with no panic.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{CHAT, HELLO, answer, post, send};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use serde_json::{Value, json};
use tower_aoai_simulator::{ConnectionFault, Deployment, Simulator};

fn simulator() -> Simulator {
    Simulator::builder()
        .deployment(Deployment::unlimited("gpt-4o"))
        .deployment(Deployment::unlimited("embed").model("text-embedding-3-large"))
        .build()
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_is_denied_before_anything_else() {
    let simulator = Simulator::builder().api_key("right").build();
    let (status, body) = answer(&simulator, post("/nowhere", "not json")).await;
    assert_eq!(status, 401);
    assert_eq!(
        body,
        json!({"error": {"code": "401", "message": "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource."}})
    );
}

#[tokio::test(start_paused = true)]
async fn who_is_denied_learns_and_costs_nothing() {
    let simulator = Simulator::builder().api_key("right").deployment(Deployment::standard("gpt-4o")).build();
    let before = simulator.quota("gpt-4o");
    let response = send(&simulator, post(CHAT, HELLO)).await.unwrap();
    assert_eq!(response.status(), 401);
    for name in ["x-ms-region", "x-ms-deployment-name", "x-ratelimit-remaining-tokens"] {
        assert!(response.headers().get(name).is_none(), "{name}");
    }
    assert_eq!(simulator.quota("gpt-4o"), before);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_deployment_does_not_exist() {
    let message = "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again.";
    let simulator = simulator();
    let path = "/openai/deployments/nobody/chat/completions?api-version=2024-10-21";
    let (status, body) = answer(&simulator, post(path, "not json")).await;
    assert_eq!(status, 404);
    assert_eq!(body, json!({"error": {"code": "DeploymentNotFound", "message": message}}));

    let v1 = r#"{"model":"nobody","messages":[]}"#;
    let (status, body) = answer(&simulator, post("/openai/v1/chat/completions", v1)).await;
    assert_eq!(status, 404);
    assert_eq!(
        body["error"],
        json!({"code": "DeploymentNotFound", "message": message, "type": "invalid_request_error", "param": null})
    );
    assert_eq!(simulator.journal()[1].deployment.as_deref(), Some("nobody"));
}

#[tokio::test(start_paused = true)]
async fn unknown_addresses_are_not_found() {
    let simulator = simulator();
    for path in [
        "/",
        "/openai/deployments/gpt-4o/chat/completions",
        "/openai/deployments/gpt-4o/chat/completions?api-version=",
        "/openai/deployments/gpt-4o/responses?api-version=2024-10-21",
        "/openai/deployments/gpt-4o",
        "/openai/v1/nothing",
        "/models/chat/completions",
        "/openai/deployments/%/chat/completions",
    ] {
        let (status, body) = answer(&simulator, post(path, HELLO)).await;
        assert_eq!(status, 404, "{path}");
        assert_eq!(body, json!({"error": {"code": "404", "message": "Resource not found"}}));
    }
    let get = Request::get(CHAT).body(Full::default()).unwrap();
    assert_eq!(send(&simulator, get).await.unwrap().status(), 404);
}

#[tokio::test(start_paused = true)]
async fn wrong_bodies_are_told_what_is_wrong() {
    let simulator = simulator();
    let chat = r#""messages":[{"role":"user","content":"Hi"}]"#;
    for (body, param, code) in [
        ("", Value::Null, Value::Null),
        ("[1]", Value::Null, Value::Null),
        ("{", Value::Null, Value::Null),
        ("{}", json!("messages"), json!("missing_required_parameter")),
        (r#"{"messages":"Hi"}"#, json!("messages"), json!("invalid_type")),
        (r#"{"messages":[]}"#, json!("messages"), json!("empty_array")),
        (r#"{"messages":[1]}"#, json!("messages[0]"), json!("invalid_type")),
        (r#"{"messages":[{}]}"#, json!("messages[0].role"), json!("missing_required_parameter")),
        (r#"{"messages":[{"role":"user","content":7}]}"#, json!("messages[0].content"), json!("invalid_type")),
        (&format!(r#"{{{chat},"max_tokens":"ten"}}"#), json!("max_tokens"), json!("invalid_type")),
        (&format!(r#"{{{chat},"max_tokens":1.5}}"#), json!("max_tokens"), json!("invalid_type")),
        (&format!(r#"{{{chat},"max_tokens":0}}"#), json!("max_tokens"), json!("integer_below_min_value")),
        (&format!(r#"{{{chat},"max_tokens":-4}}"#), json!("max_tokens"), json!("integer_below_min_value")),
        (&format!(r#"{{{chat},"max_tokens":20000}}"#), json!("max_tokens"), json!("invalid_value")),
        (&format!(r#"{{{chat},"n":129}}"#), json!("n"), json!("integer_above_max_value")),
        (&format!(r#"{{{chat},"stream":1}}"#), json!("stream"), json!("invalid_type")),
        (&format!(r#"{{{chat},"stream_options":{{"include_usage":true}}}}"#), json!("stream_options"), Value::Null),
        (&format!(r#"{{{chat},"stream":true,"stream_options":[]}}"#), json!("stream_options"), json!("invalid_type")),
    ] {
        let (status, answer) = answer(&simulator, post(CHAT, body.to_owned())).await;
        assert_eq!(status, 400, "{body}: {answer}");
        let error = &answer["error"];
        assert_eq!((&error["param"], &error["code"]), (&param, &code), "{body}: {answer}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    let body = format!(r#"{{{chat},"max_tokens":20000}}"#);
    let (_, answer) = answer(&simulator, post(CHAT, body)).await;
    assert_eq!(
        answer["error"]["message"],
        "max_tokens is too large: 20000. This model supports at most 16384 completion tokens, whereas you provided 20000."
    );
}

#[tokio::test(start_paused = true)]
async fn old_versions_do_not_know_stream_options() {
    let simulator = simulator();
    for (version, expected) in
        [("2024-02-01", 400), ("2024-06-01", 400), ("2024-10-21", 200), ("2025-01-01-preview", 200)]
    {
        let path = format!("/openai/deployments/gpt-4o/chat/completions?api-version={version}");
        let response = send(&simulator, post(&path, common::STREAM_USAGE)).await.unwrap();
        assert_eq!(response.status(), expected, "{version}");
        if expected == 400 {
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["error"]["code"], "unknown_parameter");
            assert_eq!(body["error"]["param"], "stream_options");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_does_what_it_can() {
    let simulator = simulator();
    for (path, body) in [
        ("/openai/deployments/gpt-4o/embeddings?api-version=2024-10-21", r#"{"input":"Hi"}"#),
        ("/openai/deployments/embed/chat/completions?api-version=2024-10-21", HELLO),
    ] {
        let (status, body) = answer(&simulator, post(path, body)).await;
        assert_eq!(status, 400);
        assert_eq!(body["error"]["code"], "OperationNotSupported");
    }
    let path = "/openai/deployments/embed/embeddings?api-version=2024-10-21";
    let many = json!({"input": vec!["a"; 2_049]}).to_string();
    let (status, body) = answer(&simulator, post(path, many)).await;
    assert_eq!(status, 400);
    assert_eq!(body["error"]["code"], "array_above_max_length");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_is_a_fault_and_no_entry() {
    struct Failing;
    impl http_body::Body for Failing {
        type Data = bytes::Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>> {
            std::task::Poll::Ready(Some(Err(std::io::Error::other("gone"))))
        }
    }
    let simulator = simulator();
    let request = Request::post(CHAT).body(Failing).unwrap();
    let fault = tower::ServiceExt::oneshot(simulator.clone(), request).await.unwrap_err();
    assert_eq!(fault, ConnectionFault::RequestBody);
    assert!(simulator.journal().is_empty());
}

/// JSON of any shape, with the keys that are looked at.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(Value::from("gpt-4o")),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let key = prop::sample::select(vec![
            "messages",
            "role",
            "content",
            "text",
            "model",
            "max_tokens",
            "max_output_tokens",
            "n",
            "best_of",
            "stream",
            "stream_options",
            "include_usage",
            "input",
            "prompt",
            "dimensions",
            "encoding_format",
            "tools",
            "tool_calls",
            "name",
            "instructions",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..8)
                .prop_map(|fields| { fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect() }),
        ]
    })
}

fn paths() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            CHAT.to_owned(),
            "/openai/deployments/gpt-4o/completions?api-version=2024-10-21".to_owned(),
            "/openai/deployments/embed/embeddings?api-version=2024-10-21".to_owned(),
            "/openai/v1/responses".to_owned(),
            "/openai/v1/embeddings".to_owned(),
            "/models/chat/completions?api-version=1".to_owned(),
        ]),
        "/[a-z0-9/%?=&.-]{0,40}",
        "/openai/deployments/[a-z%0-9]{0,8}/chat/completions\\?api-version=[%0-9a-z-]{0,9}",
    ]
}

proptest! {
    /// Whatever comes, an answer goes out, whole, and it is never the service's own fault.
    #[test]
    fn garbage_is_answered(
        path in paths(), body in prop_oneof![
            json().prop_map(|body| body.to_string().into_bytes()),
            prop::collection::vec(any::<u8>(), 0..64),
        ],
        header in prop::collection::vec(32_u8..127, 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async move {
            let simulator = simulator();
            let Ok(mut request) = Request::builder().method(Method::POST).uri(&path)
                .body(Full::new(body.into())) else { return Ok(()) };
            for name in [
                "x-simulator-completion-tokens", "x-simulator-prompt-tokens", "api-key",
                "authorization",
            ] {
                request.headers_mut().insert(name, header.as_slice().try_into().unwrap());
            }
            let response = send(&simulator, request).await.unwrap();
            let status = response.status().as_u16();
            prop_assert!(matches!(status, 200 | 400 | 404), "{status}");
            response.into_body().collect().await.unwrap();
            prop_assert_eq!(simulator.journal().len(), 1);
            prop_assert!(simulator.journal()[0].ended.is_some());
            Ok(())
        })?;
    }
}
