//! The admin API, the token endpoint, and garbage: the server's routes without a socket.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use axum::{Router, body::Body};
use http::{Method, Request};
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_aoai_simulator::{Deployment, Simulator, TokenIssuer, World, server::router};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const HELLO: &str = r#"{"messages":[{"role":"user","content":"Hello"}],"max_tokens":5}"#;
const STREAM: &str = r#"{"messages":[{"role":"user","content":"Hello"}],"max_tokens":5,"stream":true}"#;

fn world() -> World {
    let issuer = TokenIssuer::new().client("app", "pass&word");
    let sweden = Simulator::builder()
        .deployment(Deployment::standard("gpt-4o"))
        .deployment(Deployment::provisioned("ptu").model("gpt-4o"));
    let east = Simulator::builder().region("East US").token_issuer(issuer).deployment(Deployment::unlimited("gpt-4o"));
    World::builder().resource("sweden", sweden.build()).resource("east", east.build()).build()
}

async fn call(router: &Router, method: Method, path: &str, body: impl Into<Body>) -> (u16, String) {
    let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    // A cut answer ends with an error.
    let body = response.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    (status, String::from_utf8_lossy(&body).into_owned())
}

async fn json(router: &Router, method: Method, path: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, text) = call(router, method, path, body).await;
    (status, serde_json::from_str(&text).unwrap())
}

async fn status(router: &Router, path: &str) -> u16 {
    call(router, Method::POST, path, HELLO).await.0
}

#[tokio::test(start_paused = true)]
async fn answers_are_dictated() {
    let router = router(world());
    let script = json!({"deployment": "gpt-4o", "answers": [
        {"kind": "rate_limited", "after_ms": 1500, "times": 2}, {"kind": "status", "status": 500},
        {"kind": "text", "text": "Hello you", "headers": {"x-extra": "1"}},
    ]});
    let (code, reply) = json(&router, Method::POST, "/_simulator/script", script).await;
    assert_eq!((code, reply), (200, json!({"dictated": 4})));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(status(&router, CHAT).await);
    }
    assert_eq!(statuses, [429, 429, 500]);
    let (_, answer) = json(&router, Method::POST, CHAT, serde_json::from_str(HELLO).unwrap()).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello you");
    // Nothing is left, and another resource's deployment of that name had none of it.
    assert_eq!(status(&router, CHAT).await, 200);
}

