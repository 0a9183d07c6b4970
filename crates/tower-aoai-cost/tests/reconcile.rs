//! The books against what the server did, reckoned by other means.

mod support;

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::time::{sleep, timeout};
use tower::{ServiceBuilder, ServiceExt};
use tower_aoai_core::{IncludeUsageLayer, ObserveLayer, PrepareLayer};
use tower_aoai_cost::{CallCost, DeploymentType, Prices, Query, Spend, Tag, Tags};
use tower_aoai_retry_after::{RetryAfterLayer, RetryPolicy};
use tower_aoai_simulator::{
    CACHED_TOKENS_HEADER, CompletionLength, Deployment, Ending, Latency, Scripted, Served, Simulator,
};

const CALLS: u64 = 10_000;

/// Nano-dollars for a token of input, of cached input and of output, written down once more by hand.
fn rates(deployment: &str) -> [u64; 3] {
    match deployment {
        "chat" => [2_500, 1_250, 10_000],
        "mini" => [400, 100, 1_600],
        "embed" => [22, 22, 0],
        "ptu" => [0, 0, 0],
        other => panic!("no such deployment: {other}"),
    }
}

/// Some calls have a part of their prompt cached.
const fn cached(call: u64) -> u64 {
    if call % 5 == 1 { 16 } else { 0 }
}

/// What the server will bill for a request, and whether its whole answer was read, with its usage.
fn bill(served: &Served) -> (u64, u64, bool) {
    let id = served.client_request_id.as_ref().and_then(|id| id.to_str().ok()).expect("each call has a number");
    let call = id.parse().expect("a number");
    let deployment = served.spilled_to.as_ref().or(served.deployment.as_ref()).expect("a deployment");
    let [input, read, output] = rates(deployment);
    let cached = cached(call).min(served.prompt_tokens);
    let prompt = (served.prompt_tokens - cached) * input + cached * read;
    match served.status.map(|status| status.as_u16()) {
        Some(200) if served.refused.is_none() => {
            // What a script ends with an error inside the stream was sent whole, but for its usage.
            let is_whole = served.ending == Ending::Complete && !served.scripted;
            (call, prompt + served.completion_tokens * output, is_whole)
        }
        // What the content filter refuses is billed; so may be what was reset.
        Some(400) | None => (call, served.prompt_tokens * input, false),
        Some(_) => (call, 0, false),
    }
}

