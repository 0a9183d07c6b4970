//! A standard deployment serves what a provisioned one cannot.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::{HELLO, header, post, send};
use http::Request;
use http_body_util::Full;
use tower_aoai_simulator::{Deployment, Scripted, Simulator};

const PTU: &str = "/openai/deployments/ptu/chat/completions?api-version=2024-10-21";

fn simulator(ptu: Deployment) -> Simulator {
    Simulator::builder()
        .deployment(ptu.model("gpt-4.1"))
        .deployment(Deployment::standard("standard").model("gpt-4.1"))
        .deployment(Deployment::standard("other").model("gpt-4.1"))
        .build()
}

fn spilling() -> Simulator {
    simulator(Deployment::provisioned("ptu").spillover("standard"))
}

#[tokio::test(start_paused = true)]
async fn what_spills_is_served_by_the_other() {
    let simulator = spilling();
    let spills = [
        Scripted::rate_limited(Duration::from_millis(40)),
        Scripted::context_length(),
        Scripted::status(500),
        Scripted::status(503),
    ];
    for (count, scripted) in (1..).zip(spills) {
        simulator.script("ptu").then(scripted);
        let response = send(&simulator, post(PTU, HELLO)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "x-ms-spillover-from-deployment"), Some("ptu"));
        assert_eq!(header(&response, "x-ms-deployment-name"), Some("standard"));
        assert_eq!(header(&response, "x-ms-spillover-error"), None);
        // The other's quota is what is used, and told.
        let left = (30_000 - count * 12).to_string();
        assert_eq!(header(&response, "x-ratelimit-remaining-tokens"), Some(&*left));
    }
    let served = &simulator.journal()[0];
    assert_eq!(served.deployment.as_deref(), Some("ptu"));
    assert_eq!(served.spilled_to.as_deref(), Some("standard"));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_spill_does_not() {
    let simulator = spilling();
    for status in [400, 401, 404, 408, 502, 504] {
        simulator.script("ptu").then(Scripted::status(status));
        let response = send(&simulator, post(PTU, HELLO)).await.unwrap();
        assert_eq!(response.status(), status);
    }
    let response = send(&simulator, post(PTU, HELLO)).await.unwrap();
    assert_eq!(header(&response, "x-ms-deployment-name"), Some("ptu"));
    assert_eq!(header(&response, "x-ms-spillover-from-deployment"), None);
}

#[tokio::test(start_paused = true)]
async fn a_long_prompt_spills_for_real() {
    let simulator = spilling();
    simulator.set_tokens_per_minute("standard", 1_000_000);
    let request = Request::post(PTU).header("x-simulator-prompt-tokens", "200000");
    let response = send(&simulator, request.body(Full::from(HELLO)).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "x-ms-spillover-from-deployment"), Some("ptu"));
}

#[tokio::test(start_paused = true)]
async fn when_both_fail_the_first_answer_is_given() {
    let simulator = spilling();
    simulator.script("ptu").then(Scripted::rate_limited(Duration::from_millis(40)));
    simulator.script("standard").then(Scripted::status(503));
    let response = send(&simulator, post(PTU, HELLO)).await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(header(&response, "retry-after-ms"), Some("40"));
    assert_eq!(header(&response, "x-ms-spillover-error"), Some("503"));
    assert_eq!(header(&response, "x-ms-deployment-name"), Some("ptu"));
    assert_eq!(header(&response, "x-ms-spillover-from-deployment"), None);
    assert_eq!(simulator.journal()[0].spilled_to, None);
}

#[tokio::test(start_paused = true)]
async fn a_request_may_name_the_other_unless_the_deployment_does() {
    for (ptu, other, server) in [
        (Deployment::provisioned("ptu"), "other", Some("other")),
        (Deployment::provisioned("ptu").spillover("standard"), "other", Some("standard")),
        (Deployment::provisioned("ptu"), "nobody", None),
        (Deployment::provisioned("ptu"), "ptu", None),
        (Deployment::standard("ptu"), "other", None),
    ] {
        let simulator = simulator(ptu);
        simulator.script("ptu").then(Scripted::status(503));
        let request = Request::post(PTU).header("x-ms-spillover-deployment", other);
        let response = send(&simulator, request.body(Full::from(HELLO)).unwrap()).await.unwrap();
        assert_eq!(response.status(), if server.is_some() { 200 } else { 503 });
        assert_eq!(header(&response, "x-ms-deployment-name"), server.or(Some("ptu")));
    }
}