#[tokio::test(start_paused = true)]
async fn every_kind_there_is() {
    let router = router(world());
    for (answer, code) in [
        (json!({"kind": "ok"}), 200),
        (json!({"kind": "tool_calls", "calls": [{"name": "f", "arguments": {"a": 1}}]}), 200),
        (json!({"kind": "rate_limited"}), 429),
        (json!({"kind": "rate_limited", "seconds": 3}), 429),
        (json!({"kind": "rate_limited_zero"}), 429),
        (json!({"kind": "too_large"}), 429),
        (json!({"kind": "no_capacity"}), 429),
        (json!({"kind": "gateway_rate_limited", "seconds": 50}), 429),
        (json!({"kind": "refused_stream", "after_ms": 10}), 200),
        (json!({"kind": "response", "status": 418, "body": {"a": 1}}), 418),
        (json!({"kind": "content_filter"}), 400),
        (json!({"kind": "context_length"}), 400),
        (json!({"kind": "filtered", "events": 1}), 200),
        (json!({"kind": "virtual_network"}), 403),
        (json!({"kind": "permission_denied"}), 401),
        (json!({"kind": "wrong_key"}), 401),
        (json!({"kind": "plain_text_503"}), 503),
        // Where there is no socket to break.
        (json!({"kind": "reset"}), 502),
        (json!({"kind": "cut", "events": 1}), 200),
        (json!({"kind": "error", "events": 1}), 200),
        (json!({"kind": "end", "events": 1}), 200),
        (json!({"kind": "malformed", "events": 1}), 200),
        (json!({"kind": "without_done"}), 200),
        (json!({"kind": "events", "pieces": ["data: x\n\n"]}), 200),
        (json!({"kind": "drip", "bytes": 9, "gap_ms": 1}), 200),
        (
            json!({"kind": "ok", "delay_ms": 5, "first_token_ms": 9, "gap_ms": 1, "without_headers": ["x-request-id"]}),
            200,
        ),
    ] {
        let script = json!({"answers": [answer]});
        let (dictated, reply) = json(&router, Method::POST, "/_simulator/script", script).await;
        assert_eq!(dictated, 200, "{reply}");
        assert_eq!(call(&router, Method::POST, CHAT, STREAM).await.0, code, "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn mistakes_are_explained() {
    let router = router(world());
    let script = "/_simulator/script";
    for (path, method, body, part) in [
        (script, Method::POST, json!({"answers": []}), "at least one"),
        (
            script,
            Method::POST,
            json!({"answers": [{"kind": "nonsense"}]}),
            "answers[0]: kind: \"nonsense\" is none of ok, text",
        ),
        (script, Method::POST, json!({"answers": [{"kind": "cut"}]}), "\"cut\" needs events"),
        (script, Method::POST, json!({"answers": [{"kind": "ok", "evnts": 1}]}), "unknown field `evnts`"),
        (script, Method::POST, json!({"answers": [{"kind": "status", "status": 99}]}), "from 200 to 599"),
        (script, Method::POST, json!({"answers": [{"kind": "ok"}], "probability": 2}), "from 0 to 1"),
        (script, Method::POST, json!({"answers": [{"kind": "ok"}], "in_ms": 2}), "needs for_ms"),
        (script, Method::POST, json!({"answers": [{"kind": "ok", "times": 1_000_000}]}), "at most"),
        (script, Method::POST, json!({"resource": "x", "answers": [{"kind": "ok"}]}), "there are sweden, east"),
        (script, Method::POST, json!({"deployment": "a", "region": "b", "answers": [{"kind": "ok"}]}), "not both"),
        ("/_simulator/deployments/x", Method::PATCH, json!({}), "there are gpt-4o, ptu"),
        ("/_simulator/deployments/ptu", Method::PATCH, json!({"tokens_per_minute": 1}), "no standard deployment"),
        ("/_simulator/deployments/gpt-4o", Method::PATCH, json!({"header_style": "x"}), "none of \"full\""),
        ("/_simulator/deployments/gpt-4o", Method::PATCH, json!({"slowness": -1}), "at least 0"),
        ("/_simulator/journal?since=x", Method::GET, Value::Null, "sequence number"),
        ("/_simulator/tokens?token=x", Method::DELETE, Value::Null, "none that is good"),
        ("/_simulator/nothing", Method::GET, Value::Null, "no such route"),
        ("/_simulator/clock", Method::POST, Value::Null, "no such route"),
    ] {
        let (code, reply) = json(&router, method, path, body).await;
        assert!(code == 400 || code == 404, "{path}: {code}");
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(message.contains(part), "{path}: {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn outages_and_chances() {
    let router = router(world());
    let down =
        json!({"region": "eastus", "in_ms": 1000, "for_ms": 1000, "answers": [{"kind": "status", "status": 503}]});
    json(&router, Method::POST, "/_simulator/script", down).await;
    let world_east = "/east/openai/v1/models";
    // The other resource listens to tokens only.
    assert_eq!(call(&router, Method::GET, world_east, "").await.0, 401);
    let (_, token) = json(&router, Method::POST, "/_simulator/tokens", json!({"lifetime_seconds": 60})).await;
    let east = async || {
        let request = Request::post(format!("/east{CHAT}"))
            .header("authorization", format!("Bearer {}", token["access_token"].as_str().unwrap()));
        let response = router.clone().oneshot(request.body(Body::from(HELLO)).unwrap()).await.unwrap();
        response.status().as_u16()
    };
    assert_eq!(east().await, 200);
    tokio::time::advance(std::time::Duration::from_millis(1_500)).await;
    assert_eq!((east().await, status(&router, CHAT).await), (503, 200));
    tokio::time::advance(std::time::Duration::from_millis(1_000)).await;
    assert_eq!(east().await, 200);

    let chance = json!({"deployment": "gpt-4o", "probability": 1.0, "answers": [{"kind": "status", "status": 500}]});
    json(&router, Method::POST, "/_simulator/script", chance).await;
    assert_eq!(status(&router, CHAT).await, 500);
    json(&router, Method::DELETE, "/_simulator/script", Value::Null).await;
    assert_eq!(status(&router, CHAT).await, 200);
    // Revoked, all of them.
    json(&router, Method::DELETE, "/_simulator/tokens", Value::Null).await;
    assert_eq!(east().await, 401);
}

#[tokio::test(start_paused = true)]
async fn limits_change_and_everything_comes_back() {
    let router = router(world());
    let change = json!({"tokens_per_minute": 6, "requests_per_minute": 600, "slowness": 2.0, "header_style": "remaining_only", "retry_hints": "seconds"});
    let (code, _) = json(&router, Method::PATCH, "/_simulator/deployments/gpt-4o", change).await;
    assert_eq!(code, 200);
    assert_eq!(status(&router, CHAT).await, 429);
    let (_, quotas) = json(&router, Method::GET, "/_simulator/quota", Value::Null).await;
    assert_eq!(quotas[0]["quota"]["limit_tokens"], 6);
    assert_eq!(quotas[1]["quota"]["kind"], "provisioned");
    assert_eq!(quotas[2], json!({"resource": "east", "deployment": "gpt-4o", "quota": {"kind": "unlimited"}}));
    json(&router, Method::POST, "/_simulator/reset", Value::Null).await;
    let (_, quotas) = json(&router, Method::GET, "/_simulator/quota", Value::Null).await;
    assert_eq!(quotas[0]["quota"]["limit_tokens"], 30_000);
    assert_eq!(status(&router, CHAT).await, 200);
}

#[tokio::test(start_paused = true)]
async fn the_journal_is_told() {
    let router = router(world());
    status(&router, CHAT).await;
    tokio::time::advance(std::time::Duration::from_millis(1_250)).await;
    status(&router, &CHAT.replace("gpt-4o", "nobody")).await;
    let (_, journal) = json(&router, Method::GET, "/_simulator/journal", Value::Null).await;
    let entries = journal["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["ending"], "complete");
    assert_eq!(entries[0]["completion_tokens"], 5);
    assert_eq!((&entries[1]["status"], &entries[1]["arrived_ms"]), (&json!(404), &json!(1250.0)));
    let (_, journal) = json(&router, Method::GET, "/_simulator/journal?since=1", Value::Null).await;
    assert_eq!(journal["entries"].as_array().unwrap().len(), 1);
    let (_, journal) = json(&router, Method::GET, "/_simulator/journal?deployment=gpt-4o", Value::Null).await;
    assert_eq!(journal["entries"].as_array().unwrap().len(), 1);
    json(&router, Method::DELETE, "/_simulator/journal", Value::Null).await;
    let (_, journal) = json(&router, Method::GET, "/_simulator/journal", Value::Null).await;
    assert_eq!(journal, json!({"entries": [], "forgotten": 2}));
    let (_, clock) = json(&router, Method::GET, "/_simulator/clock", Value::Null).await;
    assert_eq!(clock, json!({"since_start_ms": 1250.0, "unix_time": 1_700_000_001}));
    for path in ["/_simulator", "/_simulator/"] {
        let (_, about) = json(&router, Method::GET, path, Value::Null).await;
        assert_eq!(about["resources"][1]["name"], "east");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_are_granted_to_clients() {
    let router = router(world());
    let grant = async |form: &'static str| {
        let (status, text) = call(&router, Method::POST, "/my-tenant/oauth2/v2.0/token", form).await;
        (status, serde_json::from_str::<Value>(&text).unwrap())
    };
    let good = "grant_type=client_credentials&client_id=app&client_secret=pass%26word&scope=https%3A%2F%2Fai.azure.com%2F.default";
    let (status, token) = grant(good).await;
    assert_eq!(status, 200);
    assert_eq!((&token["token_type"], &token["expires_in"]), (&json!("Bearer"), &json!(3_600)));
    for (form, status, error) in [
        ("", 400, "invalid_request"),
        ("grant_type=password", 400, "unsupported_grant_type"),
        ("grant_type=client_credentials", 400, "invalid_request"),
        ("grant_type=client_credentials&scope=x&client_id=app", 400, "invalid_request"),
        ("grant_type=client_credentials&scope=x&client_id=app&client_secret=wrong", 401, "invalid_client"),
    ] {
        let (got, body) = grant(form).await;
        assert_eq!((got, body["error"].as_str().unwrap()), (status, error));
    }
}

/// Paths that come near to being right.
fn paths() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "openai",
        "deployments",
        "gpt-4o",
        "chat",
        "completions",
        "embeddings",
        "responses",
        "v1",
        "models",
        "_simulator",
        "script",
        "journal",
        "reset",
        "tokens",
        "oauth2",
        "v2.0",
        "token",
        "east",
        "%ff",
        "%2F",
        "..",
        "",
        "é",
    ]);
    let queries = prop::sample::select(vec!["", "?api-version=2024-10-21", "?since=9", "?%", "?a=b&&=&"]);
    (prop::collection::vec(parts, 0..7), queries).prop_map(|(parts, query)| format!("/{}{query}", parts.join("/")))
}

/// Bodies that come near to being right.
fn bodies() -> impl Strategy<Value = String> {
    let fields = vec![
        r#""model":"gpt-4o""#,
        r#""model":1"#,
        r#""messages":[{"role":"user","content":"x"}]"#,
        r#""messages":[{}]"#,
        r#""messages":{"a":[]}"#,
        r#""input":"x""#,
        r#""input":[[1],["a"]]"#,
        r#""prompt":[1,2]"#,
        r#""stream":true"#,
        r#""stream":"yes""#,
        r#""n":3"#,
        r#""n":-1"#,
        r#""max_tokens":1e99"#,
        r#""max_tokens":18446744073709551615"#,
        r##""tools":[{"type":"function","function":{"name":"f","parameters":{"$ref":"#"}}}]"##,
        r#""tools":[{"name":"f"}]"#,
        r#""tool_choice":"required""#,
        r#""tool_choice":{"type":"function"}"#,
        r#""stream_options":{"include_usage":true}"#,
        r#""answers":[{"kind":"cut","events":1}]"#,
        r#""answers":[{"kind":"events","pieces":[""]}]"#,
        r#""probability":0.5"#,
        r#""for_ms":18446744073709551615"#,
        r#""dimensions":0"#,
        r#""encoding_format":"base64""#,
        r#""lifetime_seconds":18446744073709551615"#,
    ];
    let near = prop::collection::vec(prop::sample::select(fields), 0..6);
    prop_oneof![
        6 => near.prop_map(|fields| format!("{{{}}}", fields.join(","))),
        1 => any::<String>(),
        1 => prop::collection::vec(any::<u8>(), 0..64).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    /// Whatever is sent: an answer, and never one that says the server had an error of its own.
    #[test]
    fn garbage_gets_an_answer(
        path in paths(),
        body in bodies(),
        method in prop::sample::select(vec![Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::HEAD, Method::OPTIONS]),
        header in "[ -~]{0,20}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let router = router(world());
            let Ok(request) = Request::builder()
                .method(method).uri(&path).header("host", &header).header("authorization", &header)
                .header("x-simulator-prompt-tokens", &header).body(Body::from(body)) else { return };
            let response = router.oneshot(request).await.unwrap();
            assert!(response.status().as_u16() < 500, "{path}: {}", response.status());
            let _ = response.into_body().collect().await;
        });
    }
}
#[tokio::test(start_paused = true)]
async fn a_typing_error_is_no_fault_that_never_comes() {
    let router = router(world());
    let answers = json!([{"kind": "reset"}]);
    for (target, says) in [
        (json!({"deployment": "gpt-40", "answers": answers}), "there are gpt-4o, ptu"),
        (json!({"region": "Atlantis", "answers": answers}), "East US"),
    ] {
        let (code, reply) = json(&router, Method::POST, "/_simulator/script", target).await;
        assert_eq!(code, 404);
        assert!(reply["error"]["message"].as_str().unwrap().contains(says), "{reply}");
    }
    let (code, _) =
        json(&router, Method::POST, "/_simulator/script", json!({"deployment": "gpt-4o", "answers": answers})).await;
    assert_eq!(code, 200);
    let forget_one = "/_simulator/script?deployment=gpt-4o";
    assert_eq!(call(&router, Method::DELETE, forget_one, "").await.0, 400, "it would forget all");
    assert_eq!(call(&router, Method::GET, "/_simulator/journal?limit=5", "").await.0, 400);
    assert_eq!(call(&router, Method::POST, "/_simulator/reset", "").await.0, 200);
}
