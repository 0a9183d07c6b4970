//! Dictated answers, and what the journal makes of callers that leave.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::{future::poll_fn, pin::pin, time::Duration};

use common::{CHAT, HELLO, STREAM, STREAM_USAGE, answer, data, frames, header, post, send};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};
use tower::ServiceExt;
use tower_aoai_simulator::{
    CompletionLength, ConnectionFault, Deployment, Ending, Latency, Scripted, Served, SimulatedBody, Simulator,
};

fn simulator() -> Simulator {
    Simulator::builder().seed(3).deployment(Deployment::standard("gpt-4o")).build()
}

#[tokio::test(start_paused = true)]
async fn dictated_answers_come_in_order_and_then_the_usual() {
    let simulator = simulator();
    simulator
        .script("gpt-4o")
        .then(Scripted::status(503))
        .then(Scripted::rate_limited(Duration::from_millis(1_500)))
        .times(2, &Scripted::status(500));
    simulator.script("another").then(Scripted::status(418));
    assert_eq!(simulator.script("gpt-4o").waiting(), 4);
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(send(&simulator, post(CHAT, HELLO)).await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [503, 429, 500, 500, 200]);
    let journal = simulator.journal();
    assert!(journal[..4].iter().all(|served| served.scripted && served.reserved == 0));
    assert!(!journal[4].scripted);
    assert_eq!(journal[1].retry_hint, Some(Duration::from_millis(1_500)));
    // One that was not built answers what is dictated, and 404 otherwise.
    let path = "/openai/deployments/another/chat/completions?api-version=2024-10-21";
    assert_eq!(send(&simulator, post(path, HELLO)).await.unwrap().status(), 418);
    assert_eq!(send(&simulator, post(path, HELLO)).await.unwrap().status(), 404);
}

#[tokio::test(start_paused = true)]
async fn dictated_errors_have_azures_bodies() {
    let simulator = simulator();
    let script = simulator.script_any();
    let script = script.then(Scripted::rate_limited(Duration::from_secs(2)));
    let script = script.then(Scripted::no_capacity()).then(Scripted::content_filter());
    let script = script.then(Scripted::context_length()).then(Scripted::status(408));
    script.then(Scripted::status(500)).then(Scripted::too_large());

    let response = send(&simulator, post(CHAT, HELLO)).await.unwrap();
    assert_eq!(header(&response, "retry-after-ms"), Some("2000"));
    assert_eq!(header(&response, "retry-after"), Some("2"));
    let (status, body) = answer(&simulator, post(CHAT, HELLO)).await;
    assert_eq!((status, &body["error"]["code"]), (429, &"no_capacity".into()));
    assert_eq!(body["error"]["type"], "too_many_requests");
    let (status, body) = answer(&simulator, post(CHAT, HELLO)).await;
    assert_eq!((status, &body["error"]["code"]), (400, &"content_filter".into()));
    let inner = &body["error"]["innererror"];
    assert_eq!(inner["code"], "ResponsibleAIPolicyViolation");
    assert_eq!(inner["content_filter_result"]["hate"]["filtered"], true);
    let (status, body) = answer(&simulator, post(CHAT, HELLO)).await;
    assert_eq!((status, &body["error"]["code"]), (400, &"context_length_exceeded".into()));
    let (status, body) = answer(&simulator, post(CHAT, HELLO)).await;
    assert_eq!(status, 408);
    let expected = serde_json::json!({"code": "Timeout", "message": "The operation was timeout."});
    assert_eq!(body["error"], expected);
    let response = send(&simulator, post(CHAT, HELLO)).await.unwrap();
    let id = header(&response, "x-request-id").unwrap().to_owned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8(body.to_vec()).unwrap().contains(&id));
    let response = send(&simulator, post(CHAT, HELLO)).await.unwrap();
    assert_eq!(header(&response, "retry-after"), Some("86400"));
}

