//! Every error that is known of the service, field by field: dictated, and provoked where a
//! request can provoke it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::{CHAT, HELLO, post, send};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower_aoai_simulator::{Deployment, Scripted, Simulator, TokenIssuer, Wording};

const V1: &str = "/openai/v1/chat/completions";
const V1_HELLO: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}],"max_tokens":10}"#;

fn simulator() -> Simulator {
    Simulator::builder()
        .deployment(Deployment::standard("gpt-4o").tokens_per_minute(60_000))
        .deployment(Deployment::unlimited("embed").model("text-embedding-3-small"))
        .build()
}

/// Status, headers and body of the answer to a request.
async fn whole(simulator: &Simulator, request: Request<Full<bytes::Bytes>>) -> (u16, HeaderMap, String) {
    let response = send(simulator, request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

/// The same of a dictated answer, by the classic path.
async fn dictated(scripted: Scripted) -> (u16, HeaderMap, String) {
    let simulator = simulator();
    simulator.script("gpt-4o").then(scripted);
    whole(&simulator, post(CHAT, HELLO)).await
}

fn hints(headers: &HeaderMap) -> (Option<&str>, Option<&str>) {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
    (text("retry-after-ms"), text("retry-after"))
}

fn parsed(body: &str) -> Value {
    serde_json::from_str(body).unwrap()
}

/// A classic refusal's body.
fn refusal(what: &str, tier: &str, retry: &str, more: &str) -> Value {
    json!({"error": {"code": "429", "message": format!(
        "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded {what} rate limit of your current {tier} S0 pricing tier.{retry} {more} if you would like to further increase the default rate limit."
    )}})
}

const GO_HERE: &str = "Please go here: https://aka.ms/oai/quotaincrease";

#[tokio::test(start_paused = true)]
async fn a_429_of_tokens_in_the_classic_words() {
    let (status, headers, body) = dictated(Scripted::rate_limited(Duration::from_secs(45))).await;
    assert_eq!(status, 429);
    assert_eq!(hints(&headers), (Some("45000"), Some("45")));
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(parsed(&body), refusal("token", "OpenAI", " Please retry after 45 seconds.", GO_HERE));
    // One second is singular.
    let (.., body) = dictated(Scripted::rate_limited(Duration::from_millis(1))).await;
    assert_eq!(parsed(&body), refusal("token", "OpenAI", " Please retry after 1 second.", GO_HERE));
    // Some leave the sentence out.
    let (_, headers, body) = dictated(Scripted::rate_limited_silently()).await;
    assert_eq!(hints(&headers), (None, None));
    assert_eq!(parsed(&body), refusal("token", "OpenAI", "", GO_HERE));
    let (_, headers, _) = dictated(Scripted::rate_limited_zero()).await;
    assert_eq!(hints(&headers), (Some("0"), Some("1")));
}

#[tokio::test(start_paused = true)]
async fn a_429_of_calls_and_one_of_the_ai_services_tier() {
    let simulator = Simulator::builder().deployment(Deployment::standard("gpt-4o").requests_per_minute(6)).build();
    assert_eq!(whole(&simulator, post(CHAT, HELLO)).await.0, 200);
    let (status, headers, body) = whole(&simulator, post(CHAT, HELLO)).await;
    assert_eq!((status, hints(&headers)), (429, (Some("10000"), Some("10"))));
    assert_eq!(headers["x-ratelimit-type"], "Requests");
    assert_eq!(parsed(&body), refusal("call", "OpenAI", " Please retry after 10 seconds.", GO_HERE));

    let deployment = Deployment::standard("gpt-4o").requests_per_minute(6).wording(Wording::ClassicAiServices);
    let simulator = Simulator::builder().deployment(deployment).build();
    whole(&simulator, post(CHAT, HELLO)).await;
    let (.., body) = whole(&simulator, post(CHAT, HELLO)).await;
    let support = "Please contact Azure support service";
    assert_eq!(parsed(&body), refusal("call", "AIServices", " Please retry after 10 seconds.", support));
}

#[tokio::test(start_paused = true)]
async fn a_429_in_the_newer_words() {
    let deployment = Deployment::standard("gpt-4o").model("gpt-4.1-nano").wording(Wording::Regional);
    let simulator = Simulator::builder().deployment(deployment).build();
    simulator.script("gpt-4o").then(Scripted::rate_limited(Duration::from_secs(45)));
    let (.., body) = whole(&simulator, post(CHAT, HELLO)).await;
    let message = "Your requests to gpt-4o for gpt-4.1-nano in Sweden Central have exceeded the token rate limit for your current AIServices S0 pricing tier. This request was for ChatCompletions_Create under Azure OpenAI API version 2024-10-21. Please retry after 45 seconds.";
    assert_eq!(parsed(&body), json!({"error": {"code": "429", "message": message}}));
}

#[tokio::test(start_paused = true)]
async fn a_429_of_v1() {
    let simulator = simulator();
    simulator.script("gpt-4o").then(Scripted::rate_limited(Duration::from_secs(45)));
    let (status, headers, body) = whole(&simulator, post(V1, V1_HELLO)).await;
    assert_eq!((status, hints(&headers)), (429, (Some("45000"), Some("45"))));
    assert_eq!(
        parsed(&body),
        json!({"error": {
            "message": "Your requests to gpt-4o for gpt-4o in swedencentral have exceeded token rate limit.",
            "type": "too_many_requests", "param": null, "code": "rate_limit_exceeded",
        }})
    );
}

#[tokio::test(start_paused = true)]
async fn a_429_that_lasts_a_day() {
    let (status, headers, body) = dictated(Scripted::too_large()).await;
    assert_eq!((status, hints(&headers)), (429, (None, Some("86400"))));
    assert_eq!(parsed(&body), refusal("token", "OpenAI", " Please retry after 86400 seconds.", GO_HERE));
    // Provoked: more than a minute's tokens in one request.
    let large = r#"{"messages":[{"role":"user","content":"Hello"}],"max_tokens":100}"#;
    let small = Deployment::standard("gpt-4o").tokens_per_minute(100);
    let simulator = Simulator::builder().deployment(small).build();
    let (status, headers, provoked) = whole(&simulator, post(CHAT, large)).await;
    assert_eq!((status, hints(&headers)), (429, (None, Some("86400"))));
    assert_eq!(provoked, body);
}

#[tokio::test(start_paused = true)]
async fn a_429_of_a_system_under_load_and_one_of_a_gateway() {
    let (status, headers, body) = dictated(Scripted::no_capacity()).await;
    assert_eq!((status, hints(&headers)), (429, (None, None)));
    assert_eq!(
        parsed(&body),
        json!({"error": {
            "message": "The system is currently experiencing high demand and cannot process your request. Your request exceeds the maximum usage size allowed during peak load. For improved capacity reliability, consider switching to Provisioned Throughput.",
            "type": "too_many_requests", "param": null, "code": "no_capacity",
        }})
    );
    let (status, headers, body) = dictated(Scripted::gateway_rate_limited(50)).await;
    assert_eq!((status, hints(&headers)), (429, (None, Some("50"))));
    assert_eq!(
        parsed(&body),
        json!({"error": {"code": "429", "message": "Rate limit is exceeded. Try again in 50 seconds."}})
    );
}

const FILTERED: &str = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry. To learn more about our content filtering policies please read our documentation: https://go.microsoft.com/fwlink/?linkid=2198766";

#[tokio::test(start_paused = true)]
async fn a_400_of_the_content_filter() {
    let safe = json!({"filtered": false, "severity": "safe"});
    let results = json!({
        "hate": {"filtered": true, "severity": "high"}, "jailbreak": {"filtered": false, "detected": false},
        "self_harm": safe, "sexual": safe, "violence": safe,
    });
    let (status, _, body) = dictated(Scripted::content_filter()).await;
    assert_eq!(status, 400);
    assert_eq!(
        parsed(&body),
        json!({"error": {
            "message": FILTERED, "type": null, "param": "prompt", "code": "content_filter", "status": 400,
            "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": results},
        }})
    );
    let simulator = simulator();
    simulator.script("gpt-4o").then(Scripted::content_filter());
    let ask = r#"{"model":"gpt-4o","input":"Hello"}"#;
    let (status, _, body) = whole(&simulator, post("/openai/v1/responses", ask)).await;
    assert_eq!(status, 400);
    assert_eq!(
        parsed(&body),
        json!({"error": {
            "message": FILTERED, "type": "invalid_request_error", "param": "prompt", "code": "content_filter",
            "content_filters": [{
                "blocked": true, "source_type": "prompt", "content_filter_results": results,
                "content_filter_offsets": {"start_offset": 0, "end_offset": 0, "check_offset": 0},
            }],
        }})
    );
}

fn bad(message: &str, param: &str, code: &str) -> Value {
    json!({"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}})
}

#[tokio::test(start_paused = true)]
async fn a_400_of_a_prompt_that_is_too_long() {
    let (status, _, body) = dictated(Scripted::context_length()).await;
    assert_eq!(status, 400);
    let message = "This model's maximum context length is 128000 tokens. However, your messages resulted in 192041 tokens. Please reduce the length of the messages.";
    assert_eq!(parsed(&body), bad(message, "messages", "context_length_exceeded"));
    // Provoked, with and without the completion.
    let with = |prompt: &str, body: &'static str| {
        let request = Request::post(CHAT).header("x-simulator-prompt-tokens", prompt);
        request.body(Full::from(body)).unwrap()
    };
    let simulator = simulator();
    let (status, _, provoked) = whole(&simulator, with("192041", HELLO)).await;
    assert_eq!((status, provoked), (400, body));
    let simulator = Simulator::builder().deployment(Deployment::unlimited("gpt-4o").context_window(4_097)).build();
    let asked = r#"{"messages":[{"role":"user","content":"Hello"}],"max_tokens":1024}"#;
    let (status, _, body) = whole(&simulator, with("3177", asked)).await;
    assert_eq!(status, 400);
    let message = "This model's maximum context length is 4097 tokens. However, you requested 4201 tokens (3177 in the messages, 1024 in the completion). Please reduce the length of the messages or completion.";
    assert_eq!(parsed(&body), bad(message, "messages", "context_length_exceeded"));
}

#[tokio::test(start_paused = true)]
async fn other_400s() {
    let simulator = simulator();
    let large = r#"{"messages":[{"role":"user","content":"Hello"}],"max_tokens":20000}"#;
    let (status, _, body) = whole(&simulator, post(CHAT, large)).await;
    assert_eq!(status, 400);
    let message = "max_tokens is too large: 20000. This model supports at most 16384 completion tokens, whereas you provided 20000.";
    assert_eq!(parsed(&body), bad(message, "max_tokens", "invalid_value"));

    let old = "/openai/deployments/gpt-4o/chat/completions?api-version=2023-05-15";
    let (status, _, body) = whole(&simulator, post(old, common::STREAM_USAGE)).await;
    assert_eq!(status, 400);
    let message = "Unknown parameter: 'stream_options'.";
    assert_eq!(parsed(&body), bad(message, "stream_options", "unknown_parameter"));

    let path = "/openai/deployments/gpt-4o/embeddings?api-version=2024-10-21";
    let (status, _, body) = whole(&simulator, post(path, r#"{"input":"Hello"}"#)).await;
    assert_eq!(status, 400);
    let message = "The embeddings operation does not work with the specified model, gpt-4o. Please choose different model and try again. You can learn more about which models can be used with each operation here: https://go.microsoft.com/fwlink/?linkid=2197993.";
    assert_eq!(parsed(&body), json!({"error": {"code": "OperationNotSupported", "message": message}}));
}

#[tokio::test(start_paused = true)]
async fn the_401s() {
    let key = json!({"error": {"code": "401", "message": "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource."}});
    let (status, _, body) = dictated(Scripted::status(401)).await;
    assert_eq!((status, parsed(&body)), (401, key.clone()));
    let issuer = TokenIssuer::new();
    let simulator = Simulator::builder()
        .api_key("right")
        .token_issuer(issuer.clone())
        .deployment(Deployment::unlimited("gpt-4o"))
        .build();
    let ask = |name: &str, value: &str| {
        Request::post(CHAT).header(name, value).body(Full::<bytes::Bytes>::from(HELLO)).unwrap()
    };
    for (name, value) in [("api-key", "wrong"), ("authorization", "Bearer wrong"), ("x-other", "right")] {
        let (status, _, body) = whole(&simulator, ask(name, value)).await;
        assert_eq!((status, parsed(&body)), (401, key.clone()), "{name}");
    }
    for (name, value) in [("api-key", "right"), ("authorization", "Bearer right"), ("authorization", "bearer right")] {
        assert_eq!(whole(&simulator, ask(name, value)).await.0, 200, "{name}: {value}");
    }
    // A token is good until it expires or is revoked.
    let token = format!("Bearer {}", issuer.issue(Duration::from_secs(60)));
    assert_eq!(whole(&simulator, ask("authorization", &token)).await.0, 200);
    tokio::time::advance(Duration::from_secs(61)).await;
    let (status, _, body) = whole(&simulator, ask("authorization", &token)).await;
    let message = "Access token is missing, invalid, audience is incorrect (https://cognitiveservices.azure.com), or have expired.";
    assert_eq!((status, parsed(&body)), (401, json!({"error": {"code": "Unauthorized", "message": message}})));
    // Without the wrapper.
    let (status, _, body) = dictated(Scripted::permission_denied()).await;
    assert_eq!(
        (status, parsed(&body)),
        (
            401,
            json!({"code": "PermissionDenied", "message": "The principal lacks the required data action `Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action` to perform `POST /openai/deployments/{deployment-id}/chat/completions` operation."})
        )
    );
}

#[tokio::test(start_paused = true)]
async fn the_403_and_the_404s() {
    let closed = json!({"error": {"code": "403", "message": "Access denied due to Virtual Network/Firewall rules."}});
    for scripted in [Scripted::virtual_network(), Scripted::status(403)] {
        let (status, _, body) = dictated(scripted).await;
        assert_eq!((status, parsed(&body)), (403, closed.clone()));
    }
    let message = "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again.";
    let simulator = simulator();
    let path = "/openai/deployments/nobody/chat/completions?api-version=2024-10-21";
    let (status, _, body) = whole(&simulator, post(path, HELLO)).await;
    assert_eq!((status, parsed(&body)), (404, json!({"error": {"code": "DeploymentNotFound", "message": message}})));
    let (.., body) = whole(&simulator, post(V1, V1_HELLO.replace("gpt-4o", "nobody"))).await;
    assert_eq!(
        parsed(&body),
        json!({"error": {"code": "DeploymentNotFound", "message": message, "type": "invalid_request_error", "param": null}})
    );
    let (status, _, body) = whole(&simulator, post("/openai/deployments/gpt-4o/chat/completions", HELLO)).await;
    assert_eq!((status, parsed(&body)), (404, json!({"error": {"code": "404", "message": "Resource not found"}})));
}

#[tokio::test(start_paused = true)]
async fn statuses_of_the_service_itself() {
    let gateway = |code: &str, message: &str| json!({"error": {"code": code, "message": message}});
    for (status, body) in [
        (408, gateway("Timeout", "The operation was timeout.")),
        (409, gateway("409", "Conflict")),
        (413, gateway("413", "Payload Too Large")),
        (415, gateway("415", "Unsupported Media Type")),
        (422, gateway("422", "Unprocessable Entity")),
        (424, gateway("424", "Failed Dependency")),
        (431, gateway("431", "Request Header Fields Too Large")),
        (502, gateway("502", "Bad Gateway")),
        (
            503,
            gateway(
                "ServiceUnavailable",
                "The service is temporarily unable to process your request. Please try again later.",
            ),
        ),
    ] {
        let (got, _, text) = dictated(Scripted::status(status)).await;
        assert_eq!((got, parsed(&text)), (status, body));
    }
    let upstream = Scripted::status(424).header("ms-azureml-model-error-statuscode", "503");
    let (_, headers, _) = dictated(upstream.header("ms-azureml-model-error-reason", "model_error")).await;
    assert_eq!(headers["ms-azureml-model-error-statuscode"], "503");
    assert_eq!(headers["ms-azureml-model-error-reason"], "model_error");

    let (status, headers, body) = dictated(Scripted::status(500)).await;
    let id = headers["x-request-id"].to_str().unwrap();
    let message = format!(
        "The server had an error while processing your request. Sorry about that! You can retry your request, or contact us through an Azure support request at: https://go.microsoft.com/fwlink/?linkid=2213926 if the error persists. (Please include the request ID {id} in your message.)"
    );
    assert_eq!(
        (status, parsed(&body)),
        (500, json!({"error": {"message": message, "type": "server_error", "param": null, "code": null}}))
    );
}

#[tokio::test(start_paused = true)]
async fn answers_of_proxies_are_no_json() {
    let (status, headers, body) = dictated(Scripted::plain_text_503()).await;
    assert_eq!((status, &headers["content-type"]), (503, &"text/plain".parse().unwrap()));
    assert!(body.starts_with("upstream connect error or disconnect/reset before headers"));
    let (status, headers, body) = dictated(Scripted::response(503, "no healthy upstream")).await;
    assert_eq!((status, &headers["content-type"]), (503, &"text/plain".parse().unwrap()));
    assert_eq!(body, "no healthy upstream");
    let (status, headers, body) = dictated(Scripted::status(504)).await;
    assert_eq!((status, &headers["content-type"]), (504, &"text/html".parse().unwrap()));
    assert!(body.starts_with("<html>"));
}

#[tokio::test(start_paused = true)]
async fn the_200_that_is_a_429() {
    let simulator = Simulator::builder()
        .deployment(Deployment::standard("gpt-5.6-sol").tokens_per_minute(60).requests_per_minute(600))
        .build();
    let ask = r#"{"model":"gpt-5.6-sol","input":"Hello","max_output_tokens":50,"stream":true}"#;
    whole(&simulator, post("/openai/v1/responses", ask)).await;
    whole(&simulator, post("/openai/v1/responses", ask)).await;
    let (status, headers, body) = whole(&simulator, post("/openai/v1/responses", ask)).await;
    assert_eq!(status, 200);
    assert!(headers.contains_key("retry-after"));
    assert_eq!(headers["content-type"], "text/event-stream; charset=utf-8");
    let events: Vec<(&str, Value)> = body
        .split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event.split_once('\n').unwrap();
            (name, parsed(data.strip_prefix("data: ").unwrap()))
        })
        .collect();
    let names: Vec<&str> = events.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["event: response.created", "event: error", "event: response.failed"]);
    let message = "Your requests to gpt-5.6-sol for gpt-5.6-sol in swedencentral have exceeded token rate limit.";
    assert_eq!(
        events[1].1,
        json!({
            "type": "error", "sequence_number": 1, "error": {
                "type": "too_many_requests", "code": "rate_limit_exceeded", "param": null, "message": message,
                "headers": {"x-ms-fe-error": "true"},
            },
        })
    );
    assert_eq!(events[0].1["response"]["status"], "in_progress");
    let failed = &events[2].1;
    assert_eq!((&failed["type"], &failed["sequence_number"]), (&json!("response.failed"), &json!(2)));
    assert_eq!(failed["response"]["status"], "failed");
    assert_eq!(failed["response"]["output"], json!([]));
    assert_eq!(failed["response"]["error"], json!({"code": "rate_limit_exceeded", "message": message}));
}