fn request(call: u64) -> Request<Full<Bytes>> {
    let text = "word ".repeat(20 + (call % 37) as usize);
    let limit = if call.is_multiple_of(7) { "" } else { r#","max_tokens":60"# };
    let stream = call.is_multiple_of(2);
    let (path, body) = match call % 8 {
        0..3 => (
            "/openai/deployments/chat/chat/completions?api-version=2024-10-21",
            format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}],"stream":{stream}{limit}}}"#),
        ),
        3 | 4 => (
            "/openai/deployments/ptu/chat/completions?api-version=2024-10-21",
            format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}],"stream":{stream}{limit}}}"#),
        ),
        5 => ("/openai/v1/embeddings", format!(r#"{{"model":"embed","input":"{text}"}}"#)),
        _ => ("/openai/v1/responses", format!(r#"{{"model":"mini","input":"{text}","stream":{}}}"#, call % 3 == 1)),
    };
    let mut request = Request::post(path)
        .header("x-ms-client-request-id", call)
        .extension(Tags::new().task(format!("task {}", call % 11)).agent(format!("agent {}", call % 3)));
    if cached(call) > 0 {
        request = request.header(CACHED_TOKENS_HEADER, cached(call));
    }
    request.body(Full::from(body)).expect("a valid request")
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_mixed_calls_reconcile_to_the_nano_dollar() {
    let simulator = Simulator::builder()
        .seed(11)
        .journal_capacity(100_000)
        .latency(Latency::typical())
        .completion_length(CompletionLength::Uniform(20, 50))
        .deployment(Deployment::unlimited("chat").model("gpt-4o"))
        .deployment(Deployment::unlimited("mini").model("gpt-4.1-mini"))
        .deployment(Deployment::provisioned("ptu").model("gpt-4o").units(15).spillover("chat"))
        .deployment(Deployment::unlimited("embed").model("text-embedding-3-small"))
        .build();
    for deployment in ["chat", "mini", "embed"] {
        let script = simulator.script(deployment);
        script
            .sometimes(0.03, Scripted::status(500))
            .sometimes(0.03, Scripted::rate_limited(Duration::from_millis(200)))
            .sometimes(0.02, Scripted::reset())
            .sometimes(0.02, Scripted::content_filter());
    }
    for deployment in ["chat", "mini"] {
        simulator.script(deployment).sometimes(0.03, Scripted::cut_after(9)).sometimes(0.02, Scripted::error_after(12));
    }
    // Of what failed, no answer says which model it was.
    let prices = Prices::built_in()
        .deployment("chat", "gpt-4o", DeploymentType::Global)
        .deployment("mini", "gpt-4.1-mini", DeploymentType::Global)
        .deployment("embed", "text-embedding-3-small", DeploymentType::Global)
        .deployment("ptu", "gpt-4o", DeploymentType::ProvisionedSpilling);
    let layer = support::layer().prices(prices);
    let handle = layer.handle();
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(layer)
        .layer(RetryAfterLayer::new(RetryPolicy::new().max_attempts(3)).seed(5))
        .layer(IncludeUsageLayer::new())
        .layer(ObserveLayer::new())
        .service(simulator.clone());

    let mut calls = tokio::task::JoinSet::new();
    for call in 0..CALLS {
        let service = service.clone();
        calls.spawn(async move {
            sleep(Duration::from_millis(call * 20)).await;
            let cost = CallCost::new();
            let mut request = request(call);
            request.extensions_mut().insert(cost.clone());
            let patience = if call % 9 == 0 { Duration::from_millis(150) } else { Duration::from_secs(600) };
            if let Ok(Ok(response)) = timeout(patience, service.oneshot(request)).await {
                let mut body = response.into_body();
                if call % 3 == 0 {
                    // Gone at once, or in the middle of a stream.
                    for _ in 0..if call % 2 == 0 { call % 4 * 2 } else { 0 } {
                        if !matches!(body.frame().await, Some(Ok(_))) {
                            break;
                        }
                    }
                } else {
                    let _ = body.collect().await;
                }
            }
            (call, cost.get().expect("it has ended"))
        });
    }
    let spent: HashMap<u64, Spend> = calls.join_all().await.into_iter().collect();

    let mut bills: HashMap<u64, u64> = HashMap::new();
    let (mut exact, mut all, mut attempts, mut spilled, mut cancelled, mut faulted) = (0, 0, 0_u64, 0, 0, 0);
    simulator.with_journal(|journal| {
        for served in journal {
            let (call, nano_dollars, is_whole) = bill(served);
            *bills.entry(call).or_default() += nano_dollars;
            all += nano_dollars;
            exact += if is_whole { nano_dollars } else { 0 };
            attempts += 1;
            spilled += u64::from(served.spilled_to.is_some());
            cancelled += u64::from(served.was_cancelled() || served.ending == Ending::Unread);
            faulted += u64::from(served.ending == Ending::Faulted);
        }
    });
    assert_eq!(simulator.forgotten(), 0);
    let total = handle.sum(&Query::total());
    let dollars = |nano_dollars: u64| nano_dollars as f64 / 1e9;
    println!(
        "{attempts} attempts, {spilled} spilled, {cancelled} cancelled or unread, {faulted} cut: ${:.6} billed for whole answers and ${:.6} in all; booked ${:.6} exactly and ${:.6} estimated",
        dollars(exact),
        dollars(all),
        dollars(total.exact.cost.as_nano_dollars()),
        dollars(total.estimated.cost.as_nano_dollars()),
    );
    assert!(attempts > CALLS && spilled > 300 && cancelled > 2_800 && faulted > 100, "a mixture");
    assert_eq!((total.calls, total.attempts()), (CALLS, attempts), "each attempt once");
    assert_eq!(total.unpriced.attempts, 0);
    assert!(total.provisioned.attempts > 300 && total.provisioned.cost.as_nano_dollars() == 0);
    assert_eq!(total.exact.cost.as_nano_dollars(), exact, "to the nano-dollar");
    for (call, bill) in bills {
        let spend = &spent[&call];
        assert!(spend.cost().as_nano_dollars() >= bill, "call {call} is billed {bill}: {spend:?}");
    }

    // The sums are those of the calls, whichever way they are asked for.
    let mut summed = Spend::default();
    spent.values().for_each(|spend| summed += *spend);
    assert_eq!(total, summed);
    for tags in [&[Tag::Task][..], &[Tag::Task, Tag::Agent], &[Tag::Model, Tag::Deployment], &[]] {
        let mut by = Spend::default();
        handle.by(tags, &Query::total()).iter().for_each(|line| by += line.spend);
        assert_eq!(total, by, "{tags:?}");
    }
    for period in [tower_aoai_cost::Period::Hour, tower_aoai_cost::Period::Day] {
        let mut over_time = Spend::default();
        handle.spans(period).into_iter().for_each(|span| over_time += handle.sum(&Query::of(span)));
        assert_eq!(total, over_time, "{period:?}");
    }
}
