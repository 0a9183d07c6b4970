//! Every list of headers that is known of the service, compared as a whole: nothing is missing,
//! and nothing is there that is not in the list.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::{collections::BTreeMap, time::Duration};

use common::{CHAT, HELLO, STREAM, post, send};
use http::Request;
use http_body_util::Full;
use tower_aoai_simulator::{Deployment, HeaderStyle, RetryHints, Scripted, Simulator};

/// On every answer, by the name and value of captured traffic; ids are checked for their form.
const COMMON: [(&str, &str); 9] = [
    ("access-control-allow-origin", "*"),
    ("apim-request-id", "<uuid>"),
    ("cache-control", "no-cache, must-revalidate"),
    ("content-type", "application/json"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
    ("x-accel-buffering", "no"),
    ("x-content-type-options", "nosniff"),
    ("x-ms-client-request-id", "<uuid>"),
    ("x-request-id", "<uuid>"),
];
/// On every answer of a deployment.
const DEPLOYED: [(&str, &str); 2] = [("x-ms-deployment-name", "gpt-4o"), ("x-ms-region", "North Central US")];

/// On every answer that is no error.
const SERVED: [(&str, &str); 2] = [("azureml-model-session", "d001-20240215231538"), ("x-ms-rai-invoked", "true")];

fn list(parts: &[&[(&str, &str)]]) -> BTreeMap<String, String> {
    let all = parts.iter().flat_map(|part| part.iter());
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn headers(simulator: &Simulator, path: &str, body: &'static str) -> BTreeMap<String, String> {
    let response = send(simulator, post(path, body)).await.unwrap();
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    let headers = response.headers().iter();
    headers
        .map(|(name, value)| match name.as_str() {
            "apim-request-id" | "x-request-id" | "x-ms-client-request-id" => {
                let groups: Vec<usize> = text(value).split('-').map(str::len).collect();
                assert_eq!(groups, [8, 4, 4, 4, 12], "{name}");
                (name.to_string(), "<uuid>".to_owned())
            }
            _ => (name.to_string(), text(value)),
        })
        .collect()
}

/// A deployment of 60,000 tokens and 360 requests a minute; [`HELLO`] is charged 12.
fn standard() -> Deployment {
    Deployment::standard("gpt-4o").tokens_per_minute(60_000)
}

fn simulator(deployment: Deployment) -> Simulator {
    Simulator::builder().region("North Central US").deployment(deployment).build()
}

#[tokio::test(start_paused = true)]
async fn a_success_of_2026() {
    let simulator = simulator(standard());
    let expected = list(&[
        &COMMON,
        &DEPLOYED,
        &SERVED,
        &[
            ("x-ratelimit-limit-requests", "360"),
            ("x-ratelimit-limit-tokens", "60000"),
            ("x-ratelimit-remaining-requests", "359"),
            ("x-ratelimit-remaining-tokens", "59988"),
            ("x-ratelimit-renewalperiod-requests", "10"),
            ("x-ratelimit-renewalperiod-tokens", "60"),
            ("x-ratelimit-reset-requests", "0"),
            ("x-ratelimit-reset-tokens", "0"),
        ],
    ]);
    assert_eq!(headers(&simulator, CHAT, HELLO).await, expected);
    // A stream differs by its type alone, and by what has been used.
    let mut streamed = headers(&simulator, CHAT, STREAM).await;
    let kind = streamed.insert("content-type".to_owned(), "application/json".to_owned());
    assert_eq!(kind.as_deref(), Some("text/event-stream; charset=utf-8"));
    assert!(streamed.keys().eq(expected.keys()));
}

#[tokio::test(start_paused = true)]
async fn a_success_of_2024() {
    let simulator = simulator(standard().header_style(HeaderStyle::RemainingOnly));
    let expected = list(&[
        &COMMON,
        &DEPLOYED,
        &SERVED,
        &[("x-ratelimit-remaining-requests", "359"), ("x-ratelimit-remaining-tokens", "59988")],
    ]);
    assert_eq!(headers(&simulator, CHAT, HELLO).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_success_of_minus_one() {
    let simulator = simulator(standard());
    assert!(simulator.set_header_style("gpt-4o", HeaderStyle::MinusOne));
    let expected = list(&[
        &COMMON,
        &DEPLOYED,
        &SERVED,
        &[
            ("x-ratelimit-limit-requests", "-1"),
            ("x-ratelimit-limit-tokens", "-1"),
            ("x-ratelimit-remaining-requests", "-1"),
            ("x-ratelimit-remaining-tokens", "-1"),
            ("x-ratelimit-reset-requests", "0"),
            ("x-ratelimit-reset-tokens", "0"),
        ],
    ]);
    assert_eq!(headers(&simulator, CHAT, HELLO).await, expected);
    simulator.reset();
    assert_eq!(headers(&simulator, CHAT, HELLO).await["x-ratelimit-limit-tokens"], "60000");
}

#[tokio::test(start_paused = true)]
async fn a_success_without_limits_and_one_of_a_stranger() {
    let unlimited = simulator(Deployment::unlimited("gpt-4o"));
    assert_eq!(headers(&unlimited, CHAT, HELLO).await, list(&[&COMMON, &DEPLOYED, &SERVED]));
    let absent = simulator(standard().header_style(HeaderStyle::Absent));
    assert_eq!(headers(&absent, CHAT, HELLO).await, list(&[&COMMON, &DEPLOYED, &SERVED]));
    // Who may not come in is told nothing of what is inside.
    let closed = Simulator::builder().api_key("key").deployment(standard()).build();
    assert_eq!(headers(&closed, CHAT, HELLO).await, list(&[&COMMON]));
}

const REFUSED: &str = r#"{"messages":[{"role":"user","content":"Hello"}],"max_tokens":10000}"#;

/// 60,000 tokens a minute, of which six requests of 10,002 leave -12: the seventh is refused.
async fn exhausted(deployment: Deployment) -> Simulator {
    let simulator = simulator(deployment);
    for _ in 0..6 {
        headers(&simulator, CHAT, REFUSED).await;
    }
    simulator
}

#[tokio::test(start_paused = true)]
async fn a_429() {
    let simulator = exhausted(standard()).await;
    let expected = list(&[
        &COMMON,
        &DEPLOYED,
        &[
            ("retry-after", "1"),
            ("retry-after-ms", "13"),
            ("x-ratelimit-limit-requests", "360"),
            ("x-ratelimit-limit-tokens", "60000"),
            ("x-ratelimit-remaining-requests", "353"),
            ("x-ratelimit-remaining-tokens", "-12"),
            ("x-ratelimit-renewalperiod-requests", "10"),
            ("x-ratelimit-renewalperiod-tokens", "60"),
            ("x-ratelimit-reset-requests", "1"),
            ("x-ratelimit-reset-tokens", "60"),
            ("x-ratelimit-type", "Tokens"),
        ],
    ]);
    assert_eq!(headers(&simulator, CHAT, REFUSED).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_429_that_lies() {
    let simulator = exhausted(standard()).await;
    assert!(simulator.set_retry_hints("gpt-4o", RetryHints::ZeroMilliseconds));
    let told = headers(&simulator, CHAT, REFUSED).await;
    assert_eq!((&*told["retry-after-ms"], &*told["retry-after"]), ("0", "1"));
    assert_eq!(told["x-ratelimit-reset-tokens"], "0");
}

#[tokio::test(start_paused = true)]
async fn a_ptu() {
    let simulator = simulator(Deployment::provisioned("gpt-4o").throughput(10, 4).units(15));
    // 2 of prompt and 4 times 10 of output, of a minute's 150.
    let expected = list(&[&COMMON, &DEPLOYED, &SERVED, &[("azure-openai-deployment-utilization", "28.0%")]]);
    assert_eq!(headers(&simulator, CHAT, HELLO).await, expected);
    simulator.script("gpt-4o").then(Scripted::rate_limited(Duration::from_millis(43)));
    let refused = headers(&simulator, CHAT, HELLO).await;
    assert_eq!((&*refused["retry-after-ms"], &*refused["retry-after"]), ("43", "1"));
    assert!(refused.contains_key("azure-openai-deployment-utilization"));
    assert!(!refused.keys().any(|name| name.starts_with("x-ratelimit")));
}

#[tokio::test(start_paused = true)]
async fn the_callers_id_comes_back() {
    let simulator = simulator(standard());
    let request = Request::post(CHAT).header("x-ms-client-request-id", "mine");
    let response = send(&simulator, request.body(Full::from(HELLO)).unwrap()).await.unwrap();
    assert_eq!(response.headers()["x-ms-client-request-id"], "mine");
    let response = send(&simulator, post(CHAT, HELLO)).await.unwrap();
    let headers = response.headers();
    assert_eq!(headers["x-ms-client-request-id"], headers["apim-request-id"]);
}

#[tokio::test(start_paused = true)]
async fn a_scripts_headers_win() {
    let simulator = simulator(standard());
    let odd = Scripted::ok().header("x-ratelimit-remaining-tokens", "-27689").without_header("x-request-id");
    simulator.script("gpt-4o").then(odd);
    let told = headers(&simulator, CHAT, HELLO).await;
    assert_eq!(told["x-ratelimit-remaining-tokens"], "-27689");
    assert!(!told.contains_key("x-request-id"));
}
