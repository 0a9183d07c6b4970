//! A thousand streams at once, over loopback, on two threads.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Barrier,
    task::JoinSet,
    time::Instant,
};
use tower_aoai_simulator::{Deployment, Ending, Latency, Simulator, server::Server};

const STREAMS: usize = 1_000;

/// How much memory the process has at this instant, in kilobytes, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_are_held_at_once() {
    // The head and what precedes content comes at once, the content only when all are there.
    let latency = Latency::instant()
        .head(Duration::ZERO)
        .first_token(Duration::from_secs(2))
        .per_token(Duration::from_millis(20));
    let simulator = Simulator::builder().deployment(Deployment::unlimited("gpt-4o")).latency(latency).build();
    let running = Server::local().await.unwrap().serve(simulator.clone());
    let address = running.address();
    let body = r#"{"messages":[{"role":"user","content":"Hi"}],"max_tokens":4,"stream":true}"#;
    let request = format!(
        "POST /openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let before = (Instant::now(), resident());
    let all_open = Arc::new(Barrier::new(STREAMS + 1));
    let mut streams = JoinSet::new();
    for _ in 0..STREAMS {
        let (request, all_open) = (request.clone(), Arc::clone(&all_open));
        streams.spawn(async move {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(request.as_bytes()).await.unwrap();
            let mut text = vec![0; 12];
            socket.read_exact(&mut text).await.unwrap();
            all_open.wait().await;
            socket.read_to_end(&mut text).await.unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(text.starts_with("HTTP/1.1 200"), "{text}");
            assert!(text.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"), "{text}");
            assert_eq!(text.matches("\"delta\":{\"content\":\"").count(), 5);
        });
    }
    all_open.wait().await;
    let opened = Instant::now();
    let held = resident();
    let pending = simulator.with_journal(|entries| entries.filter(|entry| entry.ending == Ending::Pending).count());
    while let Some(ended) = streams.join_next().await {
        ended.unwrap();
    }
    let took = Instant::now().saturating_duration_since(before.0);
    println!(
        "{STREAMS} streams: open after {:?}, {pending} at once, over after {took:?}; memory {:?} KB before, {held:?} KB while open, clients included",
        opened.saturating_duration_since(before.0),
        before.1,
    );
    // On a machine so busy that opening them takes longer than the first token, fewer are open
    // at once; every stream is whole in any case.
    if opened.saturating_duration_since(before.0) < Duration::from_secs(2) {
        assert_eq!(pending, STREAMS);
    }
    assert_eq!(simulator.journal().len(), STREAMS);
    running.shutdown(Duration::from_secs(5)).await;
    let complete = |entries: &mut dyn Iterator<Item = &tower_aoai_simulator::Served>| {
        entries.filter(|entry| entry.ending == Ending::Complete).count()
    };
    assert_eq!(simulator.with_journal(complete), STREAMS);
}