#[tokio::test(start_paused = true)]
async fn answers_of_ones_own_making() {
    let simulator = simulator();
    simulator
        .script("gpt-4o")
        .then(Scripted::plain_text_503())
        .then(Scripted::response(529, r#"{"x":1}"#).header("x-should-retry", "true"))
        .then(Scripted::response(502, "").header("retry-after", "7"))
        .then(Scripted::rate_limited_zero())
        .then(Scripted::rate_limited_silently())
        .then(Scripted::status(503).after(Duration::from_secs(9)));
    let response = send(&simulator, post(CHAT, HELLO)).await.unwrap();
    assert_eq!(header(&response, "content-type"), Some("text/plain"));
    let response = send(&simulator, post(CHAT, HELLO)).await.unwrap();
    assert_eq!(response.status(), 529);
    assert_eq!(header(&response, "x-should-retry"), Some("true"));
    let response = send(&simulator, post(CHAT, HELLO)).await.unwrap();
    assert_eq!(header(&response, "retry-after"), Some("7"));
    let hint = simulator.journal()[2].retry_hint;
    assert_eq!(hint, Some(Duration::from_secs(7)));
    assert!(http_body::Body::is_end_stream(response.body()));
    drop(response);
    assert_eq!(simulator.journal()[2].ending, Ending::Complete, "there was nothing to read");
    let response = send(&simulator, post(CHAT, HELLO)).await.unwrap();
    assert_eq!(header(&response, "retry-after-ms"), Some("0"));
    let response = send(&simulator, post(CHAT, HELLO)).await.unwrap();
    assert_eq!(header(&response, "retry-after-ms"), None);
    assert_eq!(header(&response, "retry-after"), None);
    let start = Instant::now();
    send(&simulator, post(CHAT, HELLO)).await.unwrap();
    assert_eq!(Instant::now() - start, Duration::from_secs(9));
}

#[tokio::test(start_paused = true)]
async fn hangs_and_resets() {
    let simulator = simulator();
    simulator.script("gpt-4o").then(Scripted::hang()).then(Scripted::reset().after(Duration::from_millis(30)));
    let hour = Duration::from_secs(3_600);
    assert!(timeout(hour, send(&simulator, post(CHAT, HELLO))).await.is_err());
    let start = Instant::now();
    let fault = send(&simulator, post(CHAT, HELLO)).await.unwrap_err();
    assert_eq!(fault, ConnectionFault::Reset);
    assert_eq!(Instant::now() - start, Duration::from_millis(30));
    let journal = simulator.journal();
    assert_eq!(journal[0].ending, Ending::CancelledBeforeHead);
    assert_eq!(journal[0].ended, Some(journal[0].arrived + hour));
    assert_eq!(journal[1].ending, Ending::Faulted);
    assert_eq!((journal[1].status, journal[1].first_byte), (None, None));
}

#[tokio::test(start_paused = true)]
async fn streams_that_go_wrong() {
    let simulator = simulator();
    simulator
        .script("gpt-4o")
        .then(Scripted::cut_after(0))
        .then(Scripted::cut_after(2))
        .then(Scripted::error_after(1))
        .then(Scripted::end_after(2))
        .then(Scripted::without_done())
        .then(Scripted::stall_after(1));
    let stream = async || send(&simulator, post(CHAT, STREAM_USAGE)).await.unwrap().into_body();
    // Before content come the filter's event and the role's.
    let (got, fault) = frames(stream().await).await;
    assert_eq!((got.len(), fault), (2, Some(ConnectionFault::Cut)));
    let (got, fault) = frames(stream().await).await;
    assert_eq!((got.len(), fault), (4, Some(ConnectionFault::Cut)));
    let (got, fault) = frames(stream().await).await;
    assert_eq!((got.len(), fault), (4, None));
    assert_eq!(data(&got[3])["error"]["type"], "server_error");
    let (got, fault) = frames(stream().await).await;
    assert_eq!((got.len(), fault), (4, None));
    let (got, fault) = frames(stream().await).await;
    assert_eq!((got.len(), fault), (7, None));
    assert!(data(&got[6])["usage"].is_object());
    let mut stalled = stream().await;
    for _ in 0..3 {
        stalled.frame().await.unwrap().unwrap();
    }
    assert!(timeout(Duration::from_secs(3_600), stalled.frame()).await.is_err());
    drop(stalled);
    let journal = simulator.journal();
    let endings: Vec<_> = journal.iter().map(|served| (served.ending, served.completion_tokens)).collect();
    assert_eq!(
        endings,
        [
            (Ending::Faulted, 0),
            (Ending::Faulted, 2),
            (Ending::Complete, 1),
            (Ending::Complete, 2),
            (Ending::Complete, 3),
            (Ending::CancelledInBody, 1),
        ]
    );
    assert!(journal.iter().all(|served| served.reserved == 2 + 3), "all were charged");
}

#[tokio::test(start_paused = true)]
async fn whole_answers_that_go_wrong() {
    let simulator = simulator();
    simulator
        .script("gpt-4o")
        .then(Scripted::cut_after(1))
        .then(Scripted::error_after(1))
        .then(Scripted::stall_after(1));
    let response = send(&simulator, post(CHAT, HELLO)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.into_body().collect().await.unwrap_err(), ConnectionFault::Cut);
    assert_eq!(send(&simulator, post(CHAT, HELLO)).await.unwrap().status(), 500);
    let body = send(&simulator, post(CHAT, HELLO)).await.unwrap().into_body();
    assert!(timeout(Duration::from_secs(3_600), body.collect()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn streams_of_ones_own_making() {
    let simulator = simulator();
    let pieces = ["data: {\"a\"", ":1}\r\n\r\n", ": comment\n\n"];
    simulator.script("gpt-4o").then(Scripted::events(pieces)).then(Scripted::refused_stream(Duration::from_secs(11)));
    let response = send(&simulator, post(CHAT, STREAM)).await.unwrap();
    assert_eq!(header(&response, "content-type"), Some("text/event-stream; charset=utf-8"));
    let (got, fault) = frames(response.into_body()).await;
    assert_eq!((got, fault), (pieces.map(str::to_owned).to_vec(), None));
    let response = send(&simulator, post(CHAT, STREAM)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "retry-after"), Some("11"));
    let (got, _) = frames(response.into_body()).await;
    assert_eq!(data(&got[1])["error"]["code"], "rate_limit_exceeded");
}

#[tokio::test(start_paused = true)]
async fn outages_and_chance() {
    let simulator = simulator();
    let second = Duration::from_secs(1);
    let start = Instant::now();
    let outage = (start + 60 * second, start + 120 * second);
    simulator.script("gpt-4o").during(outage.0, outage.1, Scripted::status(503));
    let mut failed = 0;
    for _ in 0..180 {
        let status = send(&simulator, post(CHAT, HELLO)).await.unwrap().status();
        failed += i32::from(status == 503);
        tokio::time::advance(second).await;
    }
    assert_eq!(failed, 60);
    simulator.script("gpt-4o").clear();
    simulator.script_any().sometimes(0.1, Scripted::reset());
    let mut resets = 0;
    for _ in 0..1_000 {
        resets += i32::from(send(&simulator, post(CHAT, HELLO)).await.is_err());
        tokio::time::advance(second).await;
    }
    assert!((70..130).contains(&resets), "{resets}");
}

/// Reads until `frames` frames have come, then drops the rest.
async fn read(body: SimulatedBody, frames: usize) {
    let mut body = body;
    for _ in 0..frames {
        let Some(frame) = body.frame().await else {
            return;
        };
        frame.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn drops_are_recorded_wherever_they_happen() {
    let latency = Latency::instant()
        .network(Duration::from_millis(5), Duration::ZERO)
        .first_token(Duration::from_millis(10))
        .per_token(Duration::from_millis(10));
    let simulator = Simulator::builder().latency(latency).deployment(Deployment::unlimited("gpt-4o")).build();
    // Never polled, and dropped on the way: it never arrived.
    drop(simulator.clone().oneshot(post(CHAT, STREAM)));
    let future = simulator.clone().oneshot(post(CHAT, STREAM));
    assert!(timeout(Duration::from_millis(4), future).await.is_err());
    assert!(simulator.journal().is_empty());

    let future = simulator.clone().oneshot(post(CHAT, STREAM));
    assert!(timeout(Duration::from_millis(6), future).await.is_err());
    assert_eq!(simulator.journal()[0].ending, Ending::CancelledBeforeHead);
    assert_eq!(simulator.journal()[0].first_byte, None);
    // The filter's, the role's, three of content, the finish, the end: seven frames.
    for count in 0..=7 {
        let body = send(&simulator, post(CHAT, STREAM)).await.unwrap().into_body();
        read(body, count).await;
        let served: Served = simulator.journal().pop().unwrap();
        let ending = if count == 7 { Ending::Complete } else { Ending::CancelledInBody };
        assert_eq!(served.ending, ending, "after {count}");
        assert_eq!(served.was_cancelled(), count < 7);
        let content = u64::try_from(count.saturating_sub(2).min(3)).unwrap();
        assert_eq!(served.completion_tokens, content, "after {count}");
        assert_eq!(served.ended, Some(Instant::now()));
        assert_eq!(served.first_content.is_some(), count > 2);
    }
    drop(send(&simulator, post(CHAT, HELLO)).await.unwrap());
    let served = simulator.journal().pop().unwrap();
    assert_eq!(served.ending, Ending::Unread);
    assert!(!served.was_cancelled(), "the answer was there");
}

#[tokio::test(start_paused = true)]
async fn nothing_happens_before_the_first_poll() {
    let simulator = simulator();
    let mut service = simulator.clone();
    let future = tower::Service::call(&mut service, post(CHAT, HELLO));
    assert!(simulator.journal().is_empty());
    let mut future = pin!(future);
    let response = poll_fn(|cx| future.as_mut().poll(cx)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(simulator.journal().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_journal_forgets_the_oldest() {
    let simulator = Simulator::builder().journal_capacity(3).deployment(Deployment::unlimited("gpt-4o")).build();
    let held = send(&simulator, post(CHAT, HELLO)).await.unwrap();
    for _ in 0..4 {
        send(&simulator, post(CHAT, HELLO)).await.unwrap();
    }
    drop(held);
    let sequences: Vec<_> = simulator.journal().iter().map(|served| served.sequence).collect();
    assert_eq!(sequences, [2, 3, 4]);
    assert_eq!(simulator.forgotten(), 2);
    assert_eq!(simulator.with_journal(|entries| entries.count()), 3);
}

/// A run with everything random in it, as text without absolute instants.
fn run(seed: u64) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async move {
        let latency = Latency::typical().network(Duration::from_millis(8), Duration::from_millis(6));
        let simulator = Simulator::builder()
            .seed(seed)
            .latency(latency)
            .completion_length(CompletionLength::LogNormal { median: 60.0, sigma: 1.0 })
            .deployment(Deployment::standard("gpt-4o").tokens_per_minute(1_000))
            .build();
        simulator.script("gpt-4o").sometimes(0.1, Scripted::cut_after(3));
        let start = simulator.started();
        let calls = (0_u64..100).map(|number| {
            let simulator = simulator.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(number * 130)).await;
                let body = if number.is_multiple_of(2) { HELLO } else { STREAM };
                let response = send(&simulator, post(CHAT, body)).await.unwrap();
                let head = format!("{:?}", response.headers());
                let body = response.into_body().collect().await.map(http_body_util::Collected::to_bytes);
                format!("{head} {body:?}")
            }
        });
        let mut set = tokio::task::JoinSet::new();
        calls.for_each(|call| drop(set.spawn(call)));
        let mut text = String::new();
        let mut answers = set.join_all().await;
        answers.sort_unstable();
        for served in simulator.journal() {
            let after = |at: Option<Instant>| at.map(|at| at - start);
            text += &format!(
                "{} {:?} {:?} {:?} {:?} {:?} {} {} {:?} {:?}\n",
                served.sequence,
                after(Some(served.arrived)),
                after(served.first_byte),
                after(served.first_content),
                after(served.ended),
                served.status,
                served.completion_tokens,
                served.reserved,
                served.retry_hint,
                served.ending,
            );
        }
        text + &answers.concat()
    })
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn everything_may_be_sent_and_shared() {
    fn shared<T: Send + Sync>(_: &T) {}
    fn unpin<T: Unpin>() {}
    let mut simulator = simulator();
    shared(&simulator);
    shared(&simulator.clone().oneshot(post(CHAT, HELLO)));
    shared(&tower::Service::call(&mut simulator, post(CHAT, HELLO)));
    unpin::<SimulatedBody>();
    fn body<T: Send + Sync>() {}
    body::<SimulatedBody>();
    body::<ConnectionFault>();
}
